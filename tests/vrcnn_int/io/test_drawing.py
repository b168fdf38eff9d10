"""Pictures need no screen, and no backend that the environment names."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install 'vrcnn-int[report]'")


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "nonsense", "svg"])
def test_any_backend_of_the_environment_will_do(backend: str) -> None:
    code = (
        "import os; from vrcnn_int.io.drawing import new_figure, png; figure = new_figure(1, 1); figure.add_subplot().plot([1, 2])\n"
        "assert png(figure, 50).startswith(b'\\x89PNG'); import matplotlib; print(os.environ['MPLBACKEND'], matplotlib.rcParams['backend'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "MPLBACKEND": backend})
    assert done.returncode == 0, done.stderr
    named, chosen = done.stdout.split()
    assert named == backend
    assert backend != "svg" or chosen == "svg"
