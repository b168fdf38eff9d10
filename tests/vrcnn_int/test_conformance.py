"""The conformance suite is what it claims to be, every implementation passes it, and what is wrong with one is said by name."""

import itertools
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import structs

from codec_bridge.cli import conformance as bridge_conformance
from codec_bridge.filter import kernels
from codec_bridge.library.conformance import CLibrary
from tests.codec_bridge.cli.test_command_lines import command, refused
from tests.independent_program import packed
from tests.vrcnn_int.test_independent import python_text
from vrcnn_int.conformance import FILTER_PARTS, PARTS, FilterVector, JointVector, SideinfoVector, Suite, SuiteError
from vrcnn_int.conformance.make import make
from vrcnn_int.conformance.networks import GENERAL_SETS
from vrcnn_int.conformance.verify import Oracle, PartResult, Program, verify
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet, accumulate, input_values, joint_layer_outputs, layer_outputs, site_values
from vrcnn_int.models import builtin_path
from vrcnn_int.proofs import accumulator_range, prove
from vrcnn_int.requant import rescale

SUITE = Suite.load()
JOINT = [v for v in SUITE.joint if v.model == "models/joint-heads.vrcnn" and v.width == 2]
SMALL = replace(
    SUITE, filter=[v for v in SUITE.filter if v.width == 9][:2], joint=JOINT, refused=SUITE.refused[:2], sideinfo=SUITE.sideinfo[-2:]
)
NOTHING = replace(SUITE, filter=[], joint=[], refused=[], sideinfo=[])
INDEPENDENT = f"{sys.executable} -m tests.independent_program"
PROGRAM = INDEPENDENT + " filter {model} {network} {width} {height} {depth} {scale} {input} {output}"


def vrcnn_int(*arguments: object) -> "subprocess.CompletedProcess[str]":
    return command("vrcnn_int", "conformance", *arguments)


