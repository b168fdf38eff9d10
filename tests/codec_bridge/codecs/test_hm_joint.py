"""HM with joint networks: luma and chroma decided together, with side information of version 2, from end to end.

All of it skips unless a built HM is given, as in test_hm_codec.py; what runs libde265, too, unless that is there as in test_x265_loop.py.
"""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.announcement import Announcement, announced
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import Sideinfo, side_information
from codec_bridge.codecs import gates, programs
from codec_bridge.codecs.base import Coded
from codec_bridge.codecs.hm import run as hm
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.store import Store
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m, write_yuv
from codec_bridge.video.picture import Picture
from tests.support.documents import as_json
from tests.support.hm_runs import BLOCKS, OPTIONS, built_hm, moving_clip, noise
from tests.support.hm_streams import BitWriter, with_extension
from tests.support.memory import other_bytes_each_time
from tests.support.models import joint_set, trained_joint_set
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import POSITIONS


@pytest.fixture(scope="module")
def tools() -> hm.Tools:
    return built_hm()


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    return moving_clip()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of trained networks, by position."""
    folder = tmp_path_factory.mktemp("models")
    for position in POSITIONS:
        trained_joint_set(position).save(folder / f"{position}.vrcnn")
    return [folder / f"{position}.vrcnn" for position in POSITIONS]


def options(model: Path, position: int = 0, kernel: str = "auto", threads: int = 1) -> tuple[str, ...]:
    return *decoding(model, kernel, threads), f"--VRCNNPosition={position}"


def decoding(model: Path, kernel: str = "auto", threads: int = 1) -> tuple[str, ...]:
    return f"--VRCNNModel={model}", f"--VRCNNKernel={kernel}", f"--VRCNNThreads={threads}"


def filtered(coded: Coded) -> list[Sideinfo]:
    """The side information of pictures that networks filter; all of the stream's is of version 2."""
    side = [information for information in side_information(coded.data) if information]
    assert len(side) == coded.pictures
    assert all(information.version == 2 for information in side)
    return [information for information in side if information.filters]


def check_closed_loop(tools: hm.Tools, coded: Coded, like: Picture, *words: str) -> None:
    """The decoder's pictures are the encoder's, and every hash is OK; the stream says what the encoder printed."""
    decoded = hm.decode(tools, coded.data, like, words)
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
    gates.compare_decisions(coded.decided, side_information(coded.data))


def in_format(picture: Picture, chroma_format: str) -> Picture:
    """A picture of 4:2:0 in another format: without its chroma, or with more of the same."""
    rows, columns = {"420": (1, 1), "422": (2, 1), "444": (2, 2)}.get(chroma_format, (0, 0))
    chroma = [plane.repeat(rows, 0).repeat(columns, 1) for plane in picture.planes[1:] if rows]
    return Picture((picture.planes[0], *chroma), picture.bit_depth, chroma_format)


def everywhere(models: ModelSet, luma: int = 1, chroma: int = 1, position: int = 0) -> bytes:
    """Side information of an IRAP picture: network 0 on all of these planes, as trained."""
    bits = BitWriter().u(luma, 2).u(chroma, 2).u(position, 1).u(0, 5).u(0, 1).u(1, 1).u(0, 4)
    return b"VN\2" + bytes.fromhex(models.identity[:6]) + int(bits.text, 2).to_bytes(2, "big")


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("configuration", ["ai", "ra"])
def test_kernels_and_threads_make_the_same_stream(
    tools: hm.Tools, clip: list[Picture], models: list[Path], configuration: str, position: int
) -> None:
    pictures = [*clip, *clip[::-1], *clip]
    ways = [("scalar", 1), ("auto", 2)]
    streams = [
        hm.encode(tools, pictures, 40, configuration=configuration, network=True, options=options(models[position], position, *way))
        for way in ways
    ]
    assert streams[0].data == streams[1].data
    modes = [(information.mode, information.chroma_mode) for information in filtered(streams[0])]
    assert any("off" not in pair for pair in modes)
    assert all(information.position == POSITIONS[position] for information in filtered(streams[0]))
    for kernel, threads in (*ways, ("scalar", 2), ("auto", 1)):
        check_closed_loop(tools, streams[0], clip[0], *decoding(models[position], kernel, threads))


