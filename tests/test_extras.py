"""The core and every extra, each alone: what is not installed is said in one line, and what is installed works without the rest.

The modules of other extras are blocked in a process of its own; `make release-check INSTALLS=...` installs each into an environment.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import EXTRAS, PACKAGES, advice, extra_of, require

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ALL = frozenset(module for modules in EXTRAS.values() for module in modules)
RUN = """
import json, sys
program, blocked, arguments = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(blocked))
sys.argv = [program, *arguments]
if program == "vrcnn-int":
    from vrcnn_int.cli.app import main
else:
    from codec_bridge.cli.app import main
main()
"""


def names(requirements: list[str]) -> set[str]:
    """Packages of requirements, those of our own extras in place of these."""
    found: set[str] = set()
    for text in requirements:
        if own := re.match(r"vrcnn-int\[([\w,]+)\]$", text):
            found.update(*(names(PROJECT["optional-dependencies"][extra]) for extra in own[1].split(",")))
        else:
            found.add(re.split("[<>=]", text)[0])
    return found


def alone(program: str, *arguments: str, extra: str | None = None, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of ours where one extra is installed, or none."""
    blocked = sorted(ALL - set(EXTRAS[extra] if extra else ()))
    command = [sys.executable, "-c", RUN, json.dumps([program, blocked, arguments])]
    return subprocess.run(command, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)


@pytest.mark.parametrize("extra", EXTRAS)
def test_modules_are_those_of_pyproject(extra: str) -> None:
    assert {PACKAGES.get(module, module) for module in EXTRAS[extra]} == names(PROJECT["optional-dependencies"][extra])


def test_every_extra_of_users_is_known() -> None:
    assert set(PROJECT["optional-dependencies"]) - {"dev", "fuzz", "release"} == set(EXTRAS)
    assert not names(PROJECT["dependencies"]) & {PACKAGES.get(module, module) for module in ALL}


def test_the_smallest_extra_is_named() -> None:
    assert extra_of("PIL.Image") == "video"
    assert extra_of("torch") == "train"
    assert extra_of("numpy") is None
    assert extra_of("") is None
    assert advice("this", "PIL.Image", "video") == "this needs pillow; install it with: pip install 'vrcnn-int[video]'"


def test_required_modules_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setitem(sys.modules, "json", None)
    with pytest.raises(VrcnnError, match=r"^it needs av; install it with: pip install 'vrcnn-int\[eval\]'$"):
        require("it", "eval")
    require("it", "eval", "tomllib")
    with pytest.raises(VrcnnError, match="it needs json"):
        require("it", "eval", "json")


