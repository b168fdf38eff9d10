"""The C library and vrcnn_filter, compiled and installed once for all tests, and for all processes that pytest-xdist runs them in."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C library, installed; beside it, in the folder build, what it was made of."""
    if not shutil.which("make") or not shutil.which("cc"):
        pytest.skip("make and a C compiler are needed")
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "c"
    command = ["make", "-s", "-C", str(ROOT / "c"), "install", f"BUILD={folder / 'build'}", f"PREFIX={folder / 'my usr'}"]
    with FileLock(f"{folder}.lock"):
        if not (folder / "installed").exists():  # each process's make would write what the others run
            folder.mkdir(exist_ok=True)
            subprocess.run(command, check=True, capture_output=True, text=True)
            (folder / "installed").touch()
    return folder / "my usr"