@pytest.mark.parametrize("words", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("configuration", ["ai", "ldp"])
def test_decoder_has_the_encoder_s_pictures(
    tools: hm.Tools, clip: list[Picture], models: list[Path], configuration: str, words: tuple[str, ...]
) -> None:
    coded = hm.encode(tools, clip, 37, configuration=configuration, network=True, options=(*options(models[0]), *words))
    check_closed_loop(tools, coded, clip[0], *decoding(models[0]))
    side = filtered(coded)
    assert all(not segment.extension for segment in slices.segments(coded.data) if not segment.first_in_picture)
    if "--CUTransquantBypassFlagForce=1" in words:
        assert all(np.array_equal(p, q) for a, b in zip(coded.recon, clip, strict=True) for p, q in zip(a.planes, b.planes, strict=True))
    else:
        assert any(information.chroma_mode != "off" for information in side)
        assert any(information.mode != "off" for information in side)
        assert ("map" in {information.mode for information in side}) <= ("--VRCNNMap=0" not in words)


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("kind", BLOCKS)
def test_lossless_and_pcm_blocks_keep_their_samples(tools: hm.Tools, models: list[Path], kind: str, position: int) -> None:
    """Streams of nothing but such blocks, told afterwards that a network filters them: only PCM with its loop filter on changes."""
    source = noise()
    words = (*options(models[position], position), *BLOCKS[kind], "--SAO=0", "--LoopFilterDisable=1")
    coded = hm.encode(tools, source, 0, network=True, options=words)
    for plane, original in zip(coded.recon[0].planes, source[0].planes, strict=True):
        np.testing.assert_array_equal(plane, original)
    for luma, chroma in ((1, 1), (0, 1), (1, 0)):
        told = everywhere(ModelSet.load(models[position]), luma, chroma, position)
        decoded = hm.decode(tools, with_extension(coded.data, 0, told), options=decoding(models[position]))
        assert decoded.verdicts == [(0, "ERROR" if kind == "PCM, filtered" else "OK")]


@pytest.mark.parametrize("bit_depths", [(8, 8), (10, 8), (8, 10)])
@pytest.mark.parametrize("chroma_format", ["400", "420", "422", "444"])
def test_chroma_formats(
    tools: hm.Tools, clip: list[Picture], models: list[Path], tmp_path: Path, chroma_format: str, bit_depths: tuple[int, int]
) -> None:
    """4:2:2 and 4:4:4: luma alone, and a line that says so; chroma is what ordinary filters make of it."""
    pictures = [in_format(picture, chroma_format) for picture in clip[:2]]
    write_yuv(tmp_path / "in.yuv", pictures)
    stream, recon = tmp_path / "out.bin", tmp_path / "recon.yuv"
    words = [f"--InternalBitDepth={bit_depths[0]}", f"--InternalBitDepthC={bit_depths[1]}", "--Profile=main-RExt"]
    shown = ["--OutputBitDepth=10", "--OutputBitDepthC=10"]
    files = ["-c", str(tools.configuration("ai", 8)), "-i", str(tmp_path / "in.yuv"), "-b", str(stream), "-o", str(recon), *shown]
    command = [*files, *hm.arguments(pictures[0], 2, 40, network=True, options=(*options(models[0]), *words))]
    said = programs.run([str(tools.encoder), *command], "HM's encoder").out
    assert ("VRCNN: luma only: chroma is not 4:2:0 of 8 to 10 bits" in said) == (chroma_format in ("422", "444"))
    told = [information for information in side_information(stream.read_bytes()) if information]
    assert [information.filters for information in told] == [True, True]
    # To HM 18 (not to 16) an error of chroma with fewer bits than luma's counts little: then there may be nothing in chroma to filter.
    known = chroma_format != "420" or bit_depths != (10, 8)
    assert not known or all((information.chroma_mode == "off") == (chroma_format != "420") for information in told)
    again = tmp_path / "again.yuv"
    decoding_words = ["-b", str(stream), "-o", str(again), *shown, *decoding(models[0])]
    said = programs.run([str(tools.decoder), *decoding_words], "HM's decoder").out
    assert len(re.findall(r"\(OK\)", said)) == 2
    assert again.read_bytes() == recon.read_bytes()


@pytest.mark.parametrize(("luma", "chroma"), [(0, 1), (1, 0), (1, 1)])
def test_sao_and_networks_before_deblocking_contradict(
    tools: hm.Tools, clip: list[Picture], tmp_path: Path, luma: int, chroma: int
) -> None:
    """The encoder has networks that help nobody, so it keeps SAO of all planes; the stream then claims a network."""
    models = joint_set()
    models.save(tmp_path / "random.vrcnn")
    coded = hm.encode(tools, clip[:1], 37, network=True, options=(*options(tmp_path / "random.vrcnn"), "--VRCNNMap=0"))
    assert coded.decided == ["off/off"]
    words = decoding(tmp_path / "random.vrcnn")
    with pytest.raises(CodecError, match="both SAO and a network before deblocking"):
        hm.decode(tools, with_extension(coded.data, 0, everywhere(models, luma, chroma)), options=words)
    after = everywhere(models, luma, chroma, 1)
    assert hm.decode(tools, with_extension(coded.data, 0, after), options=words).verdicts == [(0, "ERROR")]


def test_what_a_decoder_lacks_is_named(tools: hm.Tools, clip: list[Picture], models: list[Path]) -> None:
    coded = hm.encode(tools, clip[:1], 40, network=True, options=options(models[0]))
    identity = ModelSet.load(models[0]).identity[:6]
    with pytest.raises(CodecError, match=rf"the stream needs the model set {identity}\.\.\., which is not built in; name its file"):
        hm.decode(tools, coded.data)
    extension = slices.pictures(coded.data)[0][0].extension
    other = with_extension(coded.data, 0, everywhere(ModelSet.load(models[0]))[:6] + bytes([0b0101_0111, 0b1001_0000]))
    with pytest.raises(CodecError, match="POC 0: the side information names network 30, the model set has 2"):
        hm.decode(tools, other, options=decoding(models[0]))
    with pytest.raises(CodecError, match="VRCNN: POC 0: "):
        hm.decode(tools, with_extension(coded.data, 0, extension + b"\0"), options=decoding(models[0]))


def test_a_set_by_its_name(tools: hm.Tools, clip: list[Picture]) -> None:
    """The decoder finds it by what the stream says."""
    coded = hm.encode(tools, clip[:1], 40, network=True, options=("--VRCNNModel=joint_intra",))
    assert filtered(coded)[0].identity == bytes.fromhex(ModelSet.load(builtin_path("joint_intra")).identity[:6])
    check_closed_loop(tools, coded, clip[0])
    check_closed_loop(tools, coded, clip[0], "--VRCNNModel=joint_intra")


@pytest.mark.parametrize(("words", "name", "version"), [("joint_intra", "joint_intra", 2), ("builtin", "vrcnn_intra", 1)])
@pytest.mark.parametrize("more", [(), ("--AccessUnitDelimiter=1", "--SEIActiveParameterSets=1")], ids=["plain", "beside others"])
def test_the_sei_message_is_a_nal_unit_of_its_own(
    tools: hm.Tools, clip: list[Picture], words: str, name: str, version: int, more: tuple[str, ...]
) -> None:
    options = (f"--VRCNNModel={words}", *more)
    silent, saying = (hm.encode(tools, clip, 38, network=True, options=(*options, *sei)) for sei in ((), ("--VRCNNSEI=1",)))
    parts = nal.split(saying.data)
    assert announced(parts) == Announcement(version, ModelSet.load(builtin_path(name)).identity[:16])
    (at,) = (number for number, part in enumerate(parts) if announced([part]))
    assert {part.type for part in parts[:at]} >= {32, 33, 34}
    assert not any(part.is_slice for part in parts[:at])
    assert [part.data for part in parts[:at] + parts[at + 1 :]] == [part.data for part in nal.split(silent.data)]
    check_closed_loop(tools, saying, clip[0])


def test_without_the_filter_no_stream_says_that_it_needs_it(tools: hm.Tools, clip: list[Picture]) -> None:
    silent, saying = (hm.encode(tools, clip[:1], 38, options=more).data for more in ((), ("--VRCNNSEI=1",)))
    assert silent == saying


def test_sizes(tools: hm.Tools, clip: list[Picture], tmp_path: Path) -> None:
    """A set of a trained network, said to be of size best, and a random one of size fast, which helps nobody."""
    random = next(network for network in joint_set().networks if network.size == "fast")
    best = replace(trained_joint_set().networks[0], size="best")
    ModelSet((best, random)).save(tmp_path / "both.vrcnn")
    words = options(tmp_path / "both.vrcnn")
    found = [
        hm.encode(tools, clip[:1], 40, network=True, options=(*words, *more)) for more in ((), ("--VRCNNSize=best",), ("--VRCNNSize=fast",))
    ]
    assert found[0].data == found[1].data
    assert found[0].decided != ["off/off"]
    assert found[2].decided == ["off/off"]
    with pytest.raises(CodecError, match="--VRCNNSize=small: there are fast and best"):
        hm.encode(tools, clip[:1], 40, network=True, options=(*words, "--VRCNNSize=small"))


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_evaluation_with_offline_replay(tmp_path: Path, clip: list[Picture], bit_depth: int, tools: hm.Tools, models: list[Path]) -> None:
    shift = bit_depth - 8
    deep = [Picture(tuple(plane.astype(np.uint16) << shift for plane in p.planes), 10, "420") for p in clip] if shift else clip
    write_y4m(tmp_path / "clip.y4m", deep[:2], 25)
    (source,) = resolve(tmp_path / "clip.y4m")
    settings = Settings(codec="hm", qps=(37,), variants=("anchor", "picture", "map"), frames=2, check=True, model=models[0])
    found = as_json(cluster.evaluate(Plan((source,), (settings,)), Store(tmp_path / "results")).rows)
    assert [row["flag"] for row in found] == [None, None, None]
    assert [sum(row[f"checked_{what}"] for row in found) for what in ("pictures", "samples")] == [4, 4 * 92 * 140 * 3 // 2]
    rows = {row["variant"]: row for row in found}
    for plane in "yuv":
        assert rows["map"][f"psnr_{plane}"] > rows["anchor"][f"psnr_{plane}"]


@pytest.mark.parametrize("configuration", ["ai", "ra"])
@pytest.mark.parametrize("position", [0, 1])
def test_libde265_decodes_it(
    tools: hm.Tools,
    clip: list[Picture],
    models: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    configuration: str,
    position: int,
) -> None:
    """Frame threads and wavefronts, too."""
    try:
        others = x265_loop.find_tools()
    except CodecError as error:
        pytest.skip(str(error))
    moving = []
    for at in range(20):
        planes = [p[: 88 // s, 2 * at // s : (2 * at + 96) // s] for p, s in zip(clip[0].planes, (1, 2, 2), strict=True)]
        moving.append(Picture(tuple(map(np.ascontiguousarray, planes)), 8, "420"))
    words = (*options(models[position], position), "--WaveFrontSynchro=1")
    coded = hm.encode(tools, moving, 35, configuration=configuration, network=True, options=words)
    assert any(information.chroma_mode != "off" for information in filtered(coded))
    for name, value in other_bytes_each_time(tmp_path).items():
        monkeypatch.setenv(name, value)
    for threads in ("0", "4"):
        decoded = x265_loop.decode(others, coded.data, moving[0], ["--vrcnn-model", str(models[position]), "-t", threads])
        gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
        assert decoded.filtered == len(filtered(coded))
