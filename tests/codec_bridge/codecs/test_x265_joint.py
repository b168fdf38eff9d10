"""x265 with joint networks, luma and chroma decided together, and libde265: from end to end.

All of it skips unless the programs are there, as in test_x265_loop.py.
"""

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.announcement import Announcement, announced
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import Sideinfo, side_information
from codec_bridge.codecs import gates
from codec_bridge.codecs.base import Coded
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.store import Store
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import media, x265_runs
from tests.support.documents import as_json
from tests.support.models import joint_set
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

JOINT = ("--vrcnn", "--vrcnn-model", "joint_intra")


@pytest.fixture(scope="module")
def tools() -> x265_loop.Tools:
    return x265_runs.tools()


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    return media.pictures(6, 136, 104)


def deep(pictures: list[Picture]) -> list[Picture]:
    return [Picture(tuple(plane.astype(np.uint16) << 2 for plane in p.planes), 10, p.chroma_format) for p in pictures]


def told(coded: Coded) -> list[Sideinfo]:
    """The side information, all of version 2, which says what the encoder printed."""
    side = [information for information in side_information(coded.data) if information]
    assert len(side) == coded.pictures
    assert all(information.version == 2 for information in side)
    gates.compare_modes(Counter(map(str, coded.decided)), side)
    return side


def check_closed_loop(tools: x265_loop.Tools, coded: Coded, *options: str) -> None:
    side = told(coded)
    for threads in ("0", "3"):
        decoded = x265_loop.decode(tools, coded.data, coded.recon[0], ["-t", threads, *options])
        gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
        assert decoded.filtered == sum(information.filters for information in side)