@pytest.mark.parametrize("program", ["codec-bridge", "vrcnn-int"])
def test_the_core_has_every_command(program: str, tmp_path: Path) -> None:
    done = alone(program, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "conformance" in done.stdout


def clip_in(folder: Path) -> Path:
    """Two pictures of 4:2:0."""
    rng = np.random.default_rng(28)
    shapes = (48, 64), (24, 32), (24, 32)
    pictures = [Picture(tuple(rng.integers(0, 256, shape, np.uint8) for shape in shapes), 8, "420") for _ in range(2)]
    write_y4m(folder / "clip.y4m", pictures, 25)
    return folder / "clip.y4m"


def test_the_core_filters_inspects_and_verifies(tmp_path: Path) -> None:
    clip = clip_in(tmp_path)
    done = alone("codec-bridge", "filter", str(clip), "out.y4m", "--qp", "32", "--original", str(clip), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.y4m").stat().st_size == clip.stat().st_size
    for program, *arguments in (["vrcnn-int", "inspect", "joint_intra"], ["vrcnn-int", "conformance", "verify", "--largest", "1"]):
        done = alone(program, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


def write_points(path: Path) -> None:
    """Two curves."""
    points = "".join(f"{label},{2**i * factor},{30 + i}\n" for label, factor in (("a", 100), ("b", 90)) for i in range(4))
    path.write_text("label,rate,psnr\n" + points)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["codec-bridge", "filter", "clip.mkv", "out.y4m", "--qp", "32"], "this needs av; install it with: pip install 'vrcnn-int[video]'"),
        (
            ["codec-bridge", "filter", "clip.y4m", "out.y4m", "--qp", "32", "--compare", "crop.png"],
            "--compare needs pillow; install it with: pip install 'vrcnn-int[video]'",
        ),
        (
            ["codec-bridge", "filter", "clip.y4m", "out.y4m", "--qp", "32", "--preview", "split.mkv"],
            "--preview needs av; install it with: pip install 'vrcnn-int[video]'",
        ),
        (
            ["codec-bridge", "filter", "a.png", "out.y4m", "--qp", "32"],
            "this needs pillow; install it with: pip install 'vrcnn-int[video]'",
        ),
        (
            ["codec-bridge", "bdrate", "--sequences", "clip.y4m"],
            "an evaluation needs av; install it with: pip install 'vrcnn-int[eval]'",
        ),
        (["codec-bridge", "check", "--sequences", "clip.y4m"], "an evaluation needs av; install it with: pip install 'vrcnn-int[eval]'"),
        (
            ["codec-bridge", "bdrate", "--sequences", "coffee"],
            "coffee needs scikit-image; install it with: pip install 'vrcnn-int[eval]'",
        ),
        (
            ["codec-bridge", "bdrate", "--sequences", "clip.y4m", "--plot", "rd.png"],
            "--plot needs matplotlib; install it with: pip install 'vrcnn-int[eval]'",
        ),
        (
            ["codec-bridge", "bench", "--plot", "bench.png"],
            "--plot needs matplotlib; install it with: pip install 'vrcnn-int[eval]'",
        ),
        (["codec-bridge", "bd", "points.csv#a", "--xlsx", "a.xlsx"], "install it with: pip install 'vrcnn-int[sheets]'"),
        (["codec-bridge", "bd", "points.csv#a"], "this needs bjontegaard; install it with: pip install 'vrcnn-int[eval]'"),
        (
            ["vrcnn-int", "train", "pairs.npz", "--validate", "pairs.npz", "--out", "run"],
            "training needs torch; install it with: pip install 'vrcnn-int[train]'",
        ),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else "",
)
def test_a_command_says_which_extra_it_lacks(arguments: list[str], line: str, tmp_path: Path) -> None:
    clip_in(tmp_path)
    for name in ("clip.mkv", "a.png", "pairs.npz"):
        (tmp_path / name).write_bytes(b"something")
    write_points(tmp_path / "points.csv")
    done = alone(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(f"{line}\n")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.xlsx")) + list(tmp_path.glob("out.*"))


def test_the_notebook_names_an_extra_that_has_what_it_imports() -> None:
    cells = ["".join(cell["source"]) for cell in json.loads((ROOT / "docs/filter.ipynb").read_text())["cells"]]
    named = re.search(r"pip install '\.\[(\w+)\]'", cells[0])
    assert named
    imported = {module for cell in cells for module in re.findall(r"^(?:import|from) (\w+)", cell, re.MULTILINE)}
    assert {module for module in imported if extra_of(module)} <= set(EXTRAS[named[1]])


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ("video", "import codec_bridge.video.container, codec_bridge.video.photograph, codec_bridge.codecs.pyav as p; p.encoder_version()"),
        ("cluster", "import codec_bridge.evaluation.dask; import distributed, dask_jobqueue"),
        ("sheets", "import codec_bridge.points.formats.workbook; import openpyxl"),
        ("train", "import vrcnn_int.training.loop, vrcnn_int.training.module"),
        ("bench", "import codec_bridge.bench.torch_peer, codec_bridge.bench.run"),
    ],
)
def test_an_extra_needs_no_other(extra: str, code: str, tmp_path: Path) -> None:
    for module in EXTRAS[extra]:
        if module not in ("onnx", "onnxruntime", "openvino"):
            pytest.importorskip(module)
    blocked = sorted(ALL - set(EXTRAS[extra]))
    start = f"import sys; sys.modules.update(dict.fromkeys({blocked})); "
    done = subprocess.run([sys.executable, "-c", start + code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_eval_alone_evaluates(tmp_path: Path) -> None:
    checked = alone("codec-bridge", "check", "--sequences", "coffee", "--qp", "37", extra="eval", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "no sample differs" in checked.stdout
    write_points(tmp_path / "points.csv")
    compared = alone("codec-bridge", "bd", "points.csv#a", "--html", "page.html", extra="eval", cwd=tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert (tmp_path / "page.html").exists()