def test_made_again_it_is_the_same(tmp_path: Path) -> None:
    make(tmp_path / "again")
    names = [sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*")) for folder in (SUITE.folder, tmp_path / "again")]
    assert names[0] == names[1]
    for name in names[0]:
        assert (tmp_path / "again" / name).read_bytes() == (SUITE.folder / name).read_bytes(), f"{name}: run `make generated`"


def test_what_wheels_leave_out_is_made_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of the suite that is installed, and of no other."""
    installed = tmp_path / "installed"
    shutil.copytree(SUITE.folder, installed, ignore=shutil.ignore_patterns(*(f"{name}.vrcnn" for name in GENERAL_SETS)))
    assert not (installed / "models/widest.vrcnn").exists()
    suite = Suite.load(installed)
    with pytest.raises(SuiteError, match="is missing from the suite"):
        suite.path("models/widest.vrcnn")
    monkeypatch.setattr("vrcnn_int.conformance.INSTALLED", installed)
    for name in GENERAL_SETS:
        assert suite.path(f"models/{name}.vrcnn").read_bytes() == SUITE.path(f"models/{name}.vrcnn").read_bytes()
    with pytest.raises(SuiteError, match="is missing from the suite"):
        suite.path("models/other.vrcnn")


def test_it_is_small_and_has_what_it_should() -> None:
    assert sum(path.stat().st_size for path in SUITE.folder.rglob("*.*")) < 3_000_000
    names = [vector.name for vector in (*SUITE.filter, *SUITE.joint, *SUITE.refused, *SUITE.sideinfo)]
    assert len(set(names)) == len(names) > 300
    assert (SUITE.folder / "models/shipped.vrcnn").read_bytes() == builtin_path().read_bytes()
    assert SUITE.path("models/shipped.vrcnn") == builtin_path()
    for part in FILTER_PARTS:
        vectors = [vector for vector in SUITE.filter if vector.part == part]
        assert {vector.bit_depth for vector in vectors} == {8, 9, 10}
        assert {vector.scale for vector in vectors} == set(range(1, 11))
    sizes = {(vector.width, vector.height) for vector in SUITE.filter}
    assert {(1, 1), (2, 1), (1, 2), (130, 70), (416, 240), (1300, 5), (5, 1300)} <= sizes
    assert {tuple(vector.bit_depths) for vector in SUITE.joint} == {*itertools.product((8, 9, 10), (8, 9, 10)), (12, 12), (12, 10)}
    assert {vector.chroma_format for vector in SUITE.joint} == {400, 420, 422, 444}
    weights = [(len(each), weight) for vector in SUITE.joint for each in (vector.luma_weights, vector.chroma_weights) for weight in each]
    assert set(weights) == {(1, weight) for weight in range(1, 11)} | {(2, weight) for weight in range(-5, 11)}
    assert {(1, 1), (2, 2), (7, 5), (130, 70), (1402, 2), (2, 1402)} <= {(vector.width, vector.height) for vector in SUITE.joint}
    errors = {vector.text for vector in SUITE.sideinfo if vector.text.startswith("error")}
    assert errors == {f"error {name}\n" for name in ("FOREIGN", "VERSION", "TRUNCATED", "SYNTAX")}


def test_it_reaches_the_proven_bounds() -> None:
    """In the first, a middle and the last layer some accumulator is -2^31, and some one, with its rounding term, 2^31 - 1."""
    reached = set()
    for vector in SUITE.filter:
        if vector.part != "extreme":
            continue
        network = ModelSet.load(SUITE.path(vector.model)).networks[vector.network]
        prove(network)
        plane = SUITE.plane(vector)
        inputs = [input_values(plane, vector.bit_depth), *layer_outputs(network, plane, vector.bit_depth)]
        for number, layer in enumerate(network.layers):
            for branch in layer:
                found = accumulate(inputs[number], branch)
                low, high = accumulator_range(branch, -128 if number == 0 else 0, 127)
                assert (found.min((1, 2)) >= low).all()
                assert (found.max((1, 2)) <= high).all()
                reached |= {(number, int(found.min())), (number, int(found.max()) + ((1 << branch.shift) >> 1))}
    assert reached >= {(number, end) for number in range(3) for end in (-(1 << 31), (1 << 31) - 1)}


def test_joint_vectors_reach_the_proven_bounds() -> None:
    """The same for the kind joint; and additions of 127 to the largest value that there is before them."""
    reached, sums = set(), set()
    for vector in SUITE.joint:
        network = ModelSet.load(SUITE.path(vector.model)).networks[vector.network]
        prove(network)
        if vector.model != "models/joint-extreme.vrcnn":
            continue
        given = SUITE.planes(vector), (vector.bit_depths[0], vector.bit_depths[1]), str(vector.chroma_format)
        inputs = [site_values(*given), *joint_layer_outputs(network, *given)]
        for number, layer in enumerate(network.layers):
            for place, branch in enumerate(layer):
                found = accumulate(inputs[number], branch)
                low, high = accumulator_range(branch, -128 if number == 0 else 0, 127)
                assert (found.min((1, 2)) >= low).all()
                assert (found.max((1, 2)) <= high).all()
                ends = int(found.min()), int(found.max()) + ((1 << branch.shift) >> 1)
                reached |= {(number, place, end) for end in ends}
                if network.added[number]:
                    sums |= set((rescale(found, branch.shift, branch.multiplier) + inputs[number + 1 - network.added[number]]).flat)
    places = ((0, 0), (2, 0), (3, 0), (3, 1))
    assert reached >= {(*place, end) for place in places for end in (-(1 << 31), (1 << 31) - 1)}
    assert max(sums) == 32766 + 127
    assert min(sums) < -32000


def assert_passes(results: dict[str, PartResult], *parts: str) -> None:
    assert [problem for result in results.values() for problem in result.problems] == []
    assert set(results) == set(parts)
    for result in results.values():
        assert (result.differ, result.missing) == (0, 0)
        assert result.compared >= result.vectors > 0


@pytest.mark.parametrize("kernel", [name for name, supported in kernels() if supported and name != "auto"])
def test_c_library_passes(kernel: str) -> None:
    results = verify(SUITE, CLibrary(kernel))
    assert_passes(results, *PARTS)
    assert results["shipped"].compared == sum(vector.samples for vector in SUITE.filter if vector.part == "shipped") > 100_000


def test_oracle_passes() -> None:
    assert_passes(verify(SUITE, Oracle()), *PARTS[:-1])


def test_parser_in_python_passes() -> None:
    class Parser:
        parts = ("sideinfo",)

        def sideinfo(self, vector: SideinfoVector) -> str:
            return python_text(vector)

    assert_passes(verify(SUITE, Parser()), "sideinfo")  # type: ignore[arg-type]


def test_a_program_passes() -> None:
    """The independent implementation, run as any third party's program is."""
    layers = INDEPENDENT + " layer {model} {network} {width} {height} {depth} {layer} {input} {output}"
    sideinfo = INDEPENDENT + " sideinfo {width} {height} {irap} {version} {input}"
    files = "{model} {network} {width} {height} {format} {depths}"
    joint = f"{INDEPENDENT} joint {files} {{weights}} {{input}} {{output}}"
    joint_layers = f"{INDEPENDENT} joint-layer {files} {{layer}} {{input}} {{output}}"
    results = verify(SMALL, Program(PROGRAM, layers, sideinfo, joint, joint_layers))
    assert not results.pop("shipped").vectors + results.pop("general").vectors
    assert_passes(results, "extreme", "layers", "joint", "joint-layers", "refused", "sideinfo")
    assert results["extreme"].compared == 2 * 63
    assert results["joint"].compared == len(JOINT) * 6


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("sh -c 'exit 3'", "exit code 3"),
        ("sh -c 'echo first >&2; echo no such kernel >&2; exit 1'", "exit code 1: no such kernel"),
        ("sh -c 'kill -SEGV $$'", "ended by signal 11: "),
        ("true {output}", "no output was written"),
        ("cp /dev/null {output}", "the output has 0 bytes"),
        ("sh -c 'head -c 1000 /dev/zero > {output}'", "the output has 1000 bytes"),
    ],
)
def test_what_a_program_did_wrong_is_said(program: str, words: str) -> None:
    result = verify(SMALL, Program(program))["extreme"]
    assert (result.vectors, result.compared, result.missing) == (2, 0, 2)
    assert [problem.split(": ", 1)[0] for problem in result.problems] == [vector.name for vector in SMALL.filter]
    assert all(words in problem for problem in result.problems)


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    start = time.monotonic()
    for wrong in (float("inf"), float("nan"), 1e300, 0, -1):
        with pytest.raises(VrcnnError, match="seconds for one run"):
            Program("true", timeout=wrong)
    program = Program(f"sh -c 'sleep 100 & echo $! >> {tmp_path / 'children'}; sleep 100'", timeout=0.5)
    result = verify(SMALL, program)["extreme"]
    assert all("no result within 0.5 seconds" in problem for problem in result.problems)
    assert result.missing == 2
    children = (tmp_path / "children").read_text().split()
    assert len(children) == len(SMALL.filter) + len(SMALL.refused)
    while any(is_running(child) for child in children):
        assert time.monotonic() - start < 90
        time.sleep(0.05)


