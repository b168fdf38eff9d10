"""Streams that name a filter of their decoded pictures, in dec265 of `make codecs` and in HM's decoder.

All of it skips unless the programs are there, as in test_x265_loop.py.
"""

import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.announcing import announce
from codec_bridge.bitstream.post_filter import NNPFA, NNPFC, TAG, PostFilter
from codec_bridge.codecs.decoder import decode
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.filter import Filter
from codec_bridge.video.picture import Picture, samples_md5
from tests.support import hm_runs, media, x265_runs
from tests.support.models import joint_set
from tests.support.post_filters import message, with_messages
from tests.support.streams import carrying, hevc, join, write
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

POST = ModelSet.load(builtin_path("joint_post"))
BY_QP = PostFilter(POST.identity[:16], "joint", "fast")
OPEN = "qp=32:bframes=2:b-adapt=0:keyint=6:min-keyint=6:open-gop=1:hash=1"
CLOSED = "qp=32:bframes=2:b-adapt=0:keyint=6:min-keyint=6:open-gop=0:radl=2:hash=1"
RADL = (6, 7)


@pytest.fixture(scope="module")
def program() -> Path:
    return x265_runs.tools().decoder


@pytest.fixture(scope="module")
def stream() -> bytes:
    return hevc(OPEN, 12, 72, 56)


@pytest.fixture(scope="module")
def named(stream: bytes) -> bytes:
    return announce(stream, BY_QP, joint=True)[0]


def run(program: Path, data: bytes, folder: Path, *options: object) -> tuple[int, str, str]:
    """Exit code, what it prints, and the MD5 of the pictures; hashes are verified."""
    output = folder / "o.yuv"
    output.unlink(missing_ok=True)
    words = [program, "-q", "-c", "-o", output, *map(str, options), write(folder / "s.hevc", data)]
    done = subprocess.run(words, capture_output=True, text=True)
    return done.returncode, done.stderr, hashlib.md5(output.read_bytes() if output.exists() else b"").hexdigest()


def expected(data: bytes, networks: Sequence[int | None] | None = None, path: Path | None = None) -> str:
    """The MD5 of the pictures as the library filters them: by their QPs, or in output order each by its network."""
    with Filter(path or builtin_path("joint_post")) as filter_:
        found: list[Picture] = []
        for number, picture in enumerate(decode(data)):
            assert picture.coding
            index = networks[number] if networks else POST.index_for_qp(round(picture.coding.qp), "after_sao", "joint", "fast")
            found.append((picture if index is None else filter_.filter_picture(picture, index=index)).cropped())
        return samples_md5(found)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "gray", "gray10le", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("threads", [0, 3])
def test_dec265_puts_out_what_the_library_makes_of_the_pictures(program: Path, tmp_path: Path, pixel_format: str, threads: int) -> None:
    data = hevc(OPEN, 12, 72, 52, pixel_format)
    code, said, found = run(program, announce(data, BY_QP, joint=True)[0], tmp_path, "-t", threads)
    assert code == 0
    assert "VRCNN: 12 pictures filtered in " in said
    assert found == expected(data)


def test_networks_of_several_qps_and_leading_pictures(program: Path, tmp_path: Path) -> None:
    for parameters in (OPEN.replace("qp=32", "crf=24"), CLOSED, CLOSED.replace("qp=32", "crf=38:aq-mode=3")):
        data = hevc(parameters, 14, 136, 104)
        found, count = announce(data, BY_QP, joint=True)
        kinds = {part.type for part in nal.split(found)}
        assert bool(kinds & {*RADL}) is (parameters[:4] == CLOSED[:4] or "radl" in parameters)
        assert run(program, found, tmp_path)[::2] == (0, expected(data))
        assert count > 2


def test_the_filter_is_off_or_not_named(program: Path, tmp_path: Path, stream: bytes, named: bytes) -> None:
    plain = samples_md5(picture.cropped() for picture in decode(stream))
    for data, options in ((named, ["--vrcnn-no-post-filter"]), (stream, [])):
        code, said, found = run(program, data, tmp_path, *options)
        assert (code, found) == (0, plain)
        assert "VRCNN" not in said


