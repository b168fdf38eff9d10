"""HM with the filter inside: logs, programs that misbehave, and, where a built HM is given, streams from end to end.

The tests that run HM skip unless HM_ROOT (a built checkout with the adapter), or HM_ENCODER and HM_DECODER, are given.
"""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import Sideinfo, side_information, side_information_bits
from codec_bridge.codecs import decoder, gates
from codec_bridge.codecs.base import NO_SAO, OFF, ORDINARY, Coded
from codec_bridge.codecs.hm import run as hm
from codec_bridge.codecs.hm.codec import Hm
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import check, cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import EvaluationError, Settings
from codec_bridge.evaluation.store import Store
from codec_bridge.filter import Filter
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support.documents import as_json
from tests.support.hm_runs import BLOCKS, OPTIONS, built_hm, moving_clip, noise
from tests.support.hm_streams import BitWriter, with_extension
from tests.support.media import pictures
from tests.support.memory import other_bytes_each_time
from tests.support.models import random_network, shipped
from vrcnn_int.integer import ModelSet

LOG = """
VRCNN: model set fac5693b, before deblocking, kernels avxvnni, 2 threads
VRCNN POC    0: map of networks 2,1,3 scale 8 units of 64 [15 bytes] [VT 1.552]
POC    0 TId: 0 ( I-SLICE, nQP 32 QP 32 )      35720 bits [Y 35.9136 dB    U 39.2752 dB    V 39.2907 dB] [ET     1 ] [L0 ] [L1 ] [MD5:0,1,2]
VRCNN POC    8: off [1 bytes] [VT 0.125]
POC    8 TId: 0 ( B-SLICE, nQP 33 QP 33 )       3571 bits [Y 35.9136 dB    U 39.2752 dB    V 39.2907 dB] [ET     1 ] [L0 0 ] [L1 0 ] [MD5:0]

 Total Time:        2.045 sec.
"""


def test_encoder_log() -> None:
    first, second = hm.parse_encoder_log(LOG)
    assert first == hm.CodedPicture(0, "I", 35720, (35.9136, 39.2752, 39.2907), "map", 1.552)
    assert (second.poc, second.decided, second.filter_seconds) == (8, "off", 0.125)
    joint = LOG.replace(": map of", ": luma map, chroma all of").replace(": off [1", ": luma off, chroma off [0")
    assert [picture.decided for picture in hm.parse_encoder_log(joint)] == ["map/all", "off/off"]
    plain = "\n".join(line for line in LOG.splitlines() if not line.startswith("VRCNN"))
    assert [picture.decided for picture in hm.parse_encoder_log(plain)] == [None, None]


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HM_ROOT", "HM_ENCODER", "HM_DECODER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_variables")
def test_tools_are_found_or_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CodecError, match="give HM's folder with --hm"):
        hm.find_tools()
    with pytest.raises(CodecError, match="has no built TAppEncoder in bin"):
        hm.find_tools(tmp_path)
    encoder = script(tmp_path / "bin/umake/gcc/x86_64/release/TAppEncoder", "exit 3")
    decoder = script(tmp_path / "bin/TAppDecoderStatic", "exit 3")
    with pytest.raises(CodecError, match="configuration files"):
        hm.find_tools(tmp_path)
    (tmp_path / "cfg").mkdir()
    assert hm.find_tools(tmp_path) == hm.Tools(encoder, decoder, tmp_path / "cfg", encoder)
    monkeypatch.setenv("HM_ROOT", str(tmp_path))
    assert hm.find_tools().encoder == encoder
    monkeypatch.setenv("HM_DECODER", str(encoder))
    assert hm.find_tools().decoder == encoder
    monkeypatch.setenv("HM_DECODER", str(tmp_path / "missing"))
    with pytest.raises(CodecError, match="HM_DECODER: there is no program"):
        hm.find_tools()
    with pytest.raises(CodecError, match=r"encoder_intra_main\.cfg is not there"):
        hm.find_tools(tmp_path).configuration("ai", 8)
    with pytest.raises(CodecError, match="unknown configuration 'xx'; there are ai, ra, ldb, ldp"):
        hm.find_tools(tmp_path).configuration("xx", 8)


