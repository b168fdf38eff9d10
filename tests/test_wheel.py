"""An installed wheel is whole: it works away from the checkout, with its models, catalogue and C library."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from codec_bridge.report.document import write_json
from tests.support.documents import document_of, rows_of
from tests.support.hm_checkout import make_checkout, make_library
from vrcnn_int.conformance.networks import GENERAL_SETS
from vrcnn_int.models import set_names

ROOT = Path(__file__).parent.parent


def python(*arguments: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source archive of a copy of the sources and unpacked into an empty folder."""
    folder = tmp_path_factory.mktemp("wheel")
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "*.so", "__pycache__")
    shutil.copytree(ROOT, folder / "source", ignore=unwanted)
    python("-m", "build", "--no-isolation", "--outdir", str(folder), str(folder / "source"), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    python("-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--target", str(folder / "site"), str(wheel), cwd=folder)
    return folder / "site"


def test_wheel_is_small_and_has_no_training_data(installed: Path) -> None:
    (wheel,) = installed.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
    print(f"{wheel.name}: {len(names)} files, {wheel.stat().st_size} bytes")
    assert wheel.stat().st_size < 6_500_000  # most of it the model sets, once
    assert not [name for name in names if Path(name).stem in GENERAL_SETS and name.endswith(".vrcnn")]
    assert not [name for name in names if name.endswith((".npz", ".png", ".c", ".inc"))]
    assert {f"vrcnn_int/models/{name}{ending}" for name in set_names() for ending in (".vrcnn", ".json")} <= set(names)
    assert {"codec_bridge/py.typed", "vrcnn_int/py.typed"} <= set(names)
    pages = {name.rpartition(".data/data/")[2] for name in names if ".data/" in name}
    assert pages == {"share/man/man1/codec-bridge.1", "share/man/man1/vrcnn-int.1"}
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".libs", ".data"))} == {"codec_bridge", "vrcnn_int"}


def test_what_needs_the_float_networks_says_where_they_are(installed: Path, tmp_path: Path) -> None:
    """Of a wheel, in one line; with the model of the source tree it works."""

    (tmp_path / "grey.yuv").write_bytes(bytes([128]) * (64 * 48 * 3 // 2))
    grey = ["grey.yuv", "filtered.yuv", "--size", "64x48", "--format", "yuv420p", "--qp", "37", "--backend", "float"]

    def filtered(*more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "codec_bridge.cli", "filter", *grey, *more]
        return subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)}, capture_output=True, text=True)

    refused = filtered()
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "vrcnn_intra.float.npz" in refused.stderr
    assert "give --model FOLDER/vrcnn_int/models/vrcnn_intra.vrcnn of a source tree" in refused.stderr
    done = filtered("--model", str(ROOT / "vrcnn_int/models/vrcnn_intra.vrcnn"))
    assert done.returncode == 0, done.stderr


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
