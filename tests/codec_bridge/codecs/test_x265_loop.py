"""x265 and libde265 with the filter inside: programs that misbehave, and, where they are built, streams from end to end.

The tests that run them skip unless `make codecs` was run, or VRCNN_CODECS names the folder of the programs.
"""

import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.bitstream import nal, parameter_sets, slices
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import parse, side_information, side_information_bits
from codec_bridge.codecs import gates, programs
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.given import check_inside
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import EvaluationError, Settings, check_settings
from codec_bridge.evaluation.store import Store
from codec_bridge.filter import Filter, FilterError
from codec_bridge.library.decider import Decider
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import x265_runs
from tests.support.documents import as_json
from tests.support.hm_streams import with_extension
from tests.support.memory import other_bytes_each_time
from tests.support.models import shipped
from vrcnn_int.integer import ModelSet

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def tools() -> x265_loop.Tools:
    return x265_runs.tools()


def moving(count: int, bit_depth: int = 8, width: int = 176, height: int = 152) -> list[Picture]:
    """A smooth texture that moves by two samples a picture, with noise."""
    rng = np.random.default_rng(7)
    unit = 1 << (bit_depth - 8)
    ys, xs = np.mgrid[:height, : width + 2 * count]
    field = 120 + 50 * np.sin(xs / 7 + ys / 23) + 30 * ((xs // 24 + ys // 16) % 2) + rng.normal(0, 3, ys.shape)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    found = []
    for n in range(count):
        luma = (np.clip(field[:, 2 * n : 2 * n + width], 0, 255) * unit).astype(dtype)
        chroma = np.full((height // 2, width // 2), 128 * unit, dtype)
        found.append(Picture((luma, chroma, chroma.copy()), bit_depth, "420"))
    return found


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_programs_of_the_folder_one_stands_in_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "build/codecs/bin"
    place.mkdir(parents=True)
    for name in ("x265", "x265-10bit", "dec265"):
        (place / name).write_text("#!/bin/sh\n")
        (place / name).chmod(0o755)
    assert x265_loop.find_tools(place).encoder == place / "x265"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VRCNN_CODECS", raising=False)
    monkeypatch.setattr(x265_loop, "DEFAULT_FOLDER", x265_loop.DEFAULT_FOLDER.parent / "none")
    with pytest.raises(CodecError, match=re.escape(str(ROOT / "build/codecs/none/x265"))):
        x265_loop.find_tools()
    # An installed package has no build folder beside it, and none is made up.
    monkeypatch.setattr(x265_loop, "DEFAULT_FOLDER", tmp_path / "lib/site-packages/build/codecs/bin")
    with pytest.raises(CodecError, match=r"an installed package has no programs .* give build/codecs/bin .* --codecs or in VRCNN_CODECS$"):
        x265_loop.find_tools()
    monkeypatch.setenv("VRCNN_CODECS", str(place))
    assert x265_loop.find_tools().encoder == place / "x265"


def test_programs_that_are_not_there_or_fail(tmp_path: Path) -> None:
    with pytest.raises(CodecError, match="make codecs"):
        x265_loop.find_tools(tmp_path)
    for name in ("x265", "x265-10bit"):
        script(tmp_path / name, 'echo "x265 [info]: hello"; echo "x265 [error]: it cannot be"; echo "x265 [error]: failed"; exit 1')
    script(tmp_path / "dec265", 'echo "VRCNN: 3 pictures filtered in 0.1 s"; echo "VRCNN: no such model"; exit 10')
    fake = x265_loop.find_tools(tmp_path)
    with pytest.raises(CodecError, match=r"x265 failed \(exit code 1\): x265 \[error\]: it cannot be"):
        x265_loop.encode(fake, moving(1), 32)
    with pytest.raises(CodecError, match=r"dec265 failed \(exit code 10\): VRCNN: no such model"):
        x265_loop.decode(fake, b"")
    script(tmp_path / "dec265", 'echo "nFrames decoded: 0 (0x0)"')
    with pytest.raises(CodecError, match="no picture"):
        x265_loop.decode(fake, b"")
    with pytest.raises(CodecError, match="x265-loop has ai, ldp, ra"):
        x265_loop.encode(fake, moving(1), 32, configuration="ldb")
    with pytest.raises(CodecError, match="no pictures"):
        x265_loop.encode(fake, [], 32)
    with pytest.raises(EvaluationError, match="unknown configuration"):
        check_settings(Settings("x265-loop", variants=("map",), configuration="ldb", folders={"codecs": tmp_path}))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell how much processor time a process used")
def test_a_program_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x265", "x265-10bit", "dec265"):
        script(tmp_path / name, "exec sleep 1000")
    monkeypatch.setattr(programs, "STALLED", 0.2)
    with pytest.raises(CodecError, match=r"dec265 hangs: it has used no processor time for 0\.2 s"):
        x265_loop.decode(x265_loop.find_tools(tmp_path), b"")


@pytest.mark.parametrize(
    ("size", "configuration", "preset", "options"),
    [
        ((66, 64), "ra", "medium", []),
        ((64, 64), "ai", "medium", []),
        ((64, 72), "ldp", "medium", ["--ctu", "32"]),
        ((66, 62), "ra", "medium", ["--ctu", "32"]),
        ((32, 400), "ai", "slow", ["--ctu", "32"]),
        ((34, 32), "ra", "superfast", []),
        ((32, 40), "ra", "ultrafast", ["--ctu", "16"]),
        ((18, 16), "ra", "medium", ["--ctu", "16"]),
        ((16, 16), "ai", "medium", ["--ctu", "16"]),
    ],
)
def test_small_pictures_have_small_ctus(size: tuple[int, int], configuration: str, preset: str, options: list[str]) -> None:
    """Where x265 would hang, or code what no decoder decodes; the keys of all other results stay as they were."""
    like = moving(1, width=size[0], height=size[1])[0]
    words = x265_loop.arguments(like, 1, 32, configuration, preset)
    assert words[words.index("--ctu") :][:2] == options if options else "--ctu" not in words


@pytest.mark.parametrize(
    ("size", "configuration", "told"),
    [((8, 8), "ai", "at least 16x16"), ((66, 14), "ra", "wider than 16 and at"), ((16, 64), "ldp", "wider")],
)
def test_pictures_that_x265_cannot_code_are_refused(size: tuple[int, int], configuration: str, told: str) -> None:
    """Before the program is started: it would hang."""
    nowhere = x265_loop.Tools(Path("/no/x265"), Path("/no/x265"), Path("/no/dec265"))
    with pytest.raises(CodecError, match=rf"x265 cannot code pictures of {size[0]}x{size[1]}: give such as are {told}"):
        x265_loop.encode(nowhere, moving(2, width=size[0], height=size[1]), 37, configuration=configuration)


@pytest.mark.parametrize("size", [(66, 62), (64, 64), (18, 16)])
def test_small_pictures_are_coded(tools: x265_loop.Tools, size: tuple[int, int]) -> None:
    """Smaller than a CTU of 64x64, or of one column of them, with and without networks in the loop."""
    for configuration, words in product(x265_loop.CONFIGURATIONS, [(), ("--vrcnn", "--vrcnn-model", "joint_inter")]):
        coded = x265_loop.encode(tools, moving(4, width=size[0], height=size[1]), 37, configuration=configuration, options=words)
        decoded = x265_loop.decode(tools, coded.data, coded.recon[0], words[1:])
        gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)


def test_compare_modes() -> None:
    side = [None]
    gates.compare_modes(Counter({"none": 1}), side)
    with pytest.raises(gates.Inconsistency, match="the stream says"):
        gates.compare_modes(Counter({"map": 1}), side)


def test_decision_is_what_its_side_information_says() -> None:
    original = moving(1)[0].planes[0]
    source = (original // 12 * 12 + 6).astype(np.uint8)
    height, width = original.shape
    with Decider(width, height) as decider, Filter() as filter_:
        index = filter_.index_for_qp(32)
        target = filter_.filter_plane(source, 8, index)
        cost = float(((source.astype(int) - target) ** 2).sum())
        found = decider.decide(target, source, source, 8, qp=32, lam=1.0, ordinary_cost=cost, is_irap=True)
        assert found.mode == "all"
        assert found.luma is not None
        assert np.array_equal(found.luma, target)
        side = parse(found.data, True, width, height)
        assert side is not None
        assert side.indices == (index,)
        assert side.scale == 8
        assert found.cost == 8 * len(found.data)
        off = decider.decide(source, source, source, 8, qp=32, lam=1.0, ordinary_cost=0.0)
        assert (off.mode, off.luma, off.data, off.cost) == ("off", None, b"\0", 8.0)
        with pytest.raises(FilterError, match="QP"):
            decider.decide(target, source, source, 8, qp=52, lam=1.0, ordinary_cost=cost)
        nan, inf = float("nan"), float("inf")
        for lam, ordinary in ((nan, cost), (inf, cost), (-1.0, cost), (1.0, nan), (1.0, inf), (1e308, cost)):
            with pytest.raises(FilterError, match="a cost is negative or not finite"):
                decider.decide(target, source, source, 8, qp=32, lam=lam, ordinary_cost=ordinary)
        wrong: Any
        for wrong in (source.tolist(), source.astype(float), source.astype(int), source[0]):
            with pytest.raises(FilterError, match="must be a uint8 or uint16 array"):
                decider.decide(target, wrong, source, 8, qp=32, lam=1.0, ordinary_cost=cost)
        few: Any
        for few in (np.zeros((1, 1), np.uint8), [0], np.zeros((19, 22))):
            with pytest.raises(FilterError, match="what is kept is a uint8 array"):
                decider.decide(target, source, source, 8, qp=32, lam=1.0, ordinary_cost=cost, kept=few)
    with pytest.raises(FilterError, match="closed"):
        decider.decide(target, source, source, 8, qp=32, lam=1.0, ordinary_cost=cost)


@pytest.mark.parametrize("configuration", ["ai", "ldp", "ra"])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_closed_loop(tools: x265_loop.Tools, configuration: str, bit_depth: int) -> None:
    originals = moving(9, bit_depth)
    coded = x265_loop.encode(tools, originals, 35, configuration=configuration, options=["--vrcnn"])
    assert coded.decided.count("map") + coded.decided.count("all") > 0
    side = side_information(coded.data)
    gates.compare_modes(Counter(map(str, coded.decided)), side)
    for threads in ("0", "2"):
        decoded = x265_loop.decode(tools, coded.data, originals[0], ["-t", threads])
        assert gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts) == 9 * 176 * 152
        assert decoded.filtered == sum(information is not None and information.mode != "off" for information in side)
    plain = x265_loop.encode(tools, originals, 35, configuration=configuration)
    assert side_information_bits(plain.data) == 0
    assert x265_loop.decode(tools, plain.data).filtered == 0
    assert any(not np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(coded.recon, plain.recon, strict=True))


@pytest.mark.parametrize("words", [(), ("--vrcnn",)])
def test_repeated_parameter_sets_are_not_new_ones(
    tools: x265_loop.Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """They stand before CRA pictures; the RASL pictures behind those keep their references, whatever was in memory before."""
    originals = moving(66, width=72, height=64)
    gops = ("--open-gop", "--repeat-headers", "--keyint", "16", "--min-keyint", "16", "--bframes", "3", "--b-adapt", "0")
    coded = x265_loop.encode(tools, originals, 35, configuration="ra", options=[*words, *gops])
    units = nal.split(coded.data)
    assert {8, 9, 21} & {unit.type for unit in units} >= {9, 21}
    assert len({unit.data for unit in units if unit.type == parameter_sets.SPS}) == 1
    assert sum(unit.type == parameter_sets.SPS for unit in units) > 3
    for name, value in other_bytes_each_time(tmp_path).items():
        monkeypatch.setenv(name, value)
    decoded = x265_loop.decode(tools, coded.data, originals[0])
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)


@pytest.mark.parametrize(
    "options",
    [
        ("-F", "1"),
        ("-F", "3", "--vrcnn-threads", "2"),
        ("--no-wpp", "--pools", "none"),
        ("--no-sao",),
        ("--no-deblock",),
        ("--no-vrcnn-map",),
        ("--ctu", "16", "--max-tu-size", "16"),
        ("--cu-lossless", "--qp", "10"),
        ("--preset", "ultrafast"),
        ("--vrcnn-kernel", "scalar"),
    ],
    ids=" ".join,
)
def test_settings_of_the_encoder(tools: x265_loop.Tools, options: tuple[str, ...]) -> None:
    originals = moving(5)
    coded = x265_loop.encode(tools, originals, 35, configuration="ra", options=["--vrcnn", *options])
    decoded = x265_loop.decode(tools, coded.data, originals[0])
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
    gates.compare_modes(Counter(map(str, coded.decided)), side_information(coded.data))


def test_the_position_after_sao_and_the_decoder_s_model(tools: x265_loop.Tools, tmp_path: Path) -> None:
    model = tmp_path / "after.vrcnn"
    networks = shipped().networks
    model.write_bytes(ModelSet(tuple(replace(network, position="after_sao") for network in networks)).to_bytes())
    originals = moving(4)
    # The networks were trained on unfiltered pictures: without the ordinary filters they have something to win.
    options = ["--vrcnn", "--vrcnn-position", "1", "--vrcnn-model", str(model), "--no-deblock", "--no-sao"]
    coded = x265_loop.encode(tools, originals, 37, configuration="ldp", options=options)
    side = side_information(coded.data)
    assert any(information is not None and information.position == "after_sao" for information in side)
    decoded = x265_loop.decode(tools, coded.data, originals[0], ["--vrcnn-model", str(model)])
    gates.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
    with pytest.raises(CodecError, match="needs the model set"):
        x265_loop.decode(tools, coded.data)


def test_what_the_decoder_refuses(tools: x265_loop.Tools, tmp_path: Path) -> None:
    coded = x265_loop.encode(tools, moving(3), 37, configuration="ldp", options=["--vrcnn"])
    information = slices.segments(coded.data)[0].extension
    assert information[:3] == b"VN\x01"
    for at, message in ((2, "version"), (3, "needs the model set")):
        changed = bytearray(information)
        changed[at] ^= 6
        with pytest.raises(CodecError, match=message):
            x265_loop.decode(tools, with_extension(coded.data, 0, bytes(changed)))
    with pytest.raises(CodecError, match="cut off"):
        x265_loop.decode(tools, with_extension(coded.data, 1, b""))
    with pytest.raises(CodecError, match="cannot read"):
        x265_loop.decode(tools, coded.data, options=["--vrcnn-model", str(tmp_path / "none.vrcnn")])
    # The slice data of the first picture: a wrong picture is told by its hash, although another picture follows it.
    first = next(part for part in nal.split(coded.data) if 16 <= part.type <= 21)
    damaged = bytearray(coded.data)
    damaged[coded.data.index(first.data) + len(first.data) // 2] ^= 0x10
    with pytest.raises(CodecError, match="checksum"):
        x265_loop.decode(tools, bytes(damaged))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vrcnn-model", "/there/is/none.vrcnn"), "cannot read"),
        (("--vrcnn-position", "2"), "--vrcnn-position"),
        (("--vrcnn-threads", "65"), "--vrcnn-threads"),
        (("--vrcnn-kernel", "none"), "--vrcnn-kernel"),
        (("--slices", "2"), "one slice"),
    ],
)
def test_what_the_encoder_refuses(tools: x265_loop.Tools, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(CodecError, match=message):
        x265_loop.encode(tools, moving(2), 37, options=["--vrcnn", *options])


def test_a_set_without_networks_for_the_position_is_refused(tools: x265_loop.Tools, tmp_path: Path) -> None:
    ModelSet(shipped().networks[:1]).save(tmp_path / "before.vrcnn")
    options = ["--vrcnn", "--vrcnn-model", str(tmp_path / "before.vrcnn"), "--vrcnn-position", "1"]
    with pytest.raises(CodecError, match="for this position"):
        x265_loop.encode(tools, moving(2), 37, options=options)


def test_a_codec_built_with_another_model_set_gives_no_figures(tools: x265_loop.Tools, tmp_path: Path) -> None:
    clip, stale = tmp_path / "moving.y4m", ModelSet(shipped().networks[3::-1])
    write_y4m(clip, moving(2), Fraction(25))
    stale.save(tmp_path / "stale.vrcnn")
    for name in ("x265", "x265-10bit", "dec265"):
        script(tmp_path / name, f'exec "{tools.decoder.parent / name}" --vrcnn-model "{tmp_path / "stale.vrcnn"}" "$@"')
    settings = Settings("x265-loop", (37,), ("anchor", "map"), 2, folders={"codecs": tmp_path})
    anchor, network = as_json(cluster.evaluate(Plan(tuple(resolve(clip)), (settings,)), Store(tmp_path / "results")).rows)
    assert anchor["flag"] is None
    said = f"filters with model set {stale.identity[:8]}, this evaluation is of {shipped().identity[:16]}: build the codec again"
    assert said in network["flag"]
    assert network["psnr_y"] is None


def test_evaluation(tools: x265_loop.Tools, tmp_path: Path) -> None:
    clip = tmp_path / "moving.y4m"
    write_y4m(clip, moving(4), Fraction(25))
    settings = Settings(
        "x265-loop", (32, 37), ("anchor", "none", "picture", "map", "after"), 4, check=True, folders={"codecs": tools.decoder.parent}
    )
    rows = as_json(cluster.evaluate(Plan(tuple(resolve(clip)), (settings,)), Store(tmp_path / "results")).rows)
    assert [(row["variant"], row["qp"], row["flag"]) for row in rows] == [(name, qp, None) for name in settings.variants for qp in (32, 37)]
    assert [row["checked_pictures"] for row in rows] == [4 * (row["variant"] in ("picture", "map")) for row in rows]
    assert all((row["filtered_share"] > 0) == (row["kmac_per_sample"] > 0) for row in rows)
    assert any(row["filtered_share"] > 0 for row in rows if row["variant"] == "map")
    stream = tmp_path / "stream.hevc"
    stream.write_bytes(x265_loop.encode(tools, moving(4), 37, options=["--vrcnn"]).data)
    count, filtered = check_inside(stream, settings)
    assert count == 4
    assert filtered > 0
