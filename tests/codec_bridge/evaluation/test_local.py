"""Processes of this machine: the same rows as in one, no port, a worker that is killed, an evaluation that is."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from codec_bridge.evaluation import cluster, local
from codec_bridge.evaluation.cluster import Place
from codec_bridge.evaluation.store import Store
from codec_bridge.video.files import write_y4m
from tests.codec_bridge.evaluation.test_jobs import ROOT, events_until, figures, moving, plan_of, start
from tests.support import stubs as stub_tools
from tests.support.documents import as_json
from vrcnn_int.errors import VrcnnError
from vrcnn_int.machine import cores


def sockets(process: psutil.Process) -> list[Any]:
    """Those of the internet's protocols, of a process and what it started."""
    found = []
    for one in (process, *process.children(recursive=True)):
        try:
            found += one.net_connections("inet")
        except psutil.NoSuchProcess:
            continue
    return found


def test_several_processes_give_the_same_rows_and_open_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = plan_of(clip, qps=(27, 32))
    events: list[Any] = []
    found: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        if event["event"] == "step":
            found.extend(sockets(psutil.Process()))
            assert {path.stat().st_mode & 0o777 for path in (tmp_path / "temporary").iterdir()} == {0o700}

    several = cluster.evaluate(plan, Store(tmp_path / "several"), Place(2), listen)
    assert not found
    assert not list((tmp_path / "temporary").iterdir())
    alone = cluster.evaluate(plan, Store(tmp_path / "alone"))
    assert figures(as_json(several.rows)) == figures(as_json(alone.rows))
    assert [row.flag for row in several.rows] == [None] * 6
    assert {event["worker"] for event in events if event["event"] == "step"}.isdisjoint({f"process {os.getpid()}"})
    assert several.timing["workers"] == 2
    for row in several.rows:
        assert (tmp_path / f"several/logs/{row.key}.log").is_file()
    assert not psutil.Process().children() or all("tracker" in " ".join(child.cmdline()) for child in psutil.Process().children())


def test_a_worker_that_is_killed_costs_its_own_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = plan_of(clip, codec="hm", folders={"hm": stub_tools.install(tmp_path / "hm")}, variants=("anchor", "none"), qps=(32, 37))
    monkeypatch.setenv(stub_tools.FAULTS, json.dumps({"off 32": "encoder kills its worker"}))
    rows = cluster.evaluate(plan, Store(tmp_path / "results"), Place(2)).rows
    assert {(row.variant, row.qp) for row in rows if row.flag} == {("none", 32)}
    flagged = next(row for row in rows if row.flag)
    assert flagged.flag
    assert "was killed (SIGKILL), as systems do where memory runs out" in flagged.flag
    assert flagged.flag in (tmp_path / f"results/logs/{flagged.key}.log").read_text()


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_evaluation_that_is_ended_takes_its_processes_along(tmp_path: Path, way: signal.Signals) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(4, 320, 192), 25)
    process = start("bdrate", "--sequences", clip, "--workers", 2, "--json-lines")
    events_until(process, "step", 2)
    children = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(way)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[way]
    assert "Traceback" not in errors
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert len(gone) >= 2
    assert not alive


ENDED_AT_THE_START = """
import os, signal, sys, threading, time
from multiprocessing import util
def end():
    os.kill(os.getpid() if way == signal.SIGKILL else 0, way)
def spawned(path, words, *more):
    child = spawn(path, words, *more)
    if "--multiprocessing-fork" in words:
        with open(masks, "a") as file, open(f"/proc/{child}/status") as status:
            print(next(line.split()[1] for line in status if line.startswith("SigBlk")), file=file)
        timer = threading.Timer(float(moment), end)
        timer.start()
        if moment == "0":
            timer.join()
            time.sleep(0.3)  # until whichever thread takes it has done so
    return child
if __name__ == "__main__":
    way, moment, masks = int(sys.argv.pop(1)), sys.argv.pop(1), sys.argv.pop(1)
    spawn, util.spawnv_passfds = util.spawnv_passfds, spawned
    # A thread with no mask: the system gives it what the main thread does not want.
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    from codec_bridge.cli.app import main
    main()
"""


@pytest.mark.parametrize(
    ("way", "moment", "said"),
    [
        # 0: while the process that starts a worker is about to tell it what to do.
        *((signal.SIGINT, moment, "interrupted") for moment in (0, 0.1, 1)),
        *((signal.SIGTERM, moment, "terminated") for moment in (0, 0.1)),
        *((signal.SIGKILL, moment, "") for moment in (0.1, 1)),
    ],
)
def test_processes_that_are_being_started_end_without_a_word(tmp_path: Path, way: signal.Signals, moment: float, said: str) -> None:
    """Signals to all of a terminal's processes, or the death of the first: only the command itself says something, if it can."""
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(4, 320, 192), 25)
    (tmp_path / "program.py").write_text(ENDED_AT_THE_START)
    masks = tmp_path / "masks"
    words = ["program.py", way.value, moment, masks, "bdrate", "--sequences", clip, "--workers", 2]
    process = subprocess.Popen(
        [sys.executable, *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    _, errors = process.communicate(timeout=60)  # until the last of them has closed it
    assert process.returncode == (-way if way == signal.SIGKILL else 128 + way), errors
    assert [line for line in errors.splitlines() if "nothing is kept" not in line] == [said] * bool(said)
    found = masks.read_text().split()
    assert found
    assert all(int(mask, 16) >> (signal.SIGINT - 1) & 1 for mask in found), found


def test_starting_a_process_leaves_signals_as_they_were(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # dask_jobqueue has a handler of its own from when it is loaded.
    request.addfinalizer(partial(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler)))

    def as_they_are() -> Any:
        return [signal.getsignal(each) for each in signal.Signals], signal.pthread_sigmask(signal.SIG_BLOCK, ())

    before = as_they_are()
    with local.processes(1, False, lambda event: None) as crew:
        worker = crew._start()
        assert as_they_are() == before
        status = Path(f"/proc/{worker.process.pid}/status").read_text()
        (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigBlk"))
        assert int(mask, 16) == 1 << (signal.SIGINT - 1)
    done = []

    def interrupted() -> None:
        with local._started_whole():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            done.append(True)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done


def test_a_process_that_does_not_start_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    monkeypatch.setattr(local, "_work", os._exit)  # takes no pipe: it cannot begin
    with pytest.raises(VrcnnError, match="a worker's process does not start"):
        cluster.evaluate(plan_of(clip), Store(tmp_path / "results"), Place(2))


def test_workers_follow_the_affinity_mask() -> None:
    everywhere = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(everywhere)})
        assert cores() == Place().here == 1
    finally:
        os.sched_setaffinity(0, everywhere)
    assert cores() == len(everywhere)
    assert Place(3).here == 3