@pytest.mark.usefixtures("no_variables")
def test_programs_that_fail_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg/encoder_intra_main.cfg").write_text("")
    script(tmp_path / "bin/TAppEncoderStatic", "echo 'VRCNN: no such thing' >&2; exit 1")
    script(tmp_path / "bin/TAppDecoderStatic", "echo nothing")
    tools = hm.find_tools(tmp_path)
    with pytest.raises(CodecError, match=r"HM's encoder failed \(exit code 1\): VRCNN: no such thing"):
        hm.encode(tools, pictures(1), 32)
    with pytest.raises(CodecError, match="found no picture"):
        hm.decode(tools, b"\0\0\1\x40\1")
    script(tmp_path / "bin/TAppDecoderStatic", "echo 'VRCNN: POC 3: bad' >&2; echo 'POC 0 TId: 0 ( I-SLICE ) [MD5:00,(OK)]'; exit 1")
    with pytest.raises(CodecError, match="VRCNN: POC 3: bad"):
        hm.decode(tools, b"\0\0\1\x40\1")
    script(tmp_path / "bin/TAppEncoderStatic", "kill -9 $$")
    with pytest.raises(CodecError, match=r"HM's encoder failed \(signal 9\)"):
        hm.encode(tools, pictures(1), 32)


def test_verdicts_and_differences_are_found() -> None:
    left = pictures(2)
    right = [left[0], left[1].with_luma(left[1].planes[0] ^ np.uint8(1))]
    fine = [(0, "OK"), (1, "OK")]
    assert gates.compare_coded(left, left, fine) == 2 * left[0].planes[0].size
    with pytest.raises(gates.Inconsistency, match="picture 1: encoder and decoder differ in plane Y"):
        gates.compare_coded(left, right, fine)
    with pytest.raises(gates.Inconsistency, match=r"1 of 2 picture hashes missing or wrong: POC 1 \(unk\)"):
        gates.compare_coded(left, left, [(0, "OK"), (1, "unk")])
    with pytest.raises(gates.Inconsistency, match="2 pictures coded, 1 decoded"):
        gates.compare_coded(left, left[:1], fine)
    side = [Sideinfo(b"abcd", "off"), None]
    gates.compare_decisions(["off", None], side)
    with pytest.raises(gates.Inconsistency, match="picture 1 in coding order: the encoder decided all, the stream says None"):
        gates.compare_decisions(["off", "all"], side)
    joint = [Sideinfo(b"abc", "map", version=2, chroma_mode="all"), Sideinfo(None, "off", version=2)]
    gates.compare_decisions(["map/all", "off/off"], joint)
    with pytest.raises(gates.Inconsistency, match="picture 0 in coding order: the encoder decided map/off, the stream says map/all"):
        gates.compare_decisions(["map/off", "off/off"], joint)
    with pytest.raises(gates.Inconsistency, match="the encoder decided no picture"):
        gates.compare_decisions(["off"], side)


def test_settings_that_fit_no_codec(tmp_path: Path) -> None:
    write_y4m(tmp_path / "clip.y4m", pictures(1), 25)
    (source,) = resolve(tmp_path / "clip.y4m")
    with pytest.raises(EvaluationError, match="all-intra only"):
        Plan((source,), (Settings(configuration="ra"),))
    with pytest.raises(EvaluationError, match="hm has anchor, none, integer, float, choice, picture, map"):
        Plan((source,), (Settings(codec="hm", variants=("after",)),))


# ---- with a built HM ----


@pytest.fixture(scope="module")
def tools() -> hm.Tools:
    return built_hm()


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    return moving_clip()


@pytest.fixture(scope="module")
def intra(tools: hm.Tools, clip: list[Picture]) -> Coded:
    coded = hm.encode(tools, clip[:2], 37, network=True)
    assert all(mode in ("all", "map") for mode in coded.decided)
    return coded


