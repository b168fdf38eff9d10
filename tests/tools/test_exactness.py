"""The exactness matrix: its rows run, what differs is in it by name, and what cannot run says what to install."""

import itertools
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tools import exactness, random_pictures
from tests.tools.exactness import (
    CI,
    COMPILED,
    EMULATED,
    Row,
    Target,
    cell,
    missing_packages,
    rows,
    run_kernel,
    run_target,
    say_random,
    show,
)
from tests.tools.random_pictures import compare, drawn, write_suite
from vrcnn_int import integer
from vrcnn_int.conformance import Suite
from vrcnn_int.conformance.verify import PartResult
from vrcnn_int.errors import VrcnnError

SMALL = replace(CI, simd=1000, simd_joint=1000, scalar=1000, programs=500, largest=63, largest_layers=3)


def test_every_row_that_the_matrix_must_have(tmp_path: Path) -> None:
    names = [name for name, _ in rows(Suite.load(), CI, 1, tmp_path)]
    assert len(set(names)) == len(names)
    for word in (
        "oracle",
        "independent",
        "this CPU, scalar",
        "SSE2",
        "AVX2",
        "AVX-VNNI",
        "AVX-512",
        "AMX",
        "i386",
        "NEON",
        "dot product",
        "i8mm",
        "armhf",
    ):
        assert any(word in name for name in names), word
    assert any("riscv64" in name for name in names)
    assert len([name for name in names if "big-endian" in name]) == 2
    compiled = itertools.product(("gcc", "clang"), range(4), ("scalar", "auto"))
    assert {f"{compiler} -O{level}, {kernel}" for compiler, level, kernel in compiled} <= set(names)


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: None if "-" in tool or tool == "clang" else tool)
    s390x = next(target for target in EMULATED if "s390x" in target.name)
    assert missing_packages(s390x) == ["gcc-s390x-linux-gnu", "qemu-user"]
    assert missing_packages(next(target for target in COMPILED if target.compiler == "clang")) == ["clang"]
    assert missing_packages(COMPILED[0]) == []
    assert run_target(s390x, Suite.load(), SMALL, 1, tmp_path).skipped == "install gcc-s390x-linux-gnu qemu-user"


def test_the_weekly_workflow_installs_what_every_row_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each cross compiler's C library, which it recommends only. The runner has gcc and make."""
    monkeypatch.setattr(shutil, "which", lambda tool: tool if tool in ("gcc", "make") else None)
    workflow = (Path(__file__).parents[2] / ".github/workflows/weekly.yml").read_text()
    job = workflow.split("  exactness:\n")[1].split("make exactness")[0]
    wanted = {package for target in (*EMULATED, *COMPILED) for package in missing_packages(target)} - {
        "gcc-x86-64-linux-gnu",
        "libsimde-dev",
    }
    assert wanted - set(job.split()) == set()
    crosses = [package for package in wanted if package.startswith("gcc-")]
    assert len(re.findall(r"libc6-dev-\w+-cross", job)) == len(crosses)
    assert "libsimde-dev" in job.split()


@pytest.mark.skipif(not shutil.which("gcc") or not shutil.which("make"), reason="make and gcc are needed")
def test_a_build_is_run_on_the_suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    row = run_target(Target("a build", "gcc", "-O1", kernel="scalar"), Suite.load(), SMALL, 2, Path("relative"))
    assert row.kernel == "scalar"
    assert set(row.parts) == {*exactness.PARTS, "random", "random joint"}
    for part, result in row.parts.items():
        assert result.compared > 0, part
        assert (result.differ, result.missing, result.problems) == (0, 0, [])


def test_a_program_that_cannot_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(exactness, "build", lambda *_: (tmp_path / "vrcnn_filter", tmp_path / "print_sideinfo"))
    (tmp_path / "vrcnn_filter").write_text("#!/bin/sh\necho no such machine >&2\nexit 3\n")
    (tmp_path / "vrcnn_filter").chmod(0o755)
    with pytest.raises(VrcnnError, match=r"vrcnn_filter --kernels: no such machine$"):
        run_target(Target("a build", "gcc", "-O1"), Suite.load(), SMALL, 1, tmp_path)


def test_a_kernel_is_run_on_suite_and_random_pictures() -> None:
    row = run_kernel("scalar", "oracle", replace(Suite.load(), filter=Suite.load().filter[1:3]), SMALL, 3)
    for part in ("random", "random joint"):
        assert row.parts[part].compared >= 1000
        assert row.parts[part].differ == 0


