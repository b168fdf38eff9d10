"""What streams say of their pictures, and what is noticed to be missing, without decoding."""

from functools import cache

import pytest

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.pictures import Unit, read_units
from tests.codec_bridge.bitstream.test_hm_slices import IDR, extended, inter_header, pps, sps
from tests.support import streams
from tests.support.hm_streams import BitWriter, unit

EOS, EOB = b"\0\0\1\x48\x01", b"\0\0\1\x4a\x01"


@cache
def intra() -> bytes:
    return streams.hevc()


@cache
def inter() -> bytes:
    return streams.hevc(streams.INTER + ":hash=1", 8)


@cache
def open_groups() -> bytes:
    """Random access points of kind CRA, the second with leading pictures."""
    return streams.hevc("qp=32:keyint=8:min-keyint=8:open-gop=1:bframes=3:b-adapt=0:scenecut=0:hash=1:repeat-headers=1", 20)


def read(stream: bytes) -> list[Unit]:
    return list(read_units(nal.scan(stream)))


def problems(stream: bytes) -> list[tuple[int, str]]:
    return [(unit.number, problem) for unit in read(stream) for problem in unit.problems]


def test_whole_streams_have_no_problems_and_rising_numbers() -> None:
    for stream, count in ((intra(), 4), (inter(), 8), (open_groups(), 20)):
        units = [unit for unit in read(stream) if unit.has_picture]
        assert problems(stream) == []
        assert [unit.number for unit in units] == list(range(count))
        assert all(unit.hashes and unit.shown and unit.sps for unit in units)
        assert sorted(unit.poc for unit in units)[0] == 0


def test_picture_order_counts_are_those_of_the_output() -> None:
    assert sorted(unit.poc for unit in read(inter())) == list(range(8))
    assert sorted(unit.poc for unit in read(open_groups())) == list(range(20))


@pytest.mark.parametrize(
    ("parameters", "deblocking", "sao"),
    [("", True, True), (":no-sao=1", True, False), (":no-deblock=1:sao=1", False, True), (f":{streams.OFF}", False, False)],
)
def test_qp_and_filters_are_read_of_the_slices(parameters: str, deblocking: bool, sao: bool) -> None:
    for qp in (22, 40):
        units = read(streams.hevc(f"qp={qp}:keyint=1:ipratio=1{parameters}", 2))
        codings = [unit.coding for unit in units]
        assert [coding.qp for coding in codings if coding] == [qp, qp]
        assert [coding.deblocking for coding in codings if coding] == [deblocking] * 2
        assert any(coding.sao for coding in codings if coding) == sao


def test_a_picture_that_has_lost_its_slices_is_named() -> None:
    assert problems(streams.without(intra(), 1)) == [(1, "the picture has lost its slices")]
    # Where parameter sets are not repeated, its hash stands behind the picture before it.
    once = streams.hevc("qp=32:hash=1:keyint=-1:bframes=0", 3)
    found = problems(streams.without(once, 1))
    assert found[0] == (0, "two picture hashes stand behind it: the picture between them is lost")
    assert "refers to a picture that the stream does not have" in found[1][1]


def test_a_reference_that_is_lost_is_named_once() -> None:
    found = problems(streams.without_picture(inter(), 1))
    assert found
    assert found[0][0] == 1
    assert "refers to a picture that the stream does not have (POC 3 from" in found[0][1]


def test_a_lost_first_slice_and_slices_out_of_order_are_named() -> None:
    sets = unit(33, sps(long_term=True)) + unit(34, pps(more=True))
    first, second = (unit(1, inter_header(address, False, False, b"").data() + b"\x55") for address in (0, 3))
    for slices, problem in (
        (second, "it has lost its first slice segment"),
        (first + second + second, "its slice segments are out of order: a picture is lost"),
    ):
        assert (0, problem) in problems(sets + slices)
    assert not any("slice" in problem for _, problem in problems(sets + first + second))


def test_a_stream_that_begins_in_its_middle() -> None:
    found = problems(streams.without_picture(inter(), 0))
    assert found[0][0] == 0
    assert "decoding cannot start with it" in found[0][1]


def test_leading_pictures_of_a_first_cra_picture_are_skipped_and_no_problem() -> None:
    units = nal.access_units(nal.split(open_groups()))
    start = next(at for at, unit in enumerate(units) if any(part.type == 21 for part in unit))
    cut = streams.join(part for unit in units[start:] for part in unit)
    found = read(cut)
    skipped = [unit for unit in found if unit.leading_skipped]
    assert skipped
    assert not any(unit.shown for unit in skipped)
    assert problems(cut) == []
    # The same behind an end of sequence, and not where the stream goes on.
    first = streams.join(part for unit in units[:start] for part in unit)
    assert sum(unit.leading_skipped for unit in read(first + EOS + cut)) == len(skipped)
    assert not any(unit.leading_skipped for unit in read(first + cut))


def test_ends_of_sequences_belong_to_the_picture_before_them() -> None:
    for stream in (intra() + EOS + EOB, intra() + EOB, intra() + EOS + intra()):
        assert problems(stream) == []
    assert len(read(intra() + EOS + EOB)) == 4


def test_other_layers_are_not_looked_at() -> None:
    parts = []
    for part in nal.split(inter()):
        other = nal.Nal(bytes([part.data[0], part.data[1] | 8]) + part.data[2:], 0)
        parts += [part, other] if part.type != 40 else [other, part]
    found = read(streams.join(parts))
    assert [unit.number for unit in found] == list(range(8))
    assert problems(streams.join(parts)) == []
    assert [unit.poc for unit in found] == [unit.poc for unit in read(inter())]


def test_parameter_sets_count_where_they_are_active() -> None:
    large = streams.hevc(count=1, width=128, height=96)
    other = next(part for part in nal.split(large) if part.type == 33)
    assert {unit.sps and unit.sps.width for unit in read(streams.join([other]) + intra())} == {64}
    sizes = [unit.sps.width for unit in read(intra() + large + intra()) if unit.sps]
    assert sizes == [64] * 4 + [128] + [64] * 4
    damaged = nal.Nal(other.data[:8], 0)
    assert problems(streams.join([damaged]) + intra()) == []
    bare = streams.join(part for part in nal.split(intra()) if part.type != 34)
    assert all("parameter sets that are not there" in problem for _, problem in problems(bare))
    assert len(problems(bare)) == 4


def test_hashes_of_splices() -> None:
    bare = streams.hevc(f"{streams.INTRA}:hash=0")
    assert problems(intra() + bare) == problems(bare + intra()) == []
    lost = streams.without(inter(), 4, lambda part: part.type == nal.SUFFIX_SEI)
    assert problems(lost) == [(4, "it lacks its hash, which the pictures before it have")]


def test_side_information_is_noticed() -> None:
    for extension, carries in ((b"VN\1abcd\0", True), (b"V", False), (b"NV\1", False), (b"", False)):
        header = extended(BitWriter().u(1, 1).u(0, 1).ue(0).ue(2).u(1, 1).u(0, 1).se(5).u(1, 1), extension).data()
        (found,) = read(unit(33, sps()) + unit(34, pps()) + unit(IDR, header + b"\x55"))
        assert found.carries_magic == carries