@pytest.mark.parametrize("configuration", ["ai", "ldp", "ra"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_closed_loop(tools: x265_loop.Tools, clip: list[Picture], configuration: str, bit_depth: int) -> None:
    coded = x265_loop.encode(tools, clip if bit_depth == 8 else deep(clip), 38, configuration=configuration, options=JOINT)
    check_closed_loop(tools, coded)
    side = told(coded)
    assert any(information.mode != "off" for information in side)
    assert any(information.chroma_mode != "off" for information in side)


@pytest.mark.parametrize(
    "options",
    [
        ("-F", "1"),
        ("-F", "3", "--vrcnn-threads", "2"),
        ("--no-wpp", "--pools", "none"),
        ("--no-sao",),
        ("--no-deblock", "--no-sao"),
        ("--no-vrcnn-map",),
        ("--ctu", "16", "--max-tu-size", "16"),
        ("--cu-lossless", "--qp", "10"),
        ("--cbqpoffs", "-6", "--crqpoffs", "6"),
        ("--vrcnn-kernel", "scalar"),
    ],
    ids=" ".join,
)
def test_settings_of_the_encoder(tools: x265_loop.Tools, clip: list[Picture], options: tuple[str, ...]) -> None:
    coded = x265_loop.encode(tools, clip, 37, configuration="ra", options=[*JOINT, *options])
    check_closed_loop(tools, coded)


def test_kernels_and_threads_make_the_same_stream(tools: x265_loop.Tools, clip: list[Picture]) -> None:
    ways = (("--vrcnn-kernel", "scalar"), (), ("--vrcnn-threads", "3"))
    streams = {x265_loop.encode(tools, clip[:3], 38, configuration="ldp", options=[*JOINT, "-F", "1", *way]).data for way in ways}
    assert len(streams) == 1


def test_the_position_after_sao(tools: x265_loop.Tools, clip: list[Picture], tmp_path: Path) -> None:
    model = tmp_path / "after.vrcnn"
    networks = ModelSet.load(builtin_path("joint_best")).networks
    ModelSet(tuple(replace(network, position="after_sao") for network in networks)).save(model)
    # The networks were trained on unfiltered pictures: without the ordinary filters they have something to win, and these win most.
    words = ["--vrcnn", "--vrcnn-position", "1", "--vrcnn-model", str(model), "--no-deblock", "--no-sao"]
    coded = x265_loop.encode(tools, clip, 38, configuration="ldp", options=words)
    check_closed_loop(tools, coded, "--vrcnn-model", str(model))
    assert any(information.chroma_mode != "off" and information.position == "after_sao" for information in told(coded))
    with pytest.raises(CodecError, match=f"needs the model set {ModelSet.load(model).identity[:6]}"):
        x265_loop.decode(tools, coded.data)


@pytest.mark.parametrize("chroma_format", ["400", "422", "444"])
def test_chroma_of_other_formats_keeps_the_ordinary_filters(tools: x265_loop.Tools, chroma_format: str) -> None:
    coded = x265_loop.encode(tools, media.pictures(2, 96, 72, 8, chroma_format), 38, options=JOINT)
    check_closed_loop(tools, coded)
    assert {information.chroma_mode for information in told(coded)} == {"off"}
    assert any(information.mode != "off" for information in told(coded))


def test_sizes(tools: x265_loop.Tools, clip: list[Picture], tmp_path: Path) -> None:
    """A set of a trained network, said to be of size best, and a random one of size fast."""
    random = next(network for network in joint_set().networks if network.size == "fast")
    trained = ModelSet.load(builtin_path("joint_intra")).networks[-1]
    ModelSet((replace(trained, size="best"), random)).save(tmp_path / "both.vrcnn")
    words = ["--vrcnn", "--vrcnn-model", str(tmp_path / "both.vrcnn")]
    found = [
        x265_loop.encode(tools, clip[:1], 38, options=[*words, *more]) for more in ((), ("--vrcnn-size", "best"), ("--vrcnn-size", "fast"))
    ]
    assert found[0].data == found[1].data
    assert found[0].decided != ["off/off"]
    assert found[2].data != found[0].data
    with pytest.raises(CodecError, match="--vrcnn-size: there are fast and best"):
        x265_loop.encode(tools, clip[:1], 38, options=[*words, "--vrcnn-size", "small"])


@pytest.mark.parametrize(("name", "version"), [("joint_intra", 2), ("vrcnn_intra", 1)])
@pytest.mark.parametrize("configuration", ["ai", "ldp"])
def test_the_sei_message_is_a_nal_unit_of_its_own(
    tools: x265_loop.Tools, clip: list[Picture], name: str, version: int, configuration: str
) -> None:
    words = ("--vrcnn", "--vrcnn-model", name)
    silent, saying = (
        x265_loop.encode(tools, clip, 38, configuration=configuration, options=[*words, *more]) for more in ((), ("--vrcnn-sei",))
    )
    parts = nal.split(saying.data)
    assert announced(parts) == Announcement(version, ModelSet.load(builtin_path(name)).identity[:16])
    assert [part.type for part in parts[:5]] == [32, 33, 34, nal.PREFIX_SEI, parts[4].type]
    assert [part.data for part in parts[:3] + parts[4:]] == [part.data for part in nal.split(silent.data)]
    assert (parts[4].is_slice, sum(part.type == nal.PREFIX_SEI for part in parts)) == (True, 1)
    assert parts[3].size <= 59
    decoded = x265_loop.decode(tools, saying.data, saying.recon[0])
    gates.compare_coded(saying.recon, decoded.pictures, decoded.verdicts)
    assert (
        x265_loop.encode(tools, clip, 38, configuration=configuration, options=[*words, "--vrcnn-sei", "--no-vrcnn-sei"]).data
        == silent.data
    )


def test_without_the_filter_no_stream_says_that_it_needs_it(tools: x265_loop.Tools, clip: list[Picture]) -> None:
    silent, saying = (x265_loop.encode(tools, clip, 38, options=more).data for more in ((), ("--vrcnn-sei",)))
    assert silent == saying


def test_evaluation(tools: x265_loop.Tools, clip: list[Picture], tmp_path: Path) -> None:
    write_y4m(tmp_path / "clip.y4m", clip[:2], Fraction(25))
    settings = Settings(
        "x265-loop",
        (37,),
        ("anchor", "picture", "map"),
        2,
        check=True,
        folders={"codecs": tools.decoder.parent},
        model=builtin_path("joint_intra"),
    )
    found = as_json(cluster.evaluate(Plan(tuple(resolve(tmp_path / "clip.y4m")), (settings,)), Store(tmp_path / "results")).rows)
    assert [row["flag"] for row in found] == [None, None, None]
    assert [row["checked_samples"] for row in found] == [0, *[2 * 136 * 104 * 3 // 2] * 2]
    for plane in "yuv":
        assert found[2][f"psnr_{plane}"] > found[0][f"psnr_{plane}"]