def test_differing_samples_are_named() -> None:
    class Wrong(Oracle):
        """One sample of the output is off by one, and the values of layer 2 below row 3, from column 5 on, in channel 4."""

        def filtered(self, suite: Suite, vector: FilterVector) -> bytes:
            data = bytearray(super().filtered(suite, vector))
            data[vector.bytes_per_sample * (2 * vector.width + 4)] ^= 1
            return bytes(data)

        def hidden(self, suite: Suite, vector: FilterVector, layer: int) -> bytes:
            values = np.frombuffer(super().hidden(suite, vector, layer), np.uint8).reshape(-1, vector.height, vector.width).copy()
            if layer == 1:
                values[4, 4:, 5:] ^= 1
            return values.tobytes()

        def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
            data = bytearray(super().joint_filtered(suite, vector))
            data[-1] ^= 1
            return bytes(data)

        def joint_hidden(self, suite: Suite, vector: JointVector, layer: int) -> bytes:
            return bytes(value ^ (n == 3) for n, value in enumerate(super().joint_hidden(suite, vector, layer)))

        def refuses(self, *_: object) -> bool:
            return False

    results = verify(SMALL, Wrong())
    assert results["joint"].problems[0].startswith(f"{JOINT[0].name}: Cr, sample (0, 0): ")
    assert results["joint-layers"].problems[0].startswith(f"{JOINT[0].name}, layer 1: channel 3, site (0, 0): ")
    vector = SMALL.filter[0]
    assert results["extreme"].problems[0].startswith(f"{vector.name}: sample (4, 2): ")
    assert results["extreme"].problems[0].endswith("; 1 differ")
    assert (results["extreme"].compared, results["extreme"].differ) == (126, 2)
    assert results["layers"].problems[0].startswith(f"{vector.name}, layer 2: channel 4, sample (5, 4): ")
    assert results["layers"].differ == 2 * 3 * 4
    assert results["refused"].problems[0] == f"{SMALL.refused[0].name}: the model is not refused; its error is {SMALL.refused[0].error}"


def test_wrong_side_information_is_named() -> None:
    result = verify(SMALL, Program(None, None, "echo filter_mode 5"))["sideinfo"]
    assert result.differ == result.vectors == 2
    assert result.problems[0] == f"{SMALL.sideinfo[0].name}: 'error SYNTAX' expected, 'filter_mode 5' found"
    assert "exit code 7" in verify(SMALL, Program(None, None, "sh -c 'exit 7'"))["sideinfo"].problems[0]


