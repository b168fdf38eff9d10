"""An installed wheel is whole: it works away from the checkout, with its models, catalogue and C library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codec_bridge.report.document import write_json
from tests.support.documents import document_of, rows_of
from tests.support.hm_checkout import make_checkout, make_library

ROOT = Path(__file__).parent.parent


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources and unpacked into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=unwanted)
    pip = ("-m", "pip", "--disable-pip-version-check")
    python(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(folder / "source"), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    python(*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel), cwd=folder)
    return folder / "site"


def test_wheel_filters_and_finds_its_catalogue(installed: Path, tmp_path: Path) -> None:
    code = "import codec_bridge; print(codec_bridge.__file__)"
    assert str(installed) in python("-c", code, cwd=tmp_path, PYTHONPATH=str(installed))
    arguments = ["-m", "codec_bridge.cli", "check", "--sequences", "coffee", "--qp", "37"]
    assert "no sample differs" in python(*arguments, cwd=tmp_path, PYTHONPATH=str(installed), COLUMNS="200")
    assert list(tmp_path.iterdir()) == []


def test_wheel_has_the_conformance_suite(installed: Path, tmp_path: Path) -> None:
    said = python("-m", "codec_bridge.cli", "conformance", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "sideinfo" in said
    python("-m", "vrcnn_int.cli", "conformance", "verify", "--largest", "1", cwd=tmp_path, PYTHONPATH=str(installed))


def test_wheel_has_the_adapter_for_hm(installed: Path, tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    prefix = make_library(tmp_path / "prefix")
    arguments = ["-m", "codec_bridge.cli", "hm", "install", "--hm", str(hm), "--vrcnn", str(prefix)]
    assert "16 files changed" in python(*arguments, cwd=tmp_path, PYTHONPATH=str(installed), COLUMNS="200")


def test_wheel_has_the_report_page(installed: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", document_of(rows_of("a", "anchor") + rows_of("a", "integer")))
    arguments = ["-m", "codec_bridge.cli", "report", "result.json", "--html", "page.html"]
    python(*arguments, cwd=tmp_path, PYTHONPATH=str(installed))
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
