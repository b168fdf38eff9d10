"""The SEI messages that name a filter of decoded pictures: what is written, what is read, and what is not ours."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from codec_bridge.bitstream import nal, post_filter
from codec_bridge.bitstream.announcing import announce
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import Unit, read_units
from codec_bridge.bitstream.post_filter import NNPFA, NNPFC, TAG, PostFilter, PostFilterError, PostFilterReader
from tests.support import post_filters
from tests.support.post_filters import message, with_messages, without_messages
from tests.support.streams import carrying, hevc, join
from tests.tools.mutations import mutated_message

ROOT = Path(__file__).parents[3]
BY_QP = PostFilter("0123456789abcdef", "joint", "best")
THAT_ONE = PostFilter("fedcba9876543210", index=31)
OPEN = "qp=32:bframes=2:b-adapt=0:keyint=6:min-keyint=6:open-gop=1:hash=1"
CLOSED = "qp=32:bframes=2:b-adapt=0:keyint=6:min-keyint=6:open-gop=0:radl=2:hash=1"
RADL, CRA, IDR = 7, 21, 19


@pytest.fixture(scope="module")
def stream() -> bytes:
    """Two IRAP pictures, the second one a CRA picture with RASL pictures."""
    return hevc(OPEN, count=12)


@pytest.fixture(scope="module")
def named(stream: bytes) -> bytes:
    return announce(stream, BY_QP, joint=True)[0]


def units(data: bytes) -> list[Unit]:
    return list(read_units(nal.scan(data)))


def filters(data: bytes) -> list[PostFilter | None]:
    """What the pictures are filtered by, in decoding order, without their QPs."""
    found = [unit.coding.post_filter if unit.coding else None for unit in units(data)]
    return [some and replace(some, qp=None) for some in found]


def problems(data: bytes) -> list[str]:
    return [problem for unit in units(data) for problem in unit.problems]


def payloads(data: bytes, kind: int = NNPFC) -> list[bytes]:
    return [payload for unit in units(data) for found, payload in post_filter.messages(unit.nals) if found == kind]


# ---- writing ----


@pytest.mark.parametrize(
    ("pixel_format", "joint", "order", "depth"),
    [("yuv420p", True, 3, 8), ("yuv420p10le", True, 3, 10), ("gray", True, 0, 8), ("yuv444p", True, 0, 8), ("yuv420p", False, 0, 8)],
)
@pytest.mark.parametrize("wanted", [BY_QP, THAT_ONE], ids=["by QP", "by index"])
def test_payloads_are_what_the_standard_says(pixel_format: str, joint: bool, order: int, depth: int, wanted: PostFilter) -> None:
    data, count = announce(hevc(count=1, pixel_format=pixel_format), wanted, joint)
    assert count == 1
    found = post_filters.characteristics(payloads(data)[0])
    assert (found["nnpfc_id"], found["nnpfc_base_flag"], found["nnpfc_mode_idc"]) == (7, 1, 1)
    assert (found["nnpfc_tag_uri"], found["nnpfc_uri"]) == (TAG, wanted.uri.encode())
    assert found["nnpfc_auxiliary_inp_idc"] == (wanted is BY_QP)
    assert found["nnpfc_inp_order_idc"] == found["nnpfc_out_order_idc"] == order
    assert found["nnpfc_inp_format_idc"] == found["nnpfc_out_format_idc"] == 1
    assert all(value == depth - 8 for name, value in found.items() if "bitdepth" in name)
    padding = {name: value for name, value in found.items() if name.endswith("padding_val")}
    assert len(padding) == (3 if order else 1)
    assert set(padding.values()) == {128 << depth - 8}
    assert post_filters.activation(payloads(data, NNPFA)[0]) == {
        "nnpfa_target_id": 7,
        "nnpfa_cancel_flag": 0,
        "nnpfa_persistence_flag": 1,
        "nnpfa_target_base_flag": 1,
        "nnpfa_no_prev_clvs_flag": 0,
        "nnpfa_no_foll_clvs_flag": 0,
        "nnpfa_num_output_entries": 1,
        "nnpfa_output_flag[0]": 1,
    }


def test_the_bytes_of_the_messages(named: bytes) -> None:
    """As c/SPECIFICATION.md, section 10.5, counts them."""
    found = next(part for part in nal.split(named) if list(post_filter.messages([part])))
    characteristics, activation = bytes.fromhex("00011140") + TAG + b"\0" + BY_QP.uri.encode() + b"\0", bytes.fromhex("10c5")
    assert payloads(named)[0].startswith(characteristics)
    assert payloads(named)[0][len(characteristics) :].hex() == "c91344cb28081010202058"
    assert payloads(named, NNPFA)[0] == activation
    assert (found.size, len(payloads(named)[0])) == (3 + 2 + 2 + 108 + 2 + 2 + 1, 108)


@pytest.mark.parametrize("parameters", [OPEN, CLOSED])
@pytest.mark.parametrize("wanted", [BY_QP, THAT_ONE], ids=["by QP", "by index"])
def test_every_picture_of_a_stream_is_named_and_nothing_else_changes(parameters: str, wanted: PostFilter) -> None:
    data = hevc(parameters, count=14)
    found, count = announce(data, wanted, joint=True)
    assert filters(found) == 14 * [wanted]
    assert not problems(found)
    assert without_messages(found) == data
    kinds = [unit.nal_unit_type for unit in units(found) if list(post_filter.messages(unit.nals))]
    assert len(kinds) == count
    assert set(kinds) == ({CRA, 20} if parameters is OPEN else {20, IDR, 6, RADL})
    qps = [unit.coding.post_filter.qp for unit in units(found) if unit.coding and unit.coding.post_filter]
    assert qps == [round(unit.coding.qp) for unit in units(found) if unit.coding]


def test_from_a_cra_picture_on(named: bytes) -> None:
    parts = nal.access_units(nal.split(named))
    at = next(number for number, unit in enumerate(parts) if any(part.type == CRA for part in unit))
    sets = [part for part in parts[0] if part.type in (32, 33, 34)]
    found = units(join([*sets, *(part for unit in parts[at:] for part in unit)]))
    assert any(unit.leading_skipped for unit in found)
    assert all(unit.leading_skipped or (unit.coding and unit.coding.post_filter) for unit in found)


def test_a_stream_that_has_a_filter_is_refused(stream: bytes, named: bytes) -> None:
    with pytest.raises(CodecError, match="names a post-filter already: joint networks, best, by QP, of set 0123456789abcdef"):
        announce(named, THAT_ONE, joint=True)
    with pytest.raises(CodecError, match="networks in the loop"):
        announce(carrying(hevc(count=1)), BY_QP, joint=True)
    with pytest.raises(CodecError, match="picture 1: "):
        announce(
            join(part for unit in nal.access_units(nal.split(stream))[:1] + nal.access_units(nal.split(stream))[2:] for part in unit),
            BY_QP,
            True,
        )
    with pytest.raises(CodecError, match="has no picture"):
        announce(join(part for part in nal.split(stream) if not part.is_slice), BY_QP, joint=True)


# ---- others' messages ----


def foreign(number: int = 7, tag: bytes = b"tag:example.org,2024:onnx", mode: int = 1) -> bytes:
    """An NNPFC of somebody else, as far as ours are read."""
    bits = post_filter._Writer()
    bits.u(1, 16)
    bits.ue(number)
    bits.u(1)
    bits.ue(mode)
    bits.string(tag)
    bits.string(BY_QP.uri.encode())
    bits.u(0)
    return bits.payload()


@pytest.mark.parametrize(
    "payload",
    [
        foreign(),
        foreign(tag=TAG[:-1] + b"2"),
        foreign(tag=TAG + b"x"),
        foreign(tag=TAG, mode=0),
        foreign(300, TAG),
        foreign((1 << 31) + 5, TAG),
        b"",
        b"\0",
        b"\0\1" + 9 * b"\0",
        foreign(tag=TAG)[: 4 + len(TAG) - 1],
    ],
)
def test_messages_of_others_are_none_of_ours(stream: bytes, payload: bytes) -> None:
    data = with_messages(stream, 0, message((NNPFC, payload), (NNPFA, post_filter.activation(7))))
    assert filters(data) == 12 * [None]
    assert not problems(data)
    found, _ = announce(data, BY_QP, joint=True)
    assert filters(found) == 12 * [BY_QP]
    own = {post_filters.characteristics(some)["nnpfc_id"] for some in payloads(found) if some != payload}
    assert own == ({8} if post_filter.number_of(payload) == 7 else {7})


def test_no_nnpfc_id_is_left(stream: bytes) -> None:
    data = with_messages(stream, 0, *(message((NNPFC, foreign(number))) for number in range(20)))
    with pytest.raises(CodecError, match="under each nnpfc_id from 7 to 14"):
        announce(data, BY_QP, joint=True)


# ---- damage ----

OURS = foreign(tag=TAG)
"""Ours as far as it is read."""
ACTIVE = post_filter.activation(7)


def bits(text: str) -> bytes:
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def test_ours_without_its_properties_is_read(stream: bytes) -> None:
    assert filters(with_messages(stream, 0, message((NNPFC, OURS), (NNPFA, ACTIVE)))) == 12 * [BY_QP]
    assert filters(with_messages(stream, 0, message((NNPFC, OURS)), message((NNPFA, bits("00010000110011"))))) == 12 * [BY_QP]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (OURS[: 4 + len(TAG)], "it is cut off"),
        (OURS[: 4 + len(TAG) + 1], "it is cut off"),
        (OURS.partition(b"/best")[0], "it is cut off"),
        (OURS.replace(b"/best", b"/bestx"), "nnpfc_uri names no network"),
        (OURS.replace(b"/joint", b"/JOINT"), "nnpfc_uri names no network"),
        (OURS.replace(b"joint/best", b"32\0"), "nnpfc_uri names no network"),
        (OURS.replace(b"joint/best", b"07\0"), "nnpfc_uri names no network"),
        (OURS.replace(b"joint/best", b"\0"), "nnpfc_uri names no network"),
        (OURS.replace(b"0123456789abcdef", b"0123456789abcdeg"), "nnpfc_uri names no network"),
        (OURS.replace(b"0123456789abcdef", b"0123456789abcde"), "nnpfc_uri names no network"),
        (OURS[:2] + bits("0001000" + "0" + "010") + OURS[4:], "nnpfc_base_flag is 0"),
        (OURS[:3] + bytes([OURS[3] | 1]) + OURS[4:], "an alignment bit is 1"),
    ],
)
def test_ours_that_is_damaged_is_said(stream: bytes, payload: bytes, said: str) -> None:
    data = with_messages(stream, 0, message((NNPFC, payload), (NNPFA, ACTIVE)))
    assert problems(data) == [f"the SEI message of its post-filter is damaged: {said}"]
    assert filters(data) == 12 * [None]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "it is cut off"),
        (b"\0\0\0\0\1", "it is cut off"),
        (bits("0001000"), "it is cut off"),
        (ACTIVE[:1], "it is cut off"),
        (bits("0001000" + "1"), "in another way"),
        (bits("0001000" + "0010" + "1"), "in another way"),
        (bits("0001000" + "01000" + "1"), "in another way"),
        (bits("0001000" + "01100" + "010" + "0"), "in another way"),
        (bits("0001000" + "01100" + "011" + "11"), "in another way"),
        (bits("0001000" + "01100" + "0" * 31 + "1"), "it is cut off"),
    ],
)
def test_activations_of_another_kind_are_said(stream: bytes, payload: bytes, said: str) -> None:
    data = with_messages(stream, 0, message((NNPFC, OURS), (NNPFA, payload)))
    assert len(problems(data)) == 1
    assert said in problems(data)[0]
    assert filters(data) == 12 * [None]
    alone = with_messages(stream, 0, message((NNPFA, payload)))
    assert not problems(alone)


def test_a_cut_off_nal_unit(stream: bytes) -> None:
    whole = message((NNPFC, OURS)).data
    said = [len(problems(with_messages(stream, 0, nal.Nal(whole[:size], 0)))) for size in range(3, len(whole))]
    # Up to the tag's end nobody knows whose it is; after the URI's end nothing of it is read.
    # (A zero byte at the end of a NAL unit is none of it.)
    tag, uri = 2 + 2 + 4 + len(TAG), 1 + len(BY_QP.uri) + 1 + 1
    assert said == [0] * (tag - 3) + [1] * uri + [0] * (len(whole) - tag - uri)
    for size in (1, 2):
        cut = message((NNPFC, OURS), (NNPFA, ACTIVE)).data[:-size]
        assert (
            problems(with_messages(stream, 0, nal.Nal(cut, 0)))
            == ["the SEI message of its post-filter is damaged: it is cut off"][: size - 1]
        )


def test_where_messages_may_stand(stream: bytes) -> None:
    both = message((NNPFC, OURS), (NNPFA, ACTIVE))
    kinds = [unit.nal_unit_type for unit in units(stream)]
    cra = kinds.index(CRA)
    assert problems(with_messages(stream, 1, both)) == [
        "the SEI message of its post-filter is damaged: NNPFC in a picture that is no IRAP picture"
    ]
    # From a CRA picture on that does not begin the sequence: those before it in output order stay.
    found = filters(with_messages(stream, cra, both))
    leading = [8 <= kind <= 9 for kind in kinds[cra + 1 :]]
    assert found == [None] * cra + [BY_QP] + [None if some else BY_QP for some in leading]
    assert any(leading)
    radl = hevc(CLOSED, count=14)
    kinds = [unit.nal_unit_type for unit in units(radl)]
    found = filters(with_messages(radl, kinds.index(IDR), both))[kinds.index(IDR) :]
    assert found[:4] == [BY_QP, None, None, BY_QP], "RADL pictures have messages of their own, or nothing filters them"
    late = with_messages(with_messages(stream, 0, message((NNPFC, OURS))), 1, message((NNPFA, ACTIVE)))
    assert problems(late) == ["the SEI message of its post-filter is damaged: NNPFA within a coded video sequence that goes on without"]
    other = message((NNPFC, foreign(tag=TAG).replace(b"best", b"fast")))
    assert "another NNPFC than before" in problems(with_messages(with_messages(stream, 0, both), cra, other))[0]
    assert not problems(with_messages(with_messages(stream, 0, both), cra, both))
    again = with_messages(with_messages(stream, 0, both), 1, message((NNPFA, ACTIVE)))
    assert filters(again) == 12 * [BY_QP]
    assert not problems(again)


def test_networks_in_the_loop_and_after_it(stream: bytes) -> None:
    data = with_messages(carrying(hevc(count=2)), 0, message((NNPFC, OURS), (NNPFA, ACTIVE)))
    assert "networks filter in the loop already" in problems(data)[0]
    # A CRA picture within a sequence that is filtered after the loop.
    reader, both = PostFilterReader(), [message((NNPFC, OURS), (NNPFA, ACTIVE))]
    assert reader.read(both, 19, True, 30) == replace(BY_QP, qp=30)
    with pytest.raises(PostFilterError, match="networks filter in the loop already"):
        reader.read([], CRA, False, 30, in_loop=True)
    assert reader.read([], 1, False, 30) is None


def test_messages_beyond_the_most_are_passed_over(stream: bytes) -> None:
    others = [message((NNPFC, foreign(9)))] * post_filter.MOST_MESSAGES
    both = message((NNPFC, OURS), (NNPFA, ACTIVE))
    assert filters(with_messages(stream, 0, *others, both)) == 12 * [None]
    assert filters(with_messages(stream, 0, *others[2:], both)) == 12 * [BY_QP]


# ---- the reader of the adapter for libde265 ----

PROGRAM = r"""
#include "vrcnn_post.h"
#include <cstdio>
int main()
{
    vrcnn_post post;
    for (;;) {
        int kind = getchar(), flags = getchar(), count = getchar();
        if (count == EOF)
            return 0;
        for (; count; count--) {
            const int size = getchar() << 8 | getchar();
            uint8_t *const data = new uint8_t[size]; /* no byte more, for sanitizers */
            for (int i = 0; i < size; i++)
                data[i] = (uint8_t)getchar();
            post.sei(data, size);
            delete[] data;
        }
        bool is_filtered;
        vrcnn_post_filter filter;
        const char *const problem = post.picture(kind, flags & 1, flags >> 1, &is_filtered, &filter);
        if (problem)
            puts(problem);
        else if (!is_filtered)
            puts("-");
        else {
            for (int i = 0; i < 8; i++)
                printf("%02x", filter.identity[i]);
            printf(" %d %d %d\n", filter.index, filter.index < 0 ? filter.kind : 0, filter.index < 0 ? filter.size : 0);
        }
    }
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++")
    if not compiler:
        pytest.skip("needs a C++ compiler")
    folder = tmp_path_factory.mktemp("post")
    adapter = ROOT / "codec_bridge/codecs/libde265/adapter"
    (folder / "main.cc").write_text(PROGRAM)
    words = [
        "-std=c++11",
        "-g",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        f"-I{ROOT}/c/include",
        f"-I{adapter}",
        "main.cc",
        str(adapter / "vrcnn_post.cc"),
    ]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    if subprocess.run([compiler, *words, *sanitizers, "-o", "post"], cwd=folder, capture_output=True).returncode:
        subprocess.run([compiler, *words, "-o", "post"], cwd=folder, check=True)
    return folder / "post"


Pictures = list[tuple[int, bool, bool, list[bytes]]]
"""nal_unit_type, whether it begins a sequence, whether networks are in its loop, and its SEI NAL units, without emulation prevention."""


def in_python(pictures: Pictures) -> list[str]:
    reader, found = PostFilterReader(), []
    for kind, starts, in_loop, parts in pictures:
        try:
            one = reader.read([nal.Nal(part[:2] + nal.escaped(part[2:]), 0) for part in parts], kind, starts, 0, in_loop)
        except PostFilterError as error:
            found.append(str(error).partition(": ")[2])
            continue
        index = one and (-1 if one.index is None else one.index)
        words = [("luma", "joint").index(one.kind), ("fast", "best").index(one.size)] if one and one.kind and one.size else [0, 0]
        found.append(f"{one.identity} {index} {words[0]} {words[1]}" if one else "-")
    return found


def in_c(program: Path, pictures: Pictures) -> list[str]:
    data = bytearray()
    for kind, starts, in_loop, parts in pictures:
        data += bytes([kind, starts | in_loop << 1, len(parts)])
        for part in parts:
            data += len(part).to_bytes(2, "big") + part
    done = subprocess.run([program], input=bytes(data), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return done.stdout.decode().splitlines()


def mutated(part: nal.Nal, draw: random.Random) -> bytes:
    data = part.data[:2] + part.rbsp
    return mutated_message(data, draw) if draw.random() < 0.7 else data


def drawn(draw: random.Random) -> Iterator[tuple[int, bool, bool, list[bytes]]]:
    uris = [BY_QP.uri, THAT_ONE.uri, replace(BY_QP, kind="luma", size="fast").uri, replace(THAT_ONE, index=draw.randrange(40)).uri]
    whole = [
        message((NNPFC, OURS.replace(BY_QP.uri.encode(), draw.choice(uris).encode())), (NNPFA, ACTIVE)),
        message((NNPFC, OURS), (NNPFA, ACTIVE)),
        message((NNPFA, ACTIVE)),
        message((NNPFC, foreign(draw.randrange(20)))),
        message((137, b"abc"), (NNPFA, post_filter.activation(draw.randrange(20)))),
    ]
    for number in range(draw.randrange(1, 5)):
        kind = draw.choice([0, 1, 7, 9, 16, 19, 21, 21])
        parts = [mutated(part, draw) for part in draw.choices(whole, k=draw.choice([0, 1, 1, 2]))]
        # A NAL unit ends with another byte than zero.
        yield (
            kind,
            number == 0 or draw.random() < 0.2,
            draw.random() < 0.05,
            [part.rstrip(b"\0") if len(part) > 2 else part for part in parts],
        )


def test_the_adapter_reads_the_same(program: Path) -> None:
    seed = 20261130
    draw = random.Random(seed)
    seen: dict[str, int] = {}
    for _ in range(40):
        pictures = [picture for _ in range(60) for picture in drawn(draw)]
        found = in_python(pictures)
        assert found == in_c(program, pictures), f"seed {seed}"
        for line in found:
            seen[line.split(" ")[0] if " -1 " in line or line[:1] in "0123456789f" else line] = seen.get(line, 0) + 1
    for line in ("-", "it is cut off", "nnpfc_uri names no network", "0123456789abcdef", "fedcba9876543210"):
        assert line in seen, f"seed {seed}"
    assert {line for line in seen if "another" in line}
