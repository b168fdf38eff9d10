"""What an evaluation tells while it runs."""

import io
import json

import pytest
from rich.console import Console

from codec_bridge.evaluation import progress

JOB = {"sequence": "cat", "codec": "hm", "configuration": "ra", "qp": 27, "variant": "map", "key": "k1"}
OTHER = {**JOB, "qp": 32, "key": "k2"}


def test_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(progress, "notices", Console(file=screen, force_terminal=True, width=160, markup=False))
    with progress.Bars().shown() as bars:
        bars({"event": "start", "jobs": 5})
        bars({"event": "planned", "sequence": "dog", "jobs": 2, "cached": 2, "cost": 0.0})
        bars({"event": "planned", "sequence": "cat", "jobs": 3, "cached": 0, "cost": 40.0})
        bars({"event": "step", "step": "encode", **JOB})
        bars({"event": "step", "step": "decode", **JOB})
        bars({"event": "step", "step": "encode", **OTHER})
        assert [task.description for task in bars._progress.tasks] == [
            "jobs",
            "cat, hm ra, QP 27, map: decode",
            "cat, hm ra, QP 32, map: encode",
        ]
        bars({"event": "done", "text": None, "cost": 30.0, **JOB})
        bars({"event": "failed", "text": "it [red] failed", "cost": 5.0, **OTHER})
        (task,) = bars._progress.tasks
        assert (task.completed, task.total, task.fields["count"]) == (35.0, 40.0, "4/5, 1 failed")
        bars({"event": "damaged", "text": "a.json is damaged", **JOB})
    shown = screen.getvalue()
    assert "failed: cat, hm ra, QP 32, map: it [red] failed" in shown
    assert "damaged: cat, hm ra, QP 27, map: a.json is damaged" in shown


def test_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    progress.json_line({"event": "done", **JOB})
    progress.json_line({"event": "summary"})
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["done", "summary"]
