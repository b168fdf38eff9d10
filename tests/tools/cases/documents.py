"""Documents, curves, jobs on one machine and elsewhere, what plans may run."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.tools.cases import Bench, Outcome, Ran, Skip, case, inputs

FEW = ("--variants", "anchor,none", "--frames", "1", "--json-lines")


def refused(ran: Ran, *words: str) -> Outcome:
    """Right: one line and exit code 1, or an error of usage and exit code 2, with these words."""
    usage = ran.code == 2 and "Traceback" not in ran.err and ran.err.startswith("Usage:")
    right = (ran.is_refusal or usage) and all(word in ran.err for word in words)
    return Outcome(right, f"exit code {ran.code}, {len(ran.err.splitlines())} lines: {ran.last}")


def result(bench: Bench, **changes: object) -> Path:
    """A result document of the version that is tried, with changes in its first row."""
    path = inputs.evaluated(bench, *FEW)
    document = json.loads(path.read_text())
    document["rows"][0] |= changes
    path.write_text(json.dumps(document))
    return path


@case("A 8", "the PSNR of a constant picture, 999.99, enters means")
def constant(bench: Bench) -> Outcome:
    (bench.folder / "g.y4m").write_bytes(b"YUV4MPEG2 W64 H64 F25:1 Cmono\nFRAME\n" + bytes([128]) * 4096)
    inputs.noise_y4m(bench.folder / "s.y4m")
    bench.bridge("bdrate", "--sequences", "g.y4m", "--sequences", "s.y4m", "--json", "r.json", *FEW)
    document = json.loads((bench.folder / "r.json").read_text())
    constant, noise = (entry["variants"]["none"]["gains_y"] for entry in document["sequences"])
    mean = document["means"][0]["variants"]["none"]["gains_y"]
    # It is not clear before coding whether one side or both equal the original: either way there is no gain.
    return Outcome(not constant and mean in ([], noise), f"gains {constant or 'none'}, in the mean with others {mean or 'none'}")


@case("A 11", "--scheduler '' runs here")
def no_address(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    return refused(bench.bridge("bdrate", "--sequences", "s.y4m", "--scheduler", "", *FEW), "--scheduler")


PAIRS = """
try:
    from vrcnn_int.io import pairs
except ImportError:  # where the version before has it
    from vrcnn_int import pairs
