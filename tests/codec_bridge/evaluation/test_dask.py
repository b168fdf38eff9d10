"""Dask: a scheduler and workers of their own, one of which is killed; samples that are sent; nobody who can work; Slurm."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from codec_bridge.evaluation import cluster
from codec_bridge.evaluation import dask as dask_cluster
from codec_bridge.evaluation.cluster import Place
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.store import Store
from codec_bridge.video.files import write_y4m
from tests.codec_bridge.evaluation.test_jobs import ROOT, command, figures, moving, plan_of
from tests.support import stubs as stub_tools
from tests.support.documents import as_json
from vrcnn_int.errors import VrcnnError


@contextlib.contextmanager
def dask(*words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler or a worker, as a user starts it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    file = tmp_path / "scheduler.json"
    words = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    with dask("scheduler", *words, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1"):
        for _ in range(600):
            if file.exists() and (text := file.read_text()):
                yield json.loads(text)["address"]
                return
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")


def worker(scheduler: str, name: str, folder: Path, **environment: str) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """One that is not started again when it dies."""
    options = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--name", name, "--local-directory", str(folder)]
    return dask("worker", scheduler, *options, **environment)


@pytest.mark.parametrize("transfer", ["shared", "upload"])
def test_two_workers_one_of_them_killed(scheduler: str, tmp_path: Path, transfer: str) -> None:
    clips = []
    for n in range(2):
        clips.append(tmp_path / f"clip{n}.y4m")
        write_y4m(clips[-1], moving(3, 160 + 16 * n, 144), 25)
    plan = replace(plan_of(*clips, preset="medium"), transfer=transfer)
    victims: list[str] = []
    with worker(scheduler, "one", tmp_path / "w1") as first, worker(scheduler, "two", tmp_path / "w2") as second:
        workers = {"one": first, "two": second}

        def listen(event: Any) -> None:
            if event["event"] == "step" and event["step"] == "encode" and not victims:
                victims.append(event["name"])
                workers[event["name"]].send_signal(signal.SIGKILL)

        found = cluster.evaluate(plan, Store(tmp_path / "results"), Place(scheduler=scheduler), listen)
        assert [process.poll() for process in workers.values()].count(-signal.SIGKILL) == 1
    assert found.timing["jobs"] == {"cached": 0, "failed": 0, "done": 24}
    alone = cluster.evaluate(plan_of(*clips, preset="medium"), Store(tmp_path / "alone"), Place(1))
    assert figures(as_json(found.rows)) == figures(as_json(alone.rows))
    again = cluster.evaluate(plan, Store(tmp_path / "results"))
    assert again.timing["jobs"] == {"cached": 24, "failed": 0, "done": 0}
    for row in as_json(found.rows):
        assert (tmp_path / "results" / row["crop"]["file"]).read_bytes() == (tmp_path / "alone" / row["crop"]["file"]).read_bytes()
        assert (tmp_path / f"results/logs/{row['key']}.log").is_file()


def test_a_job_that_kills_its_workers_is_a_flagged_row(scheduler: str, tmp_path: Path) -> None:
    """A few die of it, then it is given up; the others go on."""
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    tools = stub_tools.install(tmp_path / "hm")
    plan = plan_of(clip, codec="hm", folders={"hm": tools}, variants=("anchor", "none"), qps=(32, 37))
    faults = {stub_tools.FAULTS: json.dumps({"off 32": "encoder kills its worker"})}
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(worker(scheduler, name, tmp_path / name, **faults)) for name in "abc"]
        rows = as_json(cluster.evaluate(plan, Store(tmp_path / "results"), Place(scheduler=scheduler)).rows)
        assert [process.poll() for process in processes].count(-signal.SIGKILL) == 2
    assert {(row["variant"], row["qp"]) for row in rows if row["flag"]} == {("none", 32)}
    flagged = next(row for row in rows if row["flag"])
    assert flagged["flag"].startswith("it could not be run: ")
    assert "died" in flagged["flag"]
    assert flagged["flag"] in (tmp_path / f"results/logs/{flagged['key']}.log").read_text()


def refusal(plan: Plan, address: str, folder: Path) -> str:
    with pytest.raises(VrcnnError) as refused:
        cluster.evaluate(plan, Store(folder), Place(scheduler=address))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_nobody_to_run_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheduler: str) -> None:
    monkeypatch.setattr(dask_cluster, "WAIT", 1)
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = plan_of(clip)
    assert refusal(plan, scheduler, tmp_path) == f"no workers at the scheduler {scheduler} within 1 s"
    for address in ("tls://127.0.0.1:1", "nonsense", "foo://127.0.0.1:1", "tcp://", "inproc://x"):
        assert refusal(plan, address, tmp_path).startswith(f"cannot use the scheduler '{address}': ")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        assert refusal(plan, address, tmp_path) == f"no scheduler answers at {address} within 1 s"
    with pytest.raises(VrcnnError, match="--scheduler needs an address"):
        Place(scheduler="")


def test_workers_that_do_not_have_the_project(scheduler: str, tmp_path: Path) -> None:
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['codec_bridge'] = None\n")
    with worker(scheduler, "bare", tmp_path / "w", PYTHONPATH=str(tmp_path)):
        text = refusal(plan_of(clip), scheduler, tmp_path)
    assert "cannot work" in text
    assert "install the same vrcnn-int" in text


def test_without_dask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in ("distributed", "dask_jobqueue") else found(name))
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = plan_of(clip, qps=(32,), variants=("none",))
    assert (
        refusal(plan, "tcp://127.0.0.1:1", tmp_path) == "--scheduler needs distributed; install it with: pip install 'vrcnn-int[cluster]'"
    )
    assert cluster.evaluate(plan, Store(tmp_path)).rows[0].flag is None


def test_an_interpreter_with_blanks_in_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts a line of the job's shell script."""
    pytest.importorskip("dask_jobqueue", reason="Slurm needs dask-jobqueue: pip install 'vrcnn-int[cluster]'")
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = replace(plan_of(clip), slurm={"jobs": 1, "cores": 1, "memory": "1GB", "interface": "lo"})
    monkeypatch.setattr(sys, "executable", "/my programs/python")
    with dask_cluster.slurm_cluster(plan) as jobs:
        assert "\n'/my programs/python' -m " in jobs.job_script()
    with dask_cluster.slurm_cluster(replace(plan, slurm={**plan.slurm, "python": "python3"})) as jobs:
        assert "\npython3 -m " in jobs.job_script()


