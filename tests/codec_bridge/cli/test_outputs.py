"""Outputs of commands: never over inputs, results or each other, older files as the user wants it, standard output clean."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.cli.commands import app
from codec_bridge.report.tables import safe_cell
from vrcnn_int.cli.commands import app as model_app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.models import builtin_path

RESULT = Path(__file__).parents[1] / "report" / "result.json"


@pytest.fixture
def result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A document in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(RESULT, tmp_path / "base.json"))


def refusal(*words: object) -> str:
    done = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(done.exception, VrcnnError), done.output
    return str(done.exception)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ["--csv", "--html", "--markdown"])
@pytest.mark.parametrize("name", ["base.json", "./base.json", "link", "hard", "sub/../base.json"])
def test_a_report_is_not_written_over_its_result(result: Path, option: str, name: str) -> None:
    (result.parent / "link").symlink_to(result)
    (result.parent / "hard").hardlink_to(result)
    (result.parent / "sub").mkdir()
    before = content(result.parent)
    assert "is an input of this command" in refusal("report", result, option, name)
    assert content(result.parent) == before


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A codec's programs and an HM, none of which can do anything, and a video."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "bin/x265",
        "bin/x265-10bit",
        "bin/dec265",
        "hm/bin/TAppEncoderStatic",
        "hm/bin/TAppDecoderStatic",
        "plain/bin/TAppEncoderStatic",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "hm/cfg").mkdir()
    (tmp_path / "hm/cfg/encoder_intra_main.cfg").write_text("Profile: main\n")
    (tmp_path / "s.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1 Cmono\nFRAME\n" + bytes(256))
    return tmp_path


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        *(("x265-loop", f"bin/{name}") for name in ("x265", "x265-10bit", "dec265")),
        *(("hm", f"hm/{name}") for name in ("bin/TAppEncoderStatic", "bin/TAppDecoderStatic", "cfg/encoder_intra_main.cfg")),
        ("hm", "plain/bin/TAppEncoderStatic"),
    ],
)
def test_programs_and_what_they_read_are_inputs(programs: Path, codec: str, name: str) -> None:
    (programs / "link").symlink_to(name)
    folders = ("--codecs", "bin") if codec == "x265-loop" else ("--hm", "hm", "--anchor-hm", "plain")
    before = content(programs)
    for output in (name, "link", programs / name):
        said = refusal("bdrate", "--sequences", "s.y4m", "--codec", codec, *folders, "--results", "r", "--csv", output)
        assert "is an input of this command" in said
    assert content(programs) == before


def test_pairs_of_hm_are_not_written_over_its_programs(programs: Path) -> None:
    (programs / "out").mkdir()
    (programs / "out/pairs.q32.npz").symlink_to("../hm/bin/TAppEncoderStatic")
    before = content(programs)
    said = refusal("pairs", "code", "s.y4m", "--out", "out", "--qp", 32, "--codec", "hm", "--hm", "hm", "--force")
    assert "is an input of this command" in said
    assert content(programs) == before


@pytest.mark.parametrize("kind", [".vrcnn", ".float.npz"])
def test_the_shipped_networks_are_inputs(programs: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    shipped = programs / "vrcnn_intra.vrcnn"
    for suffix in (".vrcnn", ".float.npz"):
        shutil.copy(builtin_path().with_suffix(suffix), shipped.with_suffix(suffix))
    monkeypatch.setattr("vrcnn_int.models.builtin_path", lambda: shipped)
    (programs / "out.y4m").symlink_to(shipped.with_suffix(kind))
    (programs / "out.png").symlink_to(shipped.with_suffix(kind))
    before = content(programs)
    for words in (
        ("filter", "s.y4m", "out.y4m", "--qp", 32, "--force"),
        ("bdrate", "--sequences", "s.y4m", "--json", "out.y4m"),
        ("bench", "--json", "out.y4m", "--sizes", "8x8"),
        ("contact-sheet", "--out", "out.png", "--sequences", "s.y4m"),
    ):
        assert "is an input of this command" in refusal(*words)
    assert content(programs) == before


def test_results_are_not_written_over(result: Path) -> None:
    for folder in ("jobs", "crops", "streams"):
        (result.parent / folder).mkdir()
    (result.parent / "jobs" / "a.json").write_text("{}")
    for place in ("jobs/a.json", "crops/new.csv", ".lock", "streams/deep/a"):
        assert "where results or streams are kept" in refusal("report", result, "--csv", place)


def test_two_outputs_are_two_files(result: Path) -> None:
    (result.parent / "link").symlink_to("new")
    assert "the same file" in refusal("report", result, "--csv", "new", "--html", "link")
    assert "the same file" in refusal("report", result, "--csv", "new", "--html", "./new")


def test_an_older_report_is_replaced(result: Path) -> None:
    Path("old.csv").write_text("old")
    assert CliRunner().invoke(app, ["report", str(result), "--csv", "old.csv"]).exit_code == 0
    assert Path("old.csv").read_text().startswith("sequence,")


def test_pictures_are_png(result: Path) -> None:
    assert ".png" in refusal("report", result, "--plot", "a.jpg")
    assert ".png" in refusal("contact-sheet", "--out", "a.jpg", "--sequences", "camera")
    assert list(result.parent.iterdir()) == [result]


def test_standard_output_is_the_document_alone(result: Path) -> None:
    Path("out").symlink_to("/proc/self/fd/1")  # as /dev/stdout is, which a fault would replace
    words = [sys.executable, "-m", "codec_bridge.cli", "report", str(result), "--csv", "out"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    assert len(list(csv.DictReader(done.stdout.splitlines()))) == len(json.loads(result.read_text())["rows"])
    assert done.stderr == "wrote out\n"


def test_an_export_asks_before_it_replaces(tmp_path: Path) -> None:
    def export(*words: object) -> str:
        done = CliRunner().invoke(model_app, ["export", *map(str, words)])
        return str(done.exception or "")

    model, header = Path(shutil.copy(builtin_path(), tmp_path / "m.vrcnn")), tmp_path / "m.h"
    header.write_text("mine")
    assert "--force" in export(model, "--header", header)
    assert header.read_text() == "mine"
    assert export(model, "--header", header, "--force") == ""
    assert "static const" in header.read_text()
    assert "is an input of this command" in export(model, "--binary", model, "--force")
    assert "the same file" in export(model, "--binary", tmp_path / "a", "--header", tmp_path / "a")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\t=1", "\r=1", "\uff1d1"])
def test_cells_are_no_formulas(text: str) -> None:
    cell = str(safe_cell(text))
    assert cell.startswith("'")
    assert not any(letter in cell for letter in "\t\r")


def test_cells_are_what_they_were() -> None:
    assert [safe_cell(value) for value in (-1, -1.5, None, "a-b", "")] == [-1, -1.5, None, "a-b", ""]
    assert safe_cell("a\x1b[31m\nb") == r"a\x1b[31m\nb"