"""

PAIR = f"""
import sys
import numpy as np
{PAIRS}
rng = np.random.default_rng(1)
made = [(rng.integers(0, 256, (64, 64)).astype(np.uint8), rng.integers(0, 256, (64, 64)).astype(np.uint8))]
pairs.write("p.npz", made, {{meta}})
"""


def trained(bench: Bench, meta: str, *more: object, timeout: float = 60) -> Ran:
    bench.python(PAIR.format(meta=meta))
    few = [word for name in ("float_steps=2", "weight_steps=1", "bound_steps=1", "batch=2", "patch=24") for word in ("--set", name)]
    ran = bench.model("train", "p.npz", "--validate", "p.npz", "--out", "run", *few, *more, timeout=timeout)
    if "needs torch" in ran.err:
        raise Skip("training needs torch")
    return ran


def opened(bench: Bench, meta: str) -> Ran:
    bench.python(PAIR.format(meta=meta))
    code = PAIRS + "from vrcnn_int.errors import VrcnnError\nimport sys\n"
    code += "try:\n    pairs.read('p.npz')\nexcept VrcnnError as error:\n    sys.exit('error: ' + str(error))\nprint('it is read')"
    return bench.python(code)


@case("A 12", "a pair file with position foo trains to the end")
def position(bench: Bench) -> Outcome:
    return refused(opened(bench, '{"qp": 32, "position": "foo"}'), "p.npz", "position")


@case("B 9", "a pair file without position: traceback")
def no_position(bench: Bench) -> Outcome:
    return refused(opened(bench, '{"qp": 32}'), "p.npz", "position")


@case("A 13", "pairs pack --megabytes 0 means no limit")
def megabytes(bench: Bench) -> Outcome:
    bench.python(PAIR.format(meta='{"qp": 32, "position": "after_sao"}'))
    return refused(bench.bridge("pairs", "pack", "p.npz", "--out", "q.npz", "--megabytes", "0"), "megabytes")


@case("B 3", "torch.save({}, 'run/checkpoint.pt'), then train: traceback")
def checkpoint(bench: Bench) -> Outcome:
    (bench.folder / "run").mkdir()
    bench.python("import torch; torch.save({}, 'run/checkpoint.pt')")
    return refused(trained(bench, '{"qp": 32, "position": "after_sao"}'), "checkpoint.pt")


@case("B 3 b", "a checkpoint that is a list")
def checkpoint_list(bench: Bench) -> Outcome:
    (bench.folder / "run").mkdir()
    bench.python("import torch; torch.save([1, 2], 'run/checkpoint.pt')")
    return refused(trained(bench, '{"qp": 32, "position": "after_sao"}'), "checkpoint.pt")


@case("B 4", "--frames 99999999999999999999: traceback")
def frames(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    return refused(bench.bridge("filter", "s.y4m", "o.y4m", "--qp", "32", "--frames", "99999999999999999999"), "frames")


@case("B 4 b", "5000 digits in --size")
def size(bench: Bench) -> Outcome:
    (bench.folder / "s.yuv").write_bytes(bytes(6144))
    return refused(bench.bridge("filter", "s.yuv", "o.y4m", "--qp", "32", "--size", "9" * 5000 + "x64"), "size")


@case("B 4 c", "5000 digits in --qp, frames of 20 digits in a plan")
def digits(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "p.toml").write_text('sequences = ["s.y4m"]\nframes = 99999999999999999999\n')
    ways = ("--plan", "p.toml"), ("--sequences", "s.y4m", "--qp", "9" * 4000)
    found = [refused(bench.bridge("bdrate", *way)) for way in ways]
    return Outcome(all(one.right for one in found), "; ".join(one.seen[:70] for one in found))


@case("B 5", "report on JSON nested 100000 deep: traceback")
def nested(bench: Bench) -> Outcome:
    (bench.folder / "d.json").write_text("[" * 100000)
    return refused(bench.bridge("report", "d.json"), "d.json")


@case("B 5 b", "a plan nested 100000 deep, and with a number of 5000 digits")
def nested_plan(bench: Bench) -> Outcome:
    found = []
    for text in ("sequences = " + "[" * 100000, "qps = [" + "9" * 5000 + "]"):
        (bench.folder / "p.toml").write_text(text)
        found.append(refused(bench.bridge("bdrate", "--plan", "p.toml"), "p.toml"))
    return Outcome(all(one.right for one in found), "; ".join(one.seen[:70] for one in found))


@case("B 6", '"pictures": 0 in a row of a result')
def no_pictures(bench: Bench) -> Outcome:
    return refused(bench.bridge("report", result(bench, pictures=0), "--html", "p.html"), "base.json", "rows[0]")


@case("B 6 b", "rows of other types: text, negative times, keys that are missing")
def other_types(bench: Bench) -> Outcome:
    path = result(bench)
    whole = json.loads(path.read_text())
    found = []
    for key, value in (("bits", "1"), ("encode_seconds", -1.0), ("qp", 999), ("crop", 5), ("width", 0), ("variant", "x")):
        path.write_text(json.dumps({**whole, "rows": [whole["rows"][0] | {key: value}, *whole["rows"][1:]]}))
        found.append(refused(bench.bridge("report", path, "--html", "p.html"), "base.json", "rows[0]", key))
    wrong = [one.seen for one in found if not one.right]
    return Outcome(not wrong, "; ".join(text[:60] for text in wrong) or f"{len(found)} refused")


@case("B 7", "touch /tmp/dask-scratch-space makes bdrate fail")
def scratch(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "tmp").mkdir()
    (bench.folder / "tmp/dask-scratch-space").write_text("")
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", *FEW, TMPDIR=str(bench.folder / "tmp"))
    return Outcome(ran.code == 0, f"exit code {ran.code}: {ran.last}")


@case("B 8", "--scheduler tls://127.0.0.1:1: 73 lines")
def tls(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    return refused(bench.bridge("bdrate", "--sequences", "s.y4m", "--scheduler", "tls://127.0.0.1:1", *FEW), "scheduler")


@case("B 13 d", "bd_rate(numpy array): ambiguous truth value")
def arrays(bench: Bench) -> Outcome:
    code = "import numpy as np\nfrom codec_bridge.figures.bd_rate import bd_rate\n"
    code += "a = np.array([(1, 30), (2, 32), (4, 34), (8, 36.0)])\nprint(bd_rate(a, a + [0.1, 0]).bd_rate)"
    ran = bench.python(code)
    return Outcome(ran.code == 0, f"exit code {ran.code}: {ran.last}")


@contextlib.contextmanager
def dask(bench: Bench, *words: object, **environment: str) -> Iterator[None]:
    command = [str(word) for word in (bench.programs / "python", "-m", "dask", *words)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=bench.folder, env={**os.environ, **environment}, stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@case("C 1", "a scheduler whose workers cannot import codec_bridge: waits for ever")
def bare_workers(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "bare").mkdir()
    (bench.folder / "bare/sitecustomize.py").write_text("import sys\nsys.modules['codec_bridge'] = None\n")
    file = bench.folder / "scheduler.json"
    with dask(bench, "scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--scheduler-file", file):
        until = time.monotonic() + 30
        while not (file.exists() and file.read_text()):
            if time.monotonic() > until:
                raise Skip("dask does not start")
            time.sleep(0.2)
        address = json.loads(file.read_text())["address"]
        options = ("--nthreads", 1, "--no-nanny", "--no-dashboard", "--local-directory", bench.folder / "w")
        with dask(bench, "worker", address, *options, PYTHONPATH=str(bench.folder / "bare")):
            return refused(bench.bridge("bdrate", "--sequences", "s.y4m", "--scheduler", address, *FEW, timeout=90), "cannot work")


@case("C 2", "a port that accepts and says nothing: over 300 s")
def silent(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        port.listen()
        address = f"tcp://127.0.0.1:{port.getsockname()[1]}"
        return refused(bench.bridge("bdrate", "--sequences", "s.y4m", "--scheduler", address, *FEW, timeout=60), "within 30 s")


@case("C 3", "bench --sizes 99999x99999 builds the picture first")
def large(bench: Bench) -> Outcome:
    start = time.monotonic()
    found = refused(bench.bridge("bench", "--sizes", "99999x99999", "--kernels", "scalar", timeout=20), "99999x99999")
    return Outcome(found.right and time.monotonic() - start < 10, found.seen)


@case("D 1", "a local bdrate listens on ports")
def ports(bench: Bench) -> Outcome:
    command = [str(bench.programs / "codec-bridge"), "bdrate", "--sequences", "camera", *FEW, "--workers", "2"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=bench.folder, stdout=quiet, stderr=quiet)
    found: set[str] = set()
    looked = 0
    while process.poll() is None:
        with contextlib.suppress(psutil.Error):
            for one in (mine := psutil.Process(process.pid), *mine.children(recursive=True)):
                ends = (end.laddr for end in one.net_connections("inet") if end.status == psutil.CONN_LISTEN)
                found |= {f"{end.ip}:{'PORT' if end.port else 0}" for end in ends}
                looked += 1
        time.sleep(0.1)
    return Outcome(process.returncode == 0 and not found and looked > 10, f"listens: {', '.join(sorted(found)) or 'nowhere'}")


@case("D 2", "a plan names a program to run, also with --dry-run")
def programs(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    text = 'sequences = ["s.y4m"]\ncodecs = ["x265-loop"]\n[programs]\ncodecs = "evil"\n'
    (bench.folder / "p.toml").write_text(text)
    (bench.folder / "evil").mkdir()
    for name in ("x265", "x265-10bit", "dec265"):
        (bench.folder / "evil" / name).write_text(f"#!/bin/sh\ntouch {bench.folder}/ran\n")
        (bench.folder / "evil" / name).chmod(0o755)
    found = refused(bench.bridge("bdrate", "--plan", "p.toml", "--dry-run"), "--allow-programs", "evil")
    ran = (bench.folder / "ran").exists()
    return Outcome(found.right and not ran, f"{'the program ran; ' if ran else ''}{found.seen}")


@case("D 2 b", "x265-loop takes ./build/codecs/bin of whatever folder one stands in")
def here(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    place = bench.folder / "build/codecs/bin"
    place.mkdir(parents=True)
    for name in ("x265", "x265-10bit", "dec265"):
        (place / name).write_text(f"#!/bin/sh\ntouch {bench.folder}/ran\n")
        (place / name).chmod(0o755)
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--codec", "x265-loop", "--dry-run", VRCNN_CODECS="")
    started = (bench.folder / "ran").exists()
    return Outcome(not started, "the program ran" if started else f"exit code {ran.code}: {ran.last}")


@case("D 2 c", "a plan's table slurm names commands")
def slurm(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "p.toml").write_text('sequences = ["s.y4m"]\n[slurm]\ncores = 1\nmemory = "1GB"\njob_script_prologue = ["touch ran"]\n')
    return refused(bench.bridge("bdrate", "--plan", "p.toml", "--dry-run", "--slurm"), "--allow-programs", "job_script_prologue")


@case("D 2 d", "arguments of a plan's table slurm run commands")
def slurm_words(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    lines = (
        'death_timeout = "5; touch ran #"',
        'interface = "lo; touch ran #"',
        'protocol = "tcp:// $(touch ran)"',
        'name = "a`touch ran`"',
        'queue = "--wrap=x"',
    )
    seen = []
    for line in lines:
        (bench.folder / "p.toml").write_text(f'sequences = ["s.y4m"]\n[slurm]\njobs = 1\ncores = 1\nmemory = "1GB"\n{line}\n')
        seen.append(refused(bench.bridge("bdrate", "--plan", "p.toml", "--dry-run", "--slurm"), "--allow-programs", line.split()[0]))
    return next((found for found in seen if not found.right), seen[0])


@case("D 5", "a fixed name in the temporary folder follows planted links")
def planted(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    for name in ("tmp", "target"):
        (bench.folder / name).mkdir()
    (bench.folder / "tmp/dask-scratch-space").symlink_to(bench.folder / "target")
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", *FEW, TMPDIR=str(bench.folder / "tmp"))
    left = sorted(path.name for path in (bench.folder / "target").iterdir())
    return Outcome(ran.code == 0 and not left, f"exit code {ran.code}, in the target: {left or 'nothing'}")


@case("D 5 b", "a worker that is killed costs the evaluation, or leaves files")
def killed(bench: Bench) -> Outcome:
    (bench.folder / "tmp").mkdir()
    command = [str(bench.programs / "codec-bridge"), "bdrate", "--sequences", "camera", *FEW, "--workers", "2"]
    pipe = subprocess.PIPE
    environment = {**os.environ, "TMPDIR": str(bench.folder / "tmp")}
    process = subprocess.Popen(command, cwd=bench.folder, env=environment, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    for line in process.stdout:
        if '"encode"' in line:
            break
    workers = [one for one in psutil.Process(process.pid).children() if "spawn_main" in " ".join(one.cmdline())]
    if not workers:
        process.kill()
        process.communicate()
        return Outcome(False, "its workers are threads: what kills one kills all")
    workers[0].send_signal(signal.SIGKILL)
    out, _ = process.communicate(timeout=120 * bench.patience)
    flags = {event["text"] for line in out.splitlines() if (event := json.loads(line))["event"] == "failed"}
    left = list((bench.folder / "tmp").iterdir())
    return Outcome(len(flags) == 1 and "was killed" in min(flags) and not left, f"{'; '.join(flags)}, left: {left or 'nothing'}")


@case("E 3", "unknown key variant: keys are left out")
def keys(bench: Bench) -> Outcome:
    (bench.folder / "p.toml").write_text('sequences = ["camera"]\nvariant = ["none"]\n')
    return refused(bench.bridge("bdrate", "--plan", "p.toml"), "variants", "transfer", "stream_cache", "slurm", "programs")


@case("E 3 b", "a byte order mark in a plan is Invalid statement")
def mark(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "p.toml").write_bytes(b'\xef\xbb\xbfsequences = ["s.y4m"]\n')
    ran = bench.bridge("bdrate", "--plan", "p.toml", "--dry-run")
    return Outcome(ran.code == 0, f"exit code {ran.code}: {ran.last}")


@case("E 8 d", "diverging training is found at the end")
def diverging(bench: Bench) -> Outcome:
    ran = trained(bench, '{"qp": 32, "position": "after_sao"}', "--set", "rate=1e30", "--set", "float_steps=2000", "--set", "log_every=1")
    return refused(ran, "diverged")


@case("E 9", "means of Y, U and V over unlike sequences")
def unlike(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    colour = b"YUV4MPEG2 W64 H64 F25:1 C420jpeg\nFRAME\n" + bytes(range(256)) * 24
    (bench.folder / "c.y4m").write_bytes(colour)
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--sequences", "c.y4m", *FEW[:-1], COLUMNS="160")
    return Outcome("U and V over the 1 that has them" in ran.out, "said" if "over the 1" in ran.out else "not said")


@case("E 9 b", "encode times of single pictures are shown as ratios")
def times(bench: Bench) -> Outcome:
    document = json.loads(result(bench).read_text())
    found = document["means"][0]["variants"]["none"]["encode_time"]
    return Outcome(found is None, f"encode_time {found}")


@case("F 5", "cubic BD-rate of monotone curves at 97 to 100 dB")
def cubic(bench: Bench) -> Outcome:
    code = "from codec_bridge.figures.bd_rate import bd_rate\n"
    code += (
        "a = [(1000, 97.0), (1010, 97.01), (4000, 99.0), (8000, 99.9)]\nb = [(1000, 97.1), (1500, 97.11), (1600, 99.2), (8000, 100.0)]\n"
    )
    code += "print(bd_rate(a, b, 'cubic'))"
    ran = bench.python(code)
    return Outcome(ran.code == 1 and "DoubtfulError" in ran.err, f"exit code {ran.code}: {ran.last}")


@case("F 15", "workers follow os.cpu_count, not the affinity mask")
def affinity(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    ran = bench.run("taskset", "-c", "0", bench.programs / "codec-bridge", "bdrate", "--sequences", "s.y4m", "--json", "r.json", *FEW)
    if ran.code is None or not (bench.folder / "r.json").exists():
        raise Skip("taskset, or one core")
    workers = json.loads((bench.folder / "r.json").read_text())["provenance"]["timing"]["workers"]
    return Outcome(workers == 1, f"{workers} workers on one core")


@case("B 5 c", "conformance suites nested 100000 deep, with huge numbers, with names of files elsewhere")
def suites(bench: Bench) -> Outcome:
    where = bench.python("import vrcnn_int.conformance as c; print(c.__path__[0])").out.strip()
    path = bench.folder / "suite/suite.json"
    shutil.copytree(Path(where, "vectors"), path.parent)
    index = json.loads(path.read_text())
    found = []
    for text in ("[" * 100000, *(json.dumps(index | {"filter": [index["filter"][0] | change]}) for change in CHANGES)):
        path.write_text(text)
        found.append(refused(bench.bridge("conformance", "suite"), "suite"))
    return Outcome(all(one.right for one in found), f"{sum(one.right for one in found)} of {len(found)}: {found[1].seen}")


CHANGES = ({"network": 10**30}, {"network": 99}, {"width": 0}, {"model": "../../secret"}, {"layer_md5": 5}, {"more": 1})


@case("B 5 d", "training records nested 100000 deep, or of other types")
def records(bench: Bench) -> Outcome:
    if bench.python("import torch").code:
        raise Skip("reproducing needs torch")
    bench.python(PAIR.format(meta='{"qp": 32, "position": "after_sao"}'))
    found = []
    for text in ("[" * 100000, '{"networks": 3}', '{"networks": [{"training": 1}]}', "[]"):
        (bench.folder / "r.json").write_text(text)
        found.append(refused(bench.model("reproduce", "r.json", "p.npz"), "r.json"))
    return Outcome(all(one.right for one in found), f"{sum(one.right for one in found)} of {len(found)}: {found[0].seen}")


def unread(bench: Bench, path: Path | str) -> list[Outcome]:
    """What becomes of such a file as a model set, float networks and pairs, by a program that may have 3 GiB."""
    ways: list[list[object]] = [["vrcnn-int", "inspect", path], ["vrcnn-int", "quantize", path, "--out", "q.vrcnn"]]
    ways += [["codec-bridge", "pairs", "pack", path, "--out", "q.npz"]]
    limited = 'ulimit -v 3145728; exec "$0" "$@"'
    return [
        refused(bench.run("bash", "-c", limited, bench.programs / str(program), *words, timeout=30), str(path)) for program, *words in ways
    ]


def all_refused(found: list[Outcome]) -> Outcome:
    wrong = [one.seen for one in found if not one.right]
    return Outcome(not wrong, "; ".join(text[:70] for text in wrong) or f"{len(found)} refused: {found[0].seen}")


@case("M 4", "a pipe that nobody writes into as model set, float network or pair file: waits for ever")
def pipes(bench: Bench) -> Outcome:
    os.mkfifo(bench.folder / "pipe")
    return all_refused(unread(bench, "pipe"))


@case("M 4 b", "/dev/zero, or a sparse file of 20 GB: all memory is taken")
def endless(bench: Bench) -> Outcome:
    (bench.folder / "sparse").touch()
    os.truncate(bench.folder / "sparse", 20 << 30)
    return all_refused([*unread(bench, "/dev/zero"), *unread(bench, "sparse")])


@case("M 4 c", "a float network of 2 MB that becomes 2 GB")
def bomb(bench: Bench) -> Outcome:
    with zipfile.ZipFile(bench.folder / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("head.npy", "w") as file:
        for _ in range(2000):
            file.write(bytes(1 << 20))
    return all_refused(unread(bench, "bomb.npz")[1:])


@case("M 4 d", "a model set from <(cat set.vrcnn)")
def from_a_pipe(bench: Bench) -> Outcome:
    where = bench.python("from vrcnn_int.models import builtin_path; print(builtin_path())").out.strip()
    ran = bench.run("bash", "-c", '"$0" inspect <(cat "$1")', bench.programs / "vrcnn-int", where)
    return Outcome(ran.code == 0 and "identity" in ran.out, f"exit code {ran.code}: {ran.out[:40] or ran.last}")


@case("L 2", "conformance verify --timeout inf: traceback")
def no_numbers(bench: Bench) -> Outcome:
    found = []
    for value in ("inf", "nan", "1e300"):
        ran = bench.model("conformance", "verify", "--command", "true", "--timeout", value, "--largest", 4096)
        found.append(refused(ran, "--timeout"))
    return all_refused(found)


@case("L 2 b", "other numbers that are inf or nan")
def no_numbers_elsewhere(bench: Bench) -> Outcome:
    ways = ("codec-bridge", "bench", "--budget"), ("codec-bridge", "pairs", "pack", "p.npz", "--out", "q.npz", "--megabytes")
    found = [
        refused(bench.run(bench.programs / program, *words, value, timeout=20), words[-1])
        for program, *words in ways
        for value in ("inf", "nan", "-inf")
    ]
    found += [refused(trained(bench, '{"qp": 32, "position": "after_sao"}', "--set", f"rate={value}"), "rate") for value in ("nan", "inf")]
    return all_refused(found)


@case("L 3", "export --header --name int: a C header that no compiler takes")
def keywords(bench: Bench) -> Outcome:
    names = ("int", "class", "_Bool", "restrict", "constexpr", "and", "__x", "asm")
    return all_refused([refused(bench.model("export", "vrcnn_intra", "--header", "h.h", "--name", name), name) for name in names])
