"""The C library and vrcnn_filter, installed once for all tests."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C library, installed."""
    if not shutil.which("make") or not shutil.which("cc"):
        pytest.skip("make and a C compiler are needed")
    folder = tmp_path_factory.mktemp("c")
    command = ["make", "-s", "-C", str(ROOT / "c"), "install", f"BUILD={folder / 'build'}", f"PREFIX={folder / 'my usr'}"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder / "my usr"
