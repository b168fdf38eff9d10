"""The rules of ARCHITECTURE.md that a machine can check: what each folder may import, and that no imports form a circle."""

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
ROW = re.compile(r"^\| `([\w/]+)` \| .+ \| (.+) \|$", re.M)


def allowed() -> dict[str, set[str]]:
    """Folder -> the folders and packages that it may import, from the tables of ARCHITECTURE.md."""
    return {folder: set(re.findall(r"`([\w/]+)`", names)) for folder, names in ROW.findall((ROOT / "ARCHITECTURE.md").read_text())}


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


def room(folder: str, rows: set[str]) -> str:
    """The folder whose row rules over a folder: its own, or the nearest above it."""
    while folder and folder not in rows:
        folder = folder.rpartition("/")[0]
    return folder


def target(name: str, known: dict[str, Path], rows: set[str]) -> str:
    """What the tables call an imported module: its room for ours, the package for others."""
    if name.split(".")[0] not in OURS:
        return name.split(".")[0]
    path = known.get(name)
    return room(path.parent.relative_to(ROOT).as_posix() if path else "/".join(name.split(".")[:-1]), rows)


def imports_of(folder: str) -> dict[str, str]:
    """What the files of a folder import from elsewhere, by the words of the tables -> the first place that does."""
    rows, known = set(allowed()), modules()
    found: dict[str, str] = {}
    for path in known.values():
        if room(path.parent.relative_to(ROOT).as_posix(), rows) == folder:
            for name in imported(path, set(known)):
                found.setdefault(target(name, known, rows), f"{path.relative_to(ROOT)} imports {name}")
    return {to: place for to, place in found.items() if to != folder and to not in sys.stdlib_module_names}


@pytest.mark.parametrize("folder", sorted(allowed()))
def test_a_folder_imports_what_architecture_says(folder: str) -> None:
    imports, listed = imports_of(folder), allowed()[folder]
    assert not [place for to, place in imports.items() if to not in listed]
    assert not listed - set(imports), "ARCHITECTURE.md lists what is not imported"


def test_every_folder_has_a_row() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in modules().values()}
    assert {room(folder, set(allowed())) for folder in folders} == set(allowed())
    assert all((ROOT / folder / "__init__.py").exists() for folder in allowed())


def test_no_imports_form_a_circle() -> None:
    known = modules()
    graph = {name: {to for to in imported(path, set(known)) if to in known and to != name} for name, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("module", ["codec_bridge.filter", "codec_bridge.cli.app", "vrcnn_int.cli.app", "vrcnn_int.quantize.plan"])
def test_importing_does_not_load_torch(module: str) -> None:
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
