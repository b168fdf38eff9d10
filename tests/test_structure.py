"""The rules of ARCHITECTURE.md that a machine can check: what each room may import, and that neither modules nor rooms form a circle."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("vrcnn_int", "codec_bridge")
ROW = re.compile(r"^\| `([\w/.]+)` \| .+ \| (.+) \|$", re.M)


def allowed() -> dict[str, set[str]]:
    """Room (a folder, or a file with a row of its own) -> the rooms and packages that it may import, from the tables of ARCHITECTURE.md."""
    return {folder: set(re.findall(r"`([\w/.]+)`", names)) for folder, names in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())}


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of ours."""
    files = [path for top in OURS for path in (ROOT / top).rglob("*.py")]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


DYNAMIC = {"import_module", "__import__"}
COMPUTED = "an import whose name is computed"
MAY_COMPUTE = ("codec_bridge/codecs/__init__.py", "codec_bridge/evaluation/dask.py")
"""A codec's module is named in its table; a worker imports the module that sends it."""


def imported(path: Path, known: set[str]) -> Iterator[str]:
    """Dotted names of the modules that a file imports, also inside functions; COMPUTED for what cannot be told by reading."""
    tree = ast.parse(path.read_text())
    told = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = absolute(path, node)
            for alias in node.names:
                name = f"{package}.{alias.name}"
                yield COMPUTED if alias.name in DYNAMIC and alias.asname else name if name in known else package
        elif isinstance(node, ast.Call) and dynamic(node.func) and node.args and isinstance(node.args[0], ast.Constant):
            told.add(node.func)
            yield str(node.args[0].value)
    if any(dynamic(node) and node not in told for node in ast.walk(tree)) and place_of(path) not in MAY_COMPUTE:
        yield COMPUTED


def dynamic(node: ast.AST) -> bool:
    """Whether this names a function that imports."""
    return (isinstance(node, ast.Attribute) and node.attr in DYNAMIC) or (isinstance(node, ast.Name) and node.id in DYNAMIC)


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """The module that names are imported from."""
    if not node.level:
        return str(node.module)
    parts = Path(place_of(path)).parent.parts
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def place_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(place: str, rows: set[str]) -> str:
    """The room of a file or folder: its own row, or the nearest above it; empty if there is none."""
    while place and place not in rows:
        place = place.rpartition("/")[0]
    return place


def room_of(path: Path, rows: set[str]) -> str:
    return room(path.relative_to(ROOT).as_posix(), rows)


def target(name: str, known: dict[str, Path], rows: set[str]) -> str:
    """What the tables call an imported module: its room for ours, the package for others."""
    if name.split(".")[0] not in OURS:
        return name.split(".")[0]
    path = known.get(name)
    return room_of(path, rows) if path else room("/".join(name.split(".")[:-1]), rows)


def imports_of(folder: str) -> dict[str, str]:
    """What the files of a folder import from elsewhere, by the words of the tables -> the first place that does."""
    rows, known = set(allowed()), modules()
    found: dict[str, str] = {}
    for path in known.values():
        if room_of(path, rows) == folder:
            for name in imported(path, set(known)):
                found.setdefault(target(name, known, rows), f"{path.relative_to(ROOT)} imports {name}")
    return {to: place for to, place in found.items() if to != folder and to not in sys.stdlib_module_names}


@pytest.mark.parametrize("folder", sorted(allowed()))
def test_a_folder_imports_what_architecture_says(folder: str) -> None:
    imports, listed = imports_of(folder), allowed()[folder]
    assert not [place for to, place in imports.items() if to not in listed]
    assert not listed - set(imports), "ARCHITECTURE.md lists what is not imported"


def test_every_module_has_a_room() -> None:
    rows, known = set(allowed()), modules()
    assert {room_of(path, rows) for path in known.values()} == rows | {""}
    assert [place_of(path) for path in known.values() if not room_of(path, rows)] == ["codec_bridge/__init__.py"]
    assert not list(imported(known["codec_bridge"], set(known)))
    assert all((ROOT / name).suffix == ".py" or (ROOT / name / "__init__.py").exists() for name in rows)


def test_wheels_have_every_package() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {name for name, path in modules().items() if path.name == "__init__.py"}
    assert set(stated) == there | {"codec_bridge.sequences"}


def test_there_are_no_other_packages() -> None:
    """sequences has catalogues; its one module says so."""
    assert {path.parent.name for path in ROOT.glob("*/__init__.py")} == {*OURS, "tests", "sequences"}
    assert [path for top in ("sequences", "c") for path in (ROOT / top).rglob("*.py")] == [ROOT / "sequences/__init__.py"]
    assert not list(imported(ROOT / "sequences/__init__.py", set()))
    assert {path.name for path in ROOT.glob("*.py")} == {"setup.py"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("def f():\n    from .. import evaluation", {"codec_bridge.evaluation"}),
        ("from ..evaluation import keys", {"codec_bridge.evaluation.keys"}),
        ("from . import psnr", {"codec_bridge.figures"}),
        ("import importlib\nimportlib.import_module('torch')", {"importlib", "torch"}),
        ("import importlib\nimportlib.import_module(name='torch')", {"importlib", COMPUTED}),
        ("from importlib import import_module as load\nload('torch')", {COMPUTED}),
        ("import importlib\nN = 'torch'\nimportlib.import_module(N)", {"importlib", COMPUTED}),
        ("__import__('torch')", {"torch"}),
        ("import importlib\nload = importlib.import_module\nload('torch')", {"importlib", COMPUTED}),
        ("if TYPE_CHECKING:\n    import torch", {"torch"}),
    ],
)
def test_no_form_of_an_import_is_overlooked(line: str, expected: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they would stand in codec_bridge/figures."""
    path = tmp_path / "codec_bridge/figures/new.py"
    path.parent.mkdir(parents=True)
    path.write_text(line)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert set(imported(path, {"codec_bridge.evaluation", "codec_bridge.evaluation.keys"})) == expected


def test_no_rooms_form_a_circle() -> None:
    rows = allowed()
    assert_no_circle({name: listed & set(rows) for name, listed in rows.items()})


def test_no_imports_form_a_circle() -> None:
    known = modules()
    assert_no_circle({name: {to for to in imported(path, set(known)) if to in known and to != name} for name, path in known.items()})


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


def test_the_filter_needs_numpy_and_cffi_alone() -> None:
    code = "import sys; before = set(sys.modules); import codec_bridge.filter; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - set(OURS) == {"numpy", "_cffi_backend"}
    assert not [name for name in loaded if name.startswith(("codec_bridge.video", "vrcnn_int.training"))]


def test_the_top_level_loads_the_filter_when_it_is_asked_for() -> None:
    code = """
import sys; before = set(sys.modules); import vrcnn_int
loaded = {name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names}
assert loaded == {"vrcnn_int", "vrcnn_int.version"}, loaded
assert not set(dir(vrcnn_int)) & {"filter", "face"} and set(vrcnn_int.__all__) <= set(dir(vrcnn_int))
assert "numpy" not in sys.modules and not hasattr(vrcnn_int, "Filtre")
from vrcnn_int import *
import codec_bridge.filter as face
assert (Filter, FilterError, ErrorCode, kernels) == (face.Filter, face.FilterError, face.ErrorCode, face.kernels)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "module", ["codec_bridge.filter", "codec_bridge.cli.commands", "vrcnn_int.cli.commands", "vrcnn_int.quantize.plan"]
)
def test_importing_does_not_load_torch(module: str) -> None:
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
