"""What a newcomer reads of the Python interface: the page made of docstrings names everything public, and the notebook runs."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge import filter as face

ROOT = Path(__file__).parent.parent


def public(thing: type) -> list[str]:
    """The names of a class that users may call, inherited ones too."""
    return [name for name, member in inspect.getmembers(thing, inspect.isfunction) if not name.startswith("_")]


def test_the_page_names_every_public_thing(tmp_path: Path) -> None:
    pytest.importorskip("pdoc", reason="pdoc is needed: pip install '.[dev]'")
    command = ["make", "-s", "-o", ".venv/.dev", "docs", f"BIN={Path(sys.executable).parent}", f"DOCS={tmp_path}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PYTHONWARNINGS": "default"})
    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "codec_bridge/filter.html").read_text(encoding="utf-8")
    methods = [f"Filter.{name}" for name in public(face.Filter)]
    assert {"Filter.filter_plane", "Filter.filter_planes_units", "Filter.close"} <= set(methods)
    assert not [name for name in [*face.__all__, *methods] if f'id="{name}"' not in page]


def test_everything_public_has_a_docstring() -> None:
    things = [getattr(face, name) for name in face.__all__ if name != "BACKENDS"]
    assert not [thing for thing in things if not thing.__doc__]
    assert not [name for name in public(face.Filter) if not inspect.getdoc(getattr(face.Filter, name))]
    for name in public(face.Filter):
        method = getattr(face.Filter, name)
        if "qp" in inspect.signature(method).parameters:
            assert "ErrorCode" in inspect.getdoc(method), name  # type: ignore[operator]


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cells one after the other, as a kernel would run them; what it claims is so."""
    monkeypatch.setenv("MPLBACKEND", "Agg")
    notebook = json.loads((ROOT / "docs/filter.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not [cell for cell in cells if cell["outputs"] or cell["execution_count"]], "clear all outputs before it is checked in"
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile("".join(cell["source"]), "docs/filter.ipynb", "exec"), names)
    assert names["after"] > names["usual"] > names["before"]
    assert names["psnr"](names["enhanced"]) > names["usual"]
    gains = [names["psnr"](names["all_planes"][p], p) - names["psnr"](names["unfiltered"][p], p) for p in range(3)]
    assert min(gains) > 0, gains
    assert names["same_bits"] is True
    assert "the QP is outside -12..51" in names["refusal"]
    assert not np.array_equal(names["filtered"], names["unfiltered"][0])