def test_other_decoders_show_ordinary_pictures(tmp_path: Path, stream: bytes, named: bytes) -> None:
    assert media.equal(decode(stream), decode(named))
    decoder = hm_runs.built_hm().decoder
    sums = set()
    for data in (stream, named):
        words = [decoder, "-b", write(tmp_path / "s.hevc", data), "-o", tmp_path / "o.yuv", "-d", "0"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert (done.stdout.count("(OK)"), done.stdout.count("ERROR")) == (12, 0)
        sums.add((tmp_path / "o.yuv").read_bytes())
    assert len(sums) == 1


def test_from_a_cra_picture_on(program: Path, tmp_path: Path, named: bytes) -> None:
    units = nal.access_units(nal.split(named))
    at = next(number for number, unit in enumerate(units) if any(part.type == 21 for part in unit))
    sets = [part for part in units[0] if part.type in (32, 33, 34)]
    cut = join([*sets, *(part for unit in units[at:] for part in unit)])
    assert run(program, cut, tmp_path)[::2] == (0, expected(cut))


def test_streams_with_and_without_a_name_one_after_the_other(program: Path, tmp_path: Path, stream: bytes, named: bytes) -> None:
    by_index = announce(stream, PostFilter(POST.identity[:16], index=3), joint=True)[0]
    data = named + stream + by_index
    networks = [POST.index_for_qp(round(picture.coding.qp), "after_sao", "joint", "fast") for picture in decode(stream) if picture.coding]
    assert run(program, data, tmp_path)[::2] == (0, expected(data, [*networks, *[None] * 12, *[3] * 12]))


def test_a_model_set_of_one_s_own(program: Path, tmp_path: Path, stream: bytes) -> None:
    own = ModelSet(tuple(replace(network, position="after_sao") for network in joint_set(luma=True).networks))
    own.save(tmp_path / "m.vrcnn")
    for index in (0, 2):
        data = announce(stream, PostFilter(own.identity[:16], index=index), joint=index > 0)[0]
        found = run(program, data, tmp_path, "--vrcnn-model", tmp_path / "m.vrcnn")
        assert found[::2] == (0, expected(stream, [index] * 12, tmp_path / "m.vrcnn"))
        code, said, shown = run(program, data, tmp_path)
        assert (
            f"VRCNN: the stream needs the model set {own.identity[:16]}..., which is not built in; name its file with --vrcnn-model" in said
        )
        assert (code, shown) == (10, hashlib.md5().hexdigest())


OURS = b"\0\1\x11\x40" + TAG + b"\0%b\0\x40"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (b"tag:vrcnn-int.invalid,2026:set/" + POST.identity[:16].encode() + b"/joint/worst", "damaged: nnpfc_uri names no network"),
        (PostFilter(POST.identity[:16], index=31).uri.encode(), "POC 0: the model set has no network of this index"),
        (PostFilter(POST.identity[:16], "luma", "best").uri.encode(), "POC 0: "),
    ],
)
def test_what_cannot_be_done_is_one_line(program: Path, tmp_path: Path, stream: bytes, uri: bytes, said: str) -> None:
    data = with_messages(stream, 0, message((NNPFC, OURS % uri), (NNPFA, b"\x10\xc5")))
    code, text, shown = run(program, data, tmp_path)
    lines = [line for line in text.splitlines() if line.startswith("VRCNN: ")]
    assert code == 10
    assert len(lines) == 1, text
    assert said in lines[0]
    assert shown == hashlib.md5().hexdigest()
    assert run(program, data, tmp_path, "--vrcnn-no-post-filter")[0] == 0


def test_networks_in_the_loop_and_after_it(program: Path, tmp_path: Path) -> None:
    data = with_messages(carrying(hevc("qp=32:keyint=1:hash=1", 2)), 0, message((NNPFC, OURS % BY_QP.uri.encode()), (NNPFA, b"\x10\xc5")))
    assert "networks filter in the loop already" in run(program, data, tmp_path)[1]


def test_what_x265_codes(tmp_path: Path) -> None:
    tools = x265_runs.tools()
    coded = x265_loop.encode(tools, media.pictures(9, 136, 104), 36, configuration="ra", options=("--hash", "1"))
    found = run(tools.decoder, announce(coded.data, BY_QP, joint=True)[0], tmp_path)
    assert found[::2] == (0, expected(coded.data))
