"""An evaluation in this process: workers that are not the plan's, faults of ours, several at once; a plan beside options."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codec_bridge.evaluation import cluster, jobs, offline
from codec_bridge.evaluation.cluster import Place
from codec_bridge.evaluation.store import Store
from codec_bridge.evaluation.worker import Task, run
from codec_bridge.video.files import write_y4m
from tests.codec_bridge.evaluation.test_jobs import command, moving, plan_of
from tests.support import stubs as stub_tools
from tests.support.documents import as_json


def test_a_worker_that_is_not_the_plan_s_gives_flagged_rows(tmp_path: Path) -> None:
    """What it has is compared with the key: samples, libraries, and all else."""
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    (job,) = jobs.expand(plan_of(clip, qps=(32,), variants=("none",)))
    (fine,) = run(Task((job,), False), lambda _: None)
    assert fine.row.flag is None
    files = dict.fromkeys(job.inputs["programs"]["files"], "0" * 64)
    other = replace(job, inputs={**job.inputs, "programs": {**job.inputs["programs"], "files": files}})
    (result,) = run(Task((other,), False), lambda _: None)
    assert "this worker's programs is not the plan's: libavcodec" in result.row.flag
    assert result.row.figures is None
    # Each job of a task is compared: another filter is nothing to a stream without one.
    pair = jobs.expand(plan_of(clip, qps=(32,), variants=("none", "integer")))
    assert pair[0].stream == pair[1].stream
    pair[1] = replace(pair[1], inputs={**pair[1].inputs, "library": "0" * 64})
    first, second = run(Task(tuple(pair), False), lambda _: None)
    assert first.row.flag is None
    assert second.row.flag.startswith(f"this worker's library is not the plan's: {64 * '0'} planned, ")
    (result,) = run(Task((job,), False), lambda _: None, moving(2)[1:])
    assert "this worker's sequence is not the plan's: md5: " in result.row.flag
    write_y4m(clip, moving(2)[1:], 25)
    (result,) = run(Task((job,), False), lambda _: None)
    assert "this worker's sequence is not the plan's: md5: " in result.row.flag


def test_a_fault_of_ours_is_one_flagged_row_with_its_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    monkeypatch.setitem(offline.FILTERS, "integer", lambda *_: 1 // 0)
    found = cluster.evaluate(plan_of(clip, qps=(32,)), Store(tmp_path / "results"))
    assert [row.flag is None for row in found.rows] == [True, True, False]
    (row,) = as_json(found.rows[2:])
    assert "a fault of vrcnn-int: ZeroDivisionError" in row["flag"]
    assert "Traceback" in (tmp_path / f"results/logs/{row['key']}.log").read_text()


def test_two_evaluations_in_one_process_know_nothing_of_each_other(tmp_path: Path) -> None:
    """One gives up while the other's programs run."""
    clips = [tmp_path / f"clip{n}.y4m" for n in range(2)]
    for n, clip in enumerate(clips):
        write_y4m(clip, moving(2, 80 + 16 * n), 25)
    running = threading.Event()

    def given_up(event: Any) -> None:
        if event["event"] == "done":
            assert running.wait(60)
            raise InterruptedError

    def watched(event: Any) -> None:
        if event["event"] == "step" and event["step"] == "encode":
            running.set()

    hm = {"hm": stub_tools.install(tmp_path / "hm")}
    plans = plan_of(clips[0]), plan_of(clips[1], codec="hm", folders=hm, variants=("anchor", "none"), qps=(32,))
    with ThreadPoolExecutor(2) as pool:
        first, second = (
            pool.submit(cluster.evaluate, plan, Store(tmp_path / name), Place(1), listen)
            for plan, name, listen in zip(plans, "ab", (given_up, watched), strict=True)
        )
        with pytest.raises(InterruptedError):
            first.result()
        rows = second.result().rows
    assert [row.flag for row in rows] == [None] * 2


def test_plan_and_options_contradict(tmp_path: Path) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = tmp_path / "plan.toml"
    plan.write_text(f'sequences = ["{clip.name}"]\n')
    refused = command("bdrate", "--plan", plan, "--frames", 2, "--qp", "1,2,3,4")
    assert refused.returncode == 1
    assert f"frames, qp: give this in the plan {plan}" in refused.stderr
    done = command("bdrate", "--plan", plan, "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert "12 jobs done" in done.stdout