def test_slurm_job_script(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue", reason="Slurm needs dask-jobqueue: pip install 'vrcnn-int[cluster]'")
    clip = tmp_path / "clip.y4m"
    write_y4m(clip, moving(1), 25)
    plan = tmp_path / "plan.toml"
    table = '[slurm]\njobs = 3\ncores = 4\nprocesses = 4\nmemory = "8GB"\nqueue = "video"\nwalltime = "02:00:00"\ninterface = "lo"\n'
    plan.write_text(f'sequences = ["{clip.name}"]\n{table}')
    arguments = ["bdrate", "--plan", plan, "--results", tmp_path / "results", "--dry-run", "--slurm"]
    shown = command(*arguments)
    assert shown.returncode == 0, shown.stderr
    for line in ("#SBATCH -p video", "#SBATCH --cpus-per-task=4", "#SBATCH -t 02:00:00"):
        assert line in shown.stdout.splitlines()
    assert "dask" in shown.stdout
    assert "--nworkers 4" in shown.stdout
    plan.write_text(f'sequences = ["{clip.name}"]\n[slurm]\ncpus = 4\n')
    wrong = command(*arguments)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")
    assert len(wrong.stderr.splitlines()) == 1


def test_dask_is_loaded_when_it_is_needed() -> None:
    code = "import codec_bridge.cli.commands, codec_bridge.evaluation.cluster, codec_bridge.evaluation.local, sys;"
    code += "assert not {'dask', 'distributed', 'tornado'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