@pytest.mark.parametrize("program", ["", "x {mode}", "x {}", "x {input.name.x}", "x '", "x {input"])
def test_commands_that_cannot_be_understood(program: str) -> None:
    with pytest.raises(VrcnnError, match="--command"):
        Program(program)


def test_damaged_suites_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="no conformance suite"):
        Suite.load(tmp_path)
    folder = tmp_path / "suite"
    shutil.copytree(SUITE.folder, folder)
    picture = folder / SUITE.filter[0].picture
    data = bytearray(picture.read_bytes())
    data[7] ^= 1
    picture.write_bytes(data)
    with pytest.raises(SuiteError, match="the suite is damaged"):
        verify(replace(SUITE, folder=folder, filter=SUITE.filter[:1]), Oracle())
    picture.write_bytes(data[:-1])
    with pytest.raises(SuiteError, match="make the suite again"):
        verify(replace(SUITE, folder=folder), Oracle())
    picture.unlink()
    with pytest.raises(SuiteError, match="is missing"):
        verify(replace(SUITE, folder=folder), Oracle())
    index = json.loads((folder / "suite.json").read_text())
    with pytest.raises(SuiteError, match=r"suite is a suite of version 4, this program knows 3: update"):
        load_changed(folder, {**index, "version": 4})
    for damaged in ("", "{", "[" * 100000, "[]", "{}", '{"version": 3}', b"\xff"):
        with pytest.raises(SuiteError, match=r"^.*suite\.json\b.*; make the suite again$"):
            load_changed(folder, damaged)
    for name in ("filter", "joint", "refused", "sideinfo"):
        with pytest.raises(SuiteError, match=f"suite.json lists no vectors of {name}; make"):
            load_changed(folder, {**index, name: []})


def load_changed(folder: Path, content: object) -> Suite:
    """A suite with another index: text, bytes, or what becomes JSON."""
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    (folder / "suite.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    return Suite.load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("filter.model", "../secret"),
        ("filter.picture", "/dev/zero"),
        ("filter.network", 10**30),
        ("filter.width", 0),
        ("filter.height", 10**9),
        ("filter.bit_depth", 14),
        ("filter.scale", 11),
        ("filter.part", "other"),
        ("filter.md5", "0"),
        ("filter.layer_md5", [None]),
        ("joint.chroma_format", 411),
        ("joint.bit_depths", [8]),
        ("joint.luma_weights", [1, 2, 3]),
        ("joint.chroma_weights", []),
        ("refused.model", None),
        ("sideinfo.data", "0"),
        ("sideinfo.irap", 1),
        ("sideinfo.another", 1),
    ],
)
def test_vectors_are_checked_by_a_schema(tmp_path: Path, key: str, value: object) -> None:
    name, field = key.split(".")
    index = json.loads((SUITE.folder / "suite.json").read_text())
    index[name][0][field] = value
    with pytest.raises(SuiteError, match=rf"suite.json: .*{name}\[0\].*; make the suite again$"):
        load_changed(tmp_path, index)
    index[name][0] = {"name": "x"}
    with pytest.raises(SuiteError, match=rf"suite.json: {name}\[0\]: \w+ is missing"):
        load_changed(tmp_path, index)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("filter", {"network": 99}),
        ("filter", {"layer_md5": []}),
        ("filter", {"layer_md5": ["0" * 32] * 31}),
        ("filter", {"model": SUITE.joint[0].model}),
        ("joint", {"network": 99}),
        ("joint", {"luma_weights": [1, 2]}),
        ("joint", {"model": SUITE.filter[0].model}),
    ],
)
def test_vectors_that_their_models_cannot_have_made(kind: str, changes: dict[str, Any]) -> None:
    vector = structs.replace(getattr(SUITE, kind)[0], **changes)
    with pytest.raises(SuiteError, match=rf"{vector.name} has other fields than network \d+ of models/"):
        verify(replace(NOTHING, **{kind: [vector]}), Oracle())


