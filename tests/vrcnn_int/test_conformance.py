"""The conformance suite is what it claims to be, every implementation passes it, and what is wrong with one is said by name."""

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.cli import conformance as bridge_conformance
from codec_bridge.filter import kernels
from codec_bridge.library.conformance import CLibrary
from tests.codec_bridge.cli.test_command_lines import command, refused
from tests.vrcnn_int.test_independent import python_text
from vrcnn_int.conformance import FILTER_PARTS, PARTS, FilterVector, SideinfoVector, Suite, SuiteError
from vrcnn_int.conformance.make import make
from vrcnn_int.conformance.verify import Oracle, PartResult, Program, verify
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet, accumulate, input_values, layer_outputs
from vrcnn_int.models import builtin_path
from vrcnn_int.proofs import accumulator_range, prove

SUITE = Suite.load()
SMALL = replace(SUITE, filter=[v for v in SUITE.filter if v.width == 9][:2], refused=SUITE.refused[:2], sideinfo=SUITE.sideinfo[-2:])
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


def test_it_is_small_and_has_what_it_should() -> None:
    assert sum(path.stat().st_size for path in SUITE.folder.rglob("*.*")) < 3_000_000
    names = [vector.name for vector in (*SUITE.filter, *SUITE.refused, *SUITE.sideinfo)]
    assert len(set(names)) == len(names) > 300
    assert SUITE.path("models/shipped.vrcnn").read_bytes() == builtin_path().read_bytes()
    for part in FILTER_PARTS:
        vectors = [vector for vector in SUITE.filter if vector.part == part]
        assert {vector.bit_depth for vector in vectors} == {8, 9, 10}
        assert {vector.scale for vector in vectors} == set(range(1, 11))
    sizes = {(vector.width, vector.height) for vector in SUITE.filter}
    assert {(1, 1), (2, 1), (1, 2), (130, 70), (416, 240), (1300, 5), (5, 1300)} <= sizes
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
    sideinfo = INDEPENDENT + " sideinfo {width} {height} {irap} {input}"
    results = verify(SMALL, Program(PROGRAM, layers, sideinfo))
    assert not results.pop("shipped").vectors + results.pop("general").vectors
    assert_passes(results, "extreme", "layers", "refused", "sideinfo")
    assert results["extreme"].compared == 2 * 63


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

        def refuses(self, *_: object) -> bool:
            return False

    results = verify(SMALL, Wrong())
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
    for damaged in ({**index, "version": 2}, {**index, "filter": [{"name": "x"}]}, {"version": 1}, [], None):
        (folder / "suite.json").write_text("{" if damaged is None else json.dumps(damaged))
        with pytest.raises(SuiteError, match=r"version 2|damaged"):
            Suite.load(folder)


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
