"""The rules of ARCHITECTURE.md that a machine can check: what each room may import, and that neither modules nor rooms form a circle."""

import ast
import re
import subprocess
import sys
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


def imported(path: Path, known: set[str]) -> Iterator[str]:
    """Dotted names of the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else node.module
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] == "import_module"
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


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
    assert {room_of(path, rows) for path in known.values() if set(imported(path, set(known)))} == rows
    assert all((ROOT / name).suffix == ".py" or (ROOT / name / "__init__.py").exists() for name in rows)


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


@pytest.mark.parametrize(
    "module", ["codec_bridge.filter", "codec_bridge.cli.commands", "vrcnn_int.cli.commands", "vrcnn_int.quantize.plan"]
)
def test_importing_does_not_load_torch(module: str) -> None:
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