def test_command_line(tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    shutil.copytree(SUITE.folder, suite)
    (suite / "suite.json").write_text(SMALL.index())
    done = vrcnn_int("verify", suite, "--command", PROGRAM)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[4:8]] == ["shipped", "general", "extreme", "refused"]
    refused(vrcnn_int("verify", suite, "--command", "false"), "2 of 4 vectors are not as the suite says")
    refused(vrcnn_int("verify", "--largest", 1, "--command", tmp_path / "nothing"), "cannot run")
    refused(vrcnn_int("verify", tmp_path), "no conformance suite")
    shutil.rmtree(suite)
    (tmp_path / "file").write_text("mine")
    refused(vrcnn_int("make", tmp_path), "exists")
    refused(vrcnn_int("make", tmp_path / "file"), "exists")
    refused(vrcnn_int("make", tmp_path / "missing/suite"), "cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert command("codec_bridge", "conformance", "--kernel", "scalar", "--threads", 2).returncode == 0
    assert bridge_conformance.check_conformance.__doc__


class Independent:
    """The independent implementation in this process, with one of its lines changed."""

    parts = ("joint",)

    def __init__(self, *change: str) -> None:
        text = (Path(__file__).parents[1] / "independent.py").read_text()
        if change:
            assert text.count(change[0]) == 1
            text = text.replace(*change)
        self.own: dict[str, Any] = {"__name__": "independent"}
        exec(compile(text, "independent.py", "exec"), self.own)

    def joint_filtered(self, suite: Suite, vector: JointVector) -> bytes:
        network = self.own["read_model"](suite.path(vector.model).read_bytes())[vector.network]
        given = [plane.tolist() for plane in suite.planes(vector)], vector.bit_depths, vector.chroma_format
        return packed(self.own["filter_planes"](network, *given, vector.luma_weights, vector.chroma_weights), vector.bit_depths)


FAULTS = {
    "an added row is one row off": ("a = outputs[-added][len(v)]", "a = [*outputs[-added][len(v)][1:], outputs[-added][len(v)][0]]"),
    "a saturating addition is after the clamp": (
        "min(max(((shifted(z, b.s1) * b.m + 16384) >> 15) + n, 0), 127)",
        "min(min(max((shifted(z, b.s1) * b.m + 16384) >> 15, 0), 127) + n, 127)",
    ),
    "an addition wraps at 16 bits": (
        "((shifted(z, b.s1) * b.m + 16384) >> 15) + n, 0)",
        "(((shifted(z, b.s1) * b.m + 16384) >> 15) + n + 32768) % 65536 - 32768, 0)",
    ),
    "chroma has luma's shift": ("values, depths[1], c[1])", "values, depths[0], c[1])"),
    "chroma has luma's weights": ("values, depths[1], c[1])", "values, depths[1], c[0])"),
    "chroma is read with luma's bit depth": ("depths[plane > 0]", "depths[0]"),
    "Cb and Cr are exchanged": ("for plane in (1, 2)]", "for plane in (2, 1)]"),
    "the site is read column by column": ("for dy in (0, 1) for dx in (0, 1)]", "for dx in (0, 1) for dy in (0, 1)]"),
    "the site is written column by column": ("r[step * (y % step) + x % step]", "r[step * (x % step) + y % step]"),
    "heads alternate": ("t[h * n + i]", "t[h + i * len(c)]"),
    "heads are rounded one by one": (
        "(sum(t[h * n + i][y][x] * ((branch.m * weight) >> 3) for h, weight in enumerate(c)) + 16384) >> 15",
        "sum((t[h * n + i][y][x] * ((branch.m * weight) >> 3) + 16384) >> 15 for h, weight in enumerate(c))",
    ),
    "negative weights are rounded to zero": ("((branch.m * weight) >> 3)", "int(branch.m * weight / 8)"),
    "outside an odd picture luma is black": ("            return 0\n", "            return -128\n"),
}


QUICK = [v for v in SUITE.joint if 6 < v.samples <= 200 and v.model not in ("models/joint-deepest.vrcnn", "models/joint-widest.vrcnn")]


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_of_joint_networks_are_found(fault: str) -> None:
    wrong = Independent(*FAULTS[fault])
    assert any(verify(replace(NOTHING, joint=[vector]), wrong)["joint"].differ for vector in QUICK)  # type: ignore[arg-type]


def test_the_same_without_a_fault_passes() -> None:
    assert_passes(verify(replace(NOTHING, joint=QUICK), Independent()), "joint")  # type: ignore[arg-type]


def test_a_planted_rounding_constant_is_found(tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "independent.py").read_text()
    assert text.count("* b.m + 16384) >> 15") == 1
    (tmp_path / "independent.py").write_text(text.replace("* b.m + 16384) >> 15", "* b.m + 16383) >> 15"))
    program = (Path(__file__).parents[1] / "independent_program.py").read_text().replace("from tests.independent", "from independent")
    (tmp_path / "program.py").write_text(program)
    ties = [vector for vector in SUITE.filter if vector.model == "models/ties.vrcnn" and vector.width == 64]
    wrong = PROGRAM.replace("-m tests.independent_program", str(tmp_path / "program.py"))
    result = verify(replace(SMALL, filter=ties), Program(wrong))["general"]
    assert any(problem.split(": ")[0] in {vector.name for vector in ties} for problem in result.problems)
    assert result.differ > 100