@pytest.mark.parametrize(
    ("kernel", "other", "luma", "joint"),
    [
        ("scalar", "oracle", ("oracle", CI.scalar), ("oracle", CI.scalar)),
        ("avx2", "oracle", ("oracle", CI.scalar), ("scalar", CI.simd_joint)),
        ("avx2", "amx", ("amx", CI.simd), ("amx", CI.simd_joint)),
    ],
)
def test_what_a_kernel_is_compared_with(
    kernel: str, other: str, luma: tuple[str, int], joint: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, tuple[str, int]] = {}

    def compare(_: str, than: str, kind: str, samples: int, *_more: object) -> PartResult:
        asked[kind] = (than, samples)
        return PartResult()

    monkeypatch.setattr(exactness, "verify", lambda *_, **__: {})
    monkeypatch.setattr(exactness, "CLibrary", lambda *_, **__: None)
    monkeypatch.setattr(exactness, "compare", compare)
    run_kernel(kernel, other, Suite.load(), CI, 1)
    assert asked == {"luma": luma, "joint": joint}


@pytest.mark.parametrize("kind", ["luma", "joint"])
def test_a_planted_difference_is_found(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    right = integer.filter_planes

    def wrong(network: integer.IntegerNetwork, planes: tuple[np.ndarray, ...], *more: Any) -> list[np.ndarray]:
        filtered = [plane.copy() for plane in right(network, planes, *more)]
        filtered[-1][-1, -1] ^= 1
        return filtered

    monkeypatch.setattr(integer, "filter_planes", wrong)
    result = compare("scalar", "oracle", kind, 1, 5)
    assert result.differ == result.vectors == 1
    assert f"seed 5: scalar and oracle differ in {'Y' if kind == 'luma' else 'V'} sample (" in result.problems[0]


def test_what_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Joint networks of one head and two, at the limits, with additions of every distance; odd sizes, depths that differ, grey pictures."""
    monkeypatch.setattr(random_pictures, "_shipped_shape", random_pictures._extreme)  # those take long
    kinds, heads, distances, channels = set(), set(), set(), set()
    depths, parities, planes = set(), set(), set()
    saturating = 0
    for models, cases in itertools.islice(drawn(np.random.default_rng(1), "joint", (40, 40)), 8):
        for network in models.networks:
            kinds.add(network.kind)
            heads.add(network.heads)
            distances |= set(network.added)
            channels.add(len(network.layers[0][0].bias))
            saturating += all(abs(int(w)) == 127 for w in network.layers[1][0].weights.flat) and network.layers[1][0].multiplier == 32767
        for case in cases:
            depths.add(case.depths)
            parities.add(tuple(side % 2 for side in case.planes[0].shape))
            planes.add(len(case.planes))
    assert (kinds, heads, distances, planes) == ({"joint"}, {1, 2}, {0, 1, 2, 3, 4}, {1, 3})
    assert len(channels) > 2
    assert len(depths) == 9
    assert len(parities) == 4
    assert saturating


def test_random_pictures_for_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for one seed, so many samples of either kind, and a wrong sample is seen."""
    suite = write_suite(tmp_path / "one", 600, 3, (30, 40))
    assert write_suite(tmp_path / "two", 600, 3, (30, 40)).joint == suite.joint
    for vectors in (suite.filter, suite.joint):
        assert sum(vector.samples for vector in vectors) >= 600
    library = exactness.CLibrary("scalar")
    assert exactness.run_suite(library, suite, sys.maxsize, 0)["joint"].differ == 0
    right = library.joint_filtered
    monkeypatch.setattr(library, "joint_filtered", lambda *of: bytes([right(*of)[0] ^ 1, *right(*of)[1:]]))
    found = exactness.run_suite(library, suite, sys.maxsize, 0)["joint"]
    assert found.differ == found.vectors == len(suite.joint)


def test_counts_of_random_samples_by_kind(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {"random": PartResult(1, 5), "random joint": PartResult(1, 7)}
    say_random(
        [Row("this CPU, scalar", "scalar", parts=parts), Row("this CPU, avx2", "avx2", parts=parts), Row("i386", "scalar", parts=parts)]
    )
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "random pictures, luma networks, SIMD kernels: 5 samples"
    assert said[-1] == "random pictures, joint networks, programs: 7 samples"
    assert len(said) == 6


def test_what_is_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cell(None) == ""
    assert cell(PartResult(compared=7)) == "7"
    assert cell(PartResult(compared=7, differ=2, missing=1)) == "7, 2 DIFFER, 1 NO RESULT"
    monkeypatch.setattr(exactness.console, "width", 200)
    show(
        [
            Row("one", "scalar", parts={"layers": PartResult(9, 5, 2, 0, ["v: sample"])}),
            Row("two", skipped="install x"),
            Row("three", failed="no"),
        ]
    )
    said = capsys.readouterr().out
    assert "5, 2 DIFFER" in said
    assert "skipped: two: install x" in said
    assert "failed: three: no" in said
    assert "one, layers: v: sample" in said


def test_command_line(tmp_path: Path) -> None:
    """One row as the command prints it, and its JSON."""
    arguments = ["--only", "oracle", "--seed", "4", "--build", tmp_path / "build", "--json", tmp_path / "results/matrix.json"]
    command = [sys.executable, "-m", "tests.tools.exactness", *map(str, arguments)]
    done = subprocess.run(command, cwd=exactness.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "seed 4: 1 rows, 0 skipped, 0 differ" in done.stdout
    record = json.loads((tmp_path / "results/matrix.json").read_text())
    assert record["provenance"]["seed"] == 4
    assert record["rows"][0]["parts"]["shipped"]["differ"] == 0
    nothing = subprocess.run([*command[:3], "--only", "nothing"], cwd=exactness.ROOT, capture_output=True, text=True)
    assert (nothing.returncode, nothing.stderr) == (1, "error: no row's name has nothing in it\n")


def test_an_interrupted_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rows are kept until the matrix is complete, unless the sources have changed."""
    ran: list[str] = []
    failing = {"second"}

    def job(name: str) -> Row:
        ran.append(name)
        if name in failing:
            raise KeyboardInterrupt
        return Row(name, "scalar", parts={"random": PartResult(1, len(name))})

    def matrix(_: Suite, size: exactness.Size, seed: int, folder: Path) -> list[tuple[str, Callable[[], Row]]]:
        assert seed == 7 or not ran
        return [(name, partial(job, name)) for name in ("first", "second", "third")]

    def run_all(**more: Any) -> list[str]:
        monkeypatch.setattr(exactness, "STOPPING", threading.Event())
        ran.clear()
        exactness.main(jobs=1, folder=tmp_path / "build", json_file=tmp_path / "matrix.json", **more)
        return ran

    monkeypatch.setattr(exactness, "rows", matrix)
    with pytest.raises(KeyboardInterrupt):
        run_all(seed=7)
    record = json.loads((tmp_path / "matrix.json").read_text())
    assert "first" in [row["name"] for row in record["rows"]]
    assert not record["complete"]
    failing.clear()
    assert "first" not in run_all()
    record = json.loads((tmp_path / "matrix.json").read_text())
    assert [(row["name"], row["parts"]["random"]["compared"]) for row in record["rows"]] == [("first", 5), ("second", 6), ("third", 5)]
    assert record["complete"]
    assert record["provenance"]["seed"] == 7
    assert run_all(seed=7) == ["first", "second", "third"]
    for change in ({"sources": "others"}, {"size": {}}):
        partial_record = record | {"complete": False, "provenance": record["provenance"] | change}
        (tmp_path / "matrix.json").write_text(json.dumps(partial_record))
        assert run_all(seed=7) == ["first", "second", "third"]
    for left in (record | {"complete": False}, {"rows": 3}, [], "no JSON"):
        (tmp_path / "matrix.json").write_text(json.dumps(left) if left != "no JSON" else "{")
        assert run_all(seed=7) == ([] if left == record | {"complete": False} else ["first", "second", "third"])
    wrong = record | {"complete": False}
    wrong["rows"][1]["parts"]["random"] |= {"differ": 1, "problems": ["sample"]}
    (tmp_path / "matrix.json").write_text(json.dumps(wrong))
    assert run_all() == ["second"]
    assert run_all(seed=7, fresh=True) == ["first", "second", "third"]


def test_sources_are_what_rows_depend_on() -> None:
    for pattern in exactness.SOURCES:
        assert any(exactness.ROOT.glob(pattern)), pattern
    assert exactness.sources() == exactness.sources()