@pytest.mark.parametrize("words", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("configuration", ["ai", "ldp"])
def test_decoder_has_the_encoder_s_pictures(tools: hm.Tools, clip: list[Picture], configuration: str, words: tuple[str, ...]) -> None:
    coded = hm.encode(tools, clip, 37, configuration=configuration, network=True, options=words)
    decoded = hm.decode(tools, coded.data, clip[0])
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
    side = side_information(coded.data)
    gates.compare_decisions(coded.decided, side)
    assert side[0] is not None
    assert side[0].identity == bytes.fromhex(shipped().identity[:8])
    assert all(not segment.extension for segment in slices.segments(coded.data) if not segment.first_in_picture)
    if "--CUTransquantBypassFlagForce=1" in words:
        assert all(np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(coded.recon, clip, strict=True))
    else:
        assert any(information is not None and information.mode != "off" for information in side)


@pytest.mark.parametrize("network", [False, True])
def test_long_random_access_streams(
    tools: hm.Tools, clip: list[Picture], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: bool
) -> None:
    """HM's in libde265, x265's in HM: parameter sets are repeated before CRA pictures, which RASL pictures follow."""
    try:
        others = x265_loop.find_tools()
    except CodecError as error:
        pytest.skip(str(error))
    moving = []
    for at in (number % 30 for number in range(66)):
        planes = [p[: 64 // s, 2 * at // s : (2 * at + 72) // s] for p, s in zip(clip[at % 3].planes, (1, 2, 2), strict=True)]
        moving.append(Picture(tuple(map(np.ascontiguousarray, planes)), 8, "420"))
    theirs = x265_loop.encode(others, moving, 37, configuration="ra", options=["--vrcnn"] * network + ["--open-gop", "--keyint", "16"])
    decoded = hm.decode(tools, theirs.data, moving[0])
    gates.compare_coded(theirs.recon, decoded.pictures, decoded.verdicts)
    ours = hm.encode(replace(tools, anchor=tools.encoder), moving, 37, configuration="ra", network=network)
    assert sum(picture[0].is_irap for picture in slices.pictures(ours.data)) > 2
    for name, value in other_bytes_each_time(tmp_path).items():
        monkeypatch.setenv(name, value)
    decoded = x265_loop.decode(others, ours.data, moving[0])
    gates.compare_coded(ours.recon, decoded.pictures, decoded.verdicts)


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_evaluation_with_offline_replay(tmp_path: Path, clip: list[Picture], bit_depth: int, tools: hm.Tools) -> None:
    shift = bit_depth - 8
    deep = [Picture(tuple(plane.astype(np.uint16) << shift for plane in p.planes), 10, "420") for p in clip] if shift else clip
    write_y4m(tmp_path / "clip.y4m", deep[:2], 25)
    (source,) = resolve(tmp_path / "clip.y4m")
    settings = Settings(codec="hm", qps=(32,), variants=("anchor", "picture", "map"), frames=2, check=True)
    found = as_json(cluster.evaluate(Plan((source,), (settings,)), Store(tmp_path / "results")).rows)
    assert [row["flag"] for row in found] == [None, None, None]
    assert [sum(row[f"checked_{what}"] for row in found) for what in ("pictures", "samples")] == [4, 4 * 92 * 140]
    rows = {row["variant"]: row for row in found}
    assert rows["anchor"]["side_information_bits"] == 0
    assert rows["map"]["side_information_bits"] >= 8 * 7
    assert rows["map"]["psnr_y"] > rows["anchor"]["psnr_y"]
    assert rows["map"]["psnr_u"] == rows["anchor"]["psnr_u"]


def test_a_planted_difference_is_found(tools: hm.Tools, clip: list[Picture], intra: Coded) -> None:
    """The replay sees a side information that is not the encoder's."""
    side = side_information(intra.data)[0]
    assert side is not None
    streams = [hm.encode(tools, clip[:2], 37, options=what).data for what in (Hm().loop_options(loop) for loop in (OFF, NO_SAO, ORDINARY))]
    recons = [next(decoder.decode(data)) for data in streams]
    with Filter(shipped()) as filter_:
        gates.compare_sides(intra.recon[0], check.replay(filter_, side, *recons).cropped(), "same")
        other = replace(side, scale=side.scale % 10 + 1)
        with pytest.raises(gates.Inconsistency, match="encoder and decoder differ in plane Y"):
            gates.compare_sides(intra.recon[0], check.replay(filter_, other, *recons).cropped(), "other")


WRONG = {
    "version": (lambda data: data[:2] + b"\7" + data[3:], "version"),
    "model": (
        lambda data: data[:3] + b"\1\2\3\4" + data[7:],
        r"needs the model set 01020304\.\.\., which is not built in; name its file with",
    ),
    "cut off": (lambda data: data[:8], "ends early|truncated|missing|incomplete"),
    "too long": (lambda data: data + b"\0", "contradicts itself"),
    "reserved mode": (lambda data: data[:7] + b"\xc0", "contradicts itself"),
    "network": (
        lambda data: data[:7] + bytes([0b010_11110, 0b1000_0000]),
        f"names network 30, the model set has {len(shipped().networks)}",
    ),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_wrong_side_information_stops_the_decoder(tools: hm.Tools, intra: Coded, tmp_path: Path, change: object, said: str) -> None:
    assert callable(change)
    extension = slices.pictures(intra.data)[0][0].extension
    stream = tmp_path / "stream.bin"
    stream.write_bytes(with_extension(intra.data, 0, change(extension)))
    done = subprocess.run([str(tools.decoder), "-b", str(stream), "-o", str(tmp_path / "out.yuv")], capture_output=True, text=True)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("VRCNN: ")
    assert re.search(said, lines[0])
    assert not (tmp_path / "out.yuv").exists() or (tmp_path / "out.yuv").stat().st_size == 0


def test_lost_side_information_of_a_later_picture(tools: hm.Tools, intra: Coded) -> None:
    irap = [picture[0].is_irap for picture in slices.pictures(intra.data)]
    with pytest.raises(CodecError, match="VRCNN: POC 1"):
        hm.decode(tools, with_extension(intra.data, 1, b"XY" if not irap[1] else b"VN"))


@pytest.mark.parametrize("dependent", [False, True])
def test_a_lost_first_segment(tools: hm.Tools, clip: list[Picture], dependent: bool) -> None:
    words = ("--SliceSegmentMode=1", "--SliceSegmentArgument=2") if dependent else ("--SliceMode=1", "--SliceArgument=2")
    data = hm.encode(tools, clip, 37, configuration="ldp", network=True, options=words).data
    slice_units = [unit for unit in nal.split(data) if unit.type < 32]
    lost = [unit for unit, segment in zip(slice_units, slices.segments(data), strict=True) if segment.first_in_picture][1]
    left = b"".join(b"\0\0\0\1" + unit.data for unit in nal.split(data) if unit.data != lost.data)
    with pytest.raises(CodecError, match=r"VRCNN: POC [01]: the first slice segment of a picture, which has the side information, is lost"):
        hm.decode(tools, left)


def test_somebody_else_s_extensions_are_ignored(tools: hm.Tools, intra: Coded) -> None:
    data = with_extension(with_extension(intra.data, 0, b"XYZ"), 1, b"\xff" * 256)
    verdicts = hm.decode(tools, data).verdicts
    assert verdicts == [(0, "ERROR"), (1, "ERROR")]  # decoded, without the filter


def everywhere(irap: bool, position: int) -> bytes:
    """Side information: network 3 on the whole picture, trained scale."""
    identity = b"VN\1" + bytes.fromhex(shipped().identity[:8])
    bits = BitWriter().u(1, 2).u(position, 1).u(3, 5).u(8, 4).u(0, 4)
    return (identity if irap else b"") + int(bits.text, 2).to_bytes(2, "big")


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("kind", BLOCKS)
def test_lossless_and_pcm_blocks_keep_their_samples(tools: hm.Tools, kind: str, position: int) -> None:
    """Streams of nothing but such blocks, told afterwards that a network filters them: only PCM with its loop filter on changes."""
    source = noise()
    coded = hm.encode(tools, source, 0, network=True, options=(*BLOCKS[kind], "--SAO=0", "--LoopFilterDisable=1"))
    assert np.array_equal(coded.recon[0].planes[0], source[0].planes[0])
    decoded = hm.decode(tools, with_extension(coded.data, 0, everywhere(True, position)))
    assert decoded.verdicts == [(0, "ERROR" if kind == "PCM, filtered" else "OK")]


def test_luma_sao_and_a_network_before_deblocking_contradict(tools: hm.Tools, clip: list[Picture], tmp_path: Path) -> None:
    """The encoder has a model that helps nobody, so it keeps luma SAO; the stream then claims a network."""
    model = tmp_path / "random.vrcnn"
    model.write_bytes(ModelSet((random_network(np.random.default_rng(5)),)).to_bytes())
    coded = hm.encode(tools, clip[:1], 37, network=True, options=(f"--VRCNNModel={model}", "--VRCNNMap=0"))
    assert coded.decided[0] == "off"
    with pytest.raises(CodecError, match="both SAO and a network before deblocking"):
        hm.decode(tools, with_extension(coded.data, 0, everywhere(True, 0)))
    assert hm.decode(tools, with_extension(coded.data, 0, everywhere(True, 1))).verdicts == [(0, "ERROR")]


def test_filter_off_leaves_nothing_in_the_stream(tools: hm.Tools, clip: list[Picture]) -> None:
    coded = hm.encode(replace(tools, anchor=tools.encoder), clip[:1], 37, options=("--VRCNN=0",))
    assert side_information_bits(coded.data) == 0
    assert coded.kernel is None


def test_position_after_sao_and_a_model_from_a_file(tools: hm.Tools, clip: list[Picture], tmp_path: Path) -> None:
    model = tmp_path / "set.vrcnn"
    model.write_bytes(ModelSet(tuple(replace(network, position="after_sao") for network in shipped().networks)).to_bytes())
    words = (f"--VRCNNModel={model}", "--VRCNNPosition=1")
    coded = hm.encode(tools, clip, 42, network=True, options=words)
    side = [information for information in side_information(coded.data) if information and information.mode != "off"]
    assert side
    assert all(information.position == "after_sao" for information in side)
    decoded = hm.decode(tools, coded.data, clip[0], words[:1])
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
    with pytest.raises(CodecError, match="name its file with --VRCNNModel"):
        hm.decode(tools, coded.data)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--VRCNNKernel=none",), "--VRCNNKernel: there is no none"),
        (("--VRCNNThreads=65",), "--VRCNNThreads=65"),
        (("--VRCNNPosition=2",), "--VRCNNPosition=2: there are 0"),
        (("--VRCNNMap=3",), "--VRCNNMap=3: there are 0"),
        (("--VRCNNModel=/nowhere",), "cannot read model set /nowhere"),
        (("--InternalBitDepth=12", "--Profile=main-RExt"), "works on 8 to 10 bits of luma, not on 12"),
    ],
)
def test_options_that_cannot_be(tools: hm.Tools, clip: list[Picture], words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CodecError, match=r"HM's encoder failed \(exit code 1\): VRCNN: ") as raised:
        hm.encode(tools, clip[:1], 37, network=True, options=words)
    assert said in str(raised.value)


def test_a_set_without_networks_for_the_position_is_refused(tools: hm.Tools, clip: list[Picture], tmp_path: Path) -> None:
    ModelSet(shipped().networks[:1]).save(tmp_path / "before.vrcnn")
    words = (f"--VRCNNModel={tmp_path / 'before.vrcnn'}", "--VRCNNPosition=1")
    with pytest.raises(CodecError, match="for this position"):
        hm.encode(tools, clip[:1], 37, network=True, options=words)
