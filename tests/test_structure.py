"""The rules of ARCHITECTURE.md that a machine can check."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TORCH = (
    "ablation",
    "brelu",
    "compare",
    "fine_tune",
    "module",
    "residual_filter",
    "residual_module",
    "resnet",
    "sampling",
    "stepping",
    "teach",
    "team",
    "torch_peer",
    "torch_peer_cuda",
    "train",
)
NO_TORCH = [path.stem for path in (ROOT / "vrcnn_int").glob("*.py") if path.stem not in (*TORCH, "__init__")]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "vrcnn_int").rglob("*.py")), ids=lambda p: p.name)
def test_vrcnn_int_never_imports_codec_bridge(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "codec_bridge"}


@pytest.mark.parametrize("path", sorted((ROOT / "codec_bridge").rglob("*.py")), ids=lambda p: p.name)
def test_codec_bridge_names_no_torch(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] == "torch"}


@pytest.mark.parametrize("module", ["codec_bridge", "codec_bridge.cli", *(f"vrcnn_int.{name}" for name in NO_TORCH)])
def test_importing_does_not_load_torch(module: str) -> None:
    code = f"import {module}, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
