"""What is written, deleted, printed and interrupted: A 1 to 3, B 1, 2, 10 to 12, C 4, D 4 and 6, E 1, 2, 4 to 6 and 8."""

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.tools.cases import Bench, Outcome, Ran, Skip, case
from tests.tools.cases.inputs import evaluated, noise_y4m

MARKED = "a\x1b[31m\x07:bomb:[red]x\n=.y4m"
"""A file's name that means something to terminals, to rich and to whoever splits lines."""


def untouched(bench: Bench, path: Path, attempt: Callable[[], Ran]) -> Outcome:
    """Right where a command refuses in a line and leaves a file as it is."""
    before = path.read_bytes()
    ran = attempt()
    same = path.is_file() and path.read_bytes() == before
    return Outcome(ran.is_refusal and same, f"{'same file' if same else 'ANOTHER FILE'}, exit {ran.code}, {ran.last}")


def privileged(bench: Bench, script: str, **environment: str) -> Ran:
    """A shell script with mounts of its own."""
    if bench.run("unshare", "-m", "true").code:
        raise Skip("mounts need root: unshare -m")
    programs = {"PATH": f"{bench.programs}{os.pathsep}{os.environ['PATH']}"}
    return bench.run("unshare", "-m", "sh", "-ec", script, **programs, **environment)


# ---- A 1: devices, pipes and links ----


def standard(bench: Bench) -> Path:
    """A link as /dev/stdout is one, which older versions, run by root, would replace for the whole machine."""
    link = bench.folder / "stdout"
    link.symlink_to("/proc/self/fd/1")
    return link


@case("A 1", "--csv /dev/null replaces the device")
def replaces_a_device(bench: Bench) -> Outcome:
    evaluated(bench)
    dev = "mkdir dev; mount -t tmpfs tmpfs dev; mknod dev/null c 1 3"
    ran = privileged(bench, f"{dev}; codec-bridge report base.json --csv dev/null; stat -c %F dev/null; ls -A dev")
    return Outcome(ran.out.endswith("character special file\nnull\n"), f"exit {ran.code}: {' '.join(ran.out.split()[-4:])}")


@case("A 1 b", "--csv /dev/stdout prints nothing")
def standard_output(bench: Bench) -> Outcome:
    evaluated(bench)
    ran = bench.bridge("report", "base.json", "--csv", standard(bench))
    rows = list(csv.reader(ran.out.splitlines()))
    clean = len(rows) == 13 and {len(row) for row in rows} == {len(rows[0])}
    return Outcome(ran.code == 0 and clean, f"exit {ran.code}, {len(rows)} lines of {sorted({len(row) for row in rows})} cells {ran.err}")


@case("A 1 c", "--json /dev/stdout of bdrate is no JSON")
def clean_json(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--json", standard(bench))
    try:
        rows = len(json.loads(ran.out)["rows"])
    except ValueError as error:
        return Outcome(False, f"exit {ran.code}: {error}")
    return Outcome(rows == 12, f"{rows} rows")


@case("A 1 d", "standard output in a file is cut off by --csv /dev/stdout")
def redirected(bench: Bench) -> Outcome:
    evaluated(bench)
    ran = bench.run("sh", "-c", f"{bench.programs}/codec-bridge report base.json --csv {standard(bench)} > out; wc -l < out")
    return Outcome(ran.out.strip() == "13", f"{ran.out.strip()} lines")


@case("A 1 e", "a pipe is replaced by a file")
def pipe(bench: Bench) -> Outcome:
    evaluated(bench)
    os.mkfifo(bench.folder / "pipe")
    ran = bench.run(
        "sh",
        "-c",
        f"timeout {30 * bench.patience:g} cat pipe > read & {bench.programs}/codec-bridge report base.json --markdown pipe; wait",
    )
    is_pipe = stat.S_ISFIFO((bench.folder / "pipe").stat().st_mode)
    size = (bench.folder / "read").stat().st_size
    return Outcome(is_pipe and size > 1000, f"{'a pipe' if is_pipe else 'A FILE'}, {size} bytes read, exit {ran.code}")


@case("A 1 f", "a link is replaced by a file")
def link(bench: Bench) -> Outcome:
    evaluated(bench)
    (bench.folder / "target.csv").write_text("old")
    (bench.folder / "link.csv").symlink_to("target.csv")
    bench.bridge("report", "base.json", "--csv", "link.csv")
    followed = (bench.folder / "link.csv").is_symlink() and (bench.folder / "target.csv").stat().st_size > 3
    return Outcome(followed, "followed" if followed else "REPLACED")


# ---- A 2, D 4: the results folder ----


@case("A 2", "the store deletes files that are not its own")
def keeps_others(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "pr/logs").mkdir(parents=True)
    (bench.folder / "pr/logs/.keep").touch()
    bench.bridge("bdrate", "--sequences", "s.y4m", "--results", "pr")
    kept = (bench.folder / "pr/logs/.keep").exists()
    return Outcome(kept, "kept" if kept else "DELETED")


@case("A 2 b", "the store deletes through links")
def through_links(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    seen = []
    for name in ("jobs", "logs", "crops", "streams"):
        others, results = bench.folder / f"others-{name}", bench.folder / f"results-{name}"
        others.mkdir()
        results.mkdir()
        (others / ".precious").write_text("1")
        (results / name).symlink_to(others)
        ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--results", results)
        seen.append(f"{name}: {'refused' if ran.is_refusal else ran.code}, {sorted(os.listdir(others)) == ['.precious']}")
    return Outcome(all(": refused, True" in one for one in seen), "; ".join(seen))


@case("D 4", "the target of a linked .lock is emptied")
def linked_lock(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "results").mkdir()
    (bench.folder / "precious").write_text("precious")
    (bench.folder / "results/.lock").symlink_to("../precious")
    return untouched(bench, bench.folder / "precious", lambda: bench.bridge("bdrate", "--sequences", "s.y4m", "--results", "results"))


# ---- A 3: outputs over inputs ----


@case("A 3", "report over its result")
def report_over_result(bench: Bench) -> Outcome:
    result = evaluated(bench)
    return untouched(bench, result, lambda: bench.bridge("report", "base.json", "--csv", result))


@case("A 3 b", "pairs make over its original")
def pairs_over_original(bench: Bench) -> Outcome:
    video = noise_y4m(bench.folder / "s.y4m")
    return untouched(bench, video, lambda: bench.bridge("pairs", "make", "s.y4m", "s.y4m", "--out", "s.y4m", "--qp", 32))


@case("A 3 c", "bdrate over its sequence")
def rows_over_sequence(bench: Bench) -> Outcome:
    video = noise_y4m(bench.folder / "s.y4m")
    return untouched(bench, video, lambda: bench.bridge("bdrate", "--sequences", "s.y4m", "--csv", "s.y4m"))


@case("A 3 d", "filter over its input")
def filter_over_input(bench: Bench) -> Outcome:
    video = noise_y4m(bench.folder / "s.y4m")
    return untouched(bench, video, lambda: bench.bridge("filter", "s.y4m", "s.y4m", "--qp", 32))


@case("A 3 e", "by another name: ./x, links, /proc/self/cwd, a folder's file")
def by_another_name(bench: Bench) -> Outcome:
    video = noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "hard.y4m").hardlink_to(video)
    (bench.folder / "link.y4m").symlink_to(video)
    (bench.folder / "folder").mkdir()
    (bench.folder / "folder/s.y4m").hardlink_to(video)
    seen = []
    for name in ("./s.y4m", "link.y4m", "hard.y4m", f"/proc/{os.getpid()}/root{bench.folder}/s.y4m", "folder/s.y4m"):
        found = untouched(bench, bench.folder / name, lambda name=name: bench.bridge("filter", "s.y4m", name, "--qp", 32))
        seen.append((found.right, name))
    found = untouched(bench, video, lambda: bench.bridge("pairs", "make", "folder", "s.y4m", "--out", "folder/s.y4m", "--qp", 32))
    seen.append((found.right, "of a folder"))
    return Outcome(all(right for right, _ in seen), "; ".join(f"{name}: {'refused' if right else 'WRITTEN'}" for right, name in seen))


@case("A 3 f", "an older output is replaced without a word")
def older_output(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    noise_y4m(bench.folder / "old.y4m", 16, 16)
    (bench.folder / "old.npz").write_bytes(b"old")
    (bench.folder / "old.h").write_bytes(b"old")
    model = bench.python("from vrcnn_int.models import builtin_path; print(builtin_path())").out.strip()
    seen = [
        untouched(bench, bench.folder / "old.y4m", lambda: bench.bridge("filter", "s.y4m", "old.y4m", "--qp", 32)),
        untouched(bench, bench.folder / "old.npz", lambda: bench.bridge("pairs", "make", "s.y4m", "s.y4m", "--out", "old.npz", "--qp", 32)),
        untouched(bench, bench.folder / "old.h", lambda: bench.model("export", model, "--header", "old.h")),
    ]
    return Outcome(all(one.right for one in seen), f"{sum(one.right for one in seen)} of 3 refused: {seen[0].seen}")


@case("A 3 g", "--force replaces them")
def forced(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    noise_y4m(bench.folder / "old.y4m", 16, 16)
    ran = bench.bridge("filter", "s.y4m", "old.y4m", "--qp", 32, "--force")
    return Outcome(ran.code == 0 and b"W64" in (bench.folder / "old.y4m").read_bytes()[:40], ran.last)


@case("A 3 h", "two outputs are one file, through a link")
def one_file(bench: Bench) -> Outcome:
    evaluated(bench)
    (bench.folder / "link").symlink_to("new")
    ran = bench.bridge("report", "base.json", "--csv", "new", "--html", "link")
    return Outcome(ran.is_refusal and not (bench.folder / "new").exists(), f"exit {ran.code}, {ran.last}")


@case("A 3 i", "an output over a result that is kept, or over result.json")
def over_results(bench: Bench) -> Outcome:
    evaluated(bench)
    job = next((bench.folder / "base/jobs").glob("*.json"))
    seen = [untouched(bench, job, lambda: bench.bridge("report", "base", "--csv", job))]
    result = bench.folder / "base/result.json"
    words = "bdrate", "--sequences", "s.y4m", "--results", "base", "--csv", result
    seen.append(untouched(bench, result, lambda: bench.bridge(*words)) if result.exists() else Outcome(False, "no result.json"))
    return Outcome(all(one.right for one in seen), "; ".join(one.seen for one in seen))


@case("A 3 j", "quantize over the run that it reads; an older model set")
def over_a_run(bench: Bench) -> Outcome:
    for name in ("set.vrcnn", "set.json"):
        (bench.folder / name).write_text("old")
    models = bench.python("from vrcnn_int.models import builtin_path, float_path; print(float_path(builtin_path()))").out.strip()
    shutil.copy(models, bench.folder / "set.float.npz")
    return untouched(bench, bench.folder / "set.float.npz", lambda: bench.model("quantize", "set.float.npz", "--out", "set.vrcnn"))


@case("A 3 k", "an output over the codec's own programs")
def over_programs(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    for name in ("x265", "x265-10bit", "dec265"):
        (bench.folder / "bin").mkdir(exist_ok=True)
        (bench.folder / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
        (bench.folder / "bin" / name).chmod(0o755)
    words = "bdrate", "--sequences", "s.y4m", "--codec", "x265-loop", "--codecs", "bin", "--html"
    seen = [
        untouched(bench, bench.folder / "bin" / name, lambda name=name: bench.bridge(*words, f"bin/{name}"))
        for name in ("x265", "x265-10bit", "dec265")
    ]
    return Outcome(all(one.right and "input of this command" in one.seen for one in seen), "; ".join(one.seen[:60] for one in seen))


@case("A 3 l", "vrcnn-int residual over its pair file, found after training")
def over_pairs(bench: Bench) -> Outcome:
    if bench.python("import torch").code:
        raise Skip("training needs torch")
    noise_y4m(bench.folder / "s.y4m")
    bench.bridge("pairs", "make", "s.y4m", "s.y4m", "--out", "p.npz", "--qp", 32)
    (bench.folder / "run").mkdir()
    (bench.folder / "run/model.vrcnn").symlink_to("../p.npz")
    few = [word for name in ("float_steps=2", "weight_steps=1", "bound_steps=1", "batch=2", "patch=16") for word in ("--set", name)]
    words = "residual", "p.npz", "--validate", "p.npz", "--out", "run", *few
    found = untouched(bench, bench.folder / "p.npz", lambda: bench.model(*words, timeout=300))
    early = not (bench.folder / "run/checkpoint.pt").exists() and (bench.folder / "run/model.vrcnn").is_symlink()
    return Outcome(found.right and early, f"{'before' if early else 'AFTER'} the work, {found.seen}")


# ---- B 1, 2, 10 to 12, C 4: notebooks, disks, encodings, signals, pipes ----


@case("B 1", "the backend of notebooks")
def notebook(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    words = "bdrate", "--sequences", "s.y4m", "--plot", "p.png"
    ran = bench.bridge(*words, MPLBACKEND="module://matplotlib_inline.backend_inline")
    return Outcome(ran.code == 0 and (bench.folder / "p.png").exists(), f"exit {ran.code}, {ran.last}")


@case("B 1 b", "a backend that is nonsense, without --plot")
def nonsense(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", MPLBACKEND="nonsense")
    return Outcome(ran.code == 0, f"exit {ran.code}, {ran.last}")


@case("B 2", "the disk is full while training")
def full_disk(bench: Bench) -> Outcome:
    if bench.python("import torch").code:
        raise Skip("training needs torch")
    noise_y4m(bench.folder / "s.y4m")
    bench.bridge("pairs", "make", "s.y4m", "s.y4m", "--out", "p.npz", "--qp", 32)
    settings = " ".join(f"--set {each}" for each in ("patch=24", "float_steps=20", "checkpoint_every=1", "minutes=none"))
    train = f"vrcnn-int train p.npz --validate p.npz --out run {settings}"
    ran = privileged(bench, f"mkdir run; mount -t tmpfs -o size=32k tmpfs run; {train} || code=$?; ls -A run; exit $code")
    left = [line for line in ran.out.split() if line.startswith(".")]
    return Outcome(ran.is_refusal and "run/" in ran.last and not left, f"exit {ran.code}, {ran.last} {left or ''}")


@case("B 10", "PYTHONIOENCODING=ascii and a name that is not ASCII")
def ascii_names(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "grün.y4m")
    ran = bench.bridge("filter", "grün.y4m", "größer.y4m", "--qp", 32, PYTHONIOENCODING="ascii")
    return Outcome(ran.code == 0 and (bench.folder / "größer.y4m").exists(), f"exit {ran.code}, {ran.last}")


@case("B 10 b", "a name that is no Unicode, in all reports")
def bytes_names(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / os.fsdecode(b"a\xff.y4m"))
    outputs = [word for kind in ("json", "csv", "html", "markdown") for word in (f"--{kind}", f"r.{kind}")]
    ran = bench.bridge("bdrate", "--sequences", os.fsdecode(b"a\xff.y4m"), *outputs, "--plot", "r.png")
    again = bench.bridge("report", "r.json") if ran.code == 0 else ran
    right = ran.code == again.code == 0 and len(list(bench.folder.glob("r.*"))) == 5
    return Outcome(right, f"exit {ran.code}, read again: exit {again.code}, {again.last if again.code else ran.last}")


def while_loading(bench: Bench, number: int, library: str = "_multiarray_umath", *command: str) -> Ran:
    """Send a signal while numpy, or another library, is being loaded, long before anything is done."""
    words = command or ("codec-bridge", "bdrate", "--sequences", "camera")
    with subprocess.Popen(
        [bench.programs / words[0], *words[1:]],
        cwd=bench.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        while process.poll() is None and library not in maps.read_text():
            time.sleep(0.002)
        process.send_signal(number)
        out, errors = process.communicate(timeout=60 * bench.patience)
    return Ran(process.returncode, out, errors)


@case("B 11", "Ctrl-C while modules load")
def interrupted_loading(bench: Bench) -> Outcome:
    ran = while_loading(bench, signal.SIGINT)
    return Outcome(ran.code == 130 and ran.err.strip() == "interrupted", f"exit {ran.code}, {len(ran.err.splitlines())} lines, {ran.last}")


@case("B 11 c", "Ctrl-C while torch loads inside a command")
def interrupted_torch(bench: Bench) -> Outcome:
    if bench.python("import torch").code:
        raise Skip("training needs torch")
    command = "vrcnn-int", "ablate", "f.npz", "--validate", "p.npz"
    ran = [while_loading(bench, signal.SIGINT, library, *command) for library in ("libtorch_cpu", "libtorch_python", "torch/_C.")]
    right = all(one.code == 130 and one.err.strip() == "interrupted" for one in ran)
    return Outcome(right, "; ".join(f"exit {one.code}, {len(one.err.splitlines())} lines, {one.last[:40]}" for one in ran))


@case("B 11 b", "SIGTERM while modules load")
def terminated_loading(bench: Bench) -> Outcome:
    ran = while_loading(bench, signal.SIGTERM)
    return Outcome(ran.code == 143 and ran.err.strip() == "terminated", f"exit {ran.code}, {len(ran.err.splitlines())} lines, {ran.last}")


def piped(bench: Bench, words: str, reader: str) -> Outcome:
    """A command whose reader has seen enough."""
    script = f"set -o pipefail; timeout {60 * bench.patience:g} {bench.programs}/{words} 2>errors | {reader}; echo ${{PIPESTATUS[0]}}"
    ran = bench.run("bash", "-c", script)
    errors = (bench.folder / "errors").read_text().splitlines()
    code = ran.out.split()[-1] if ran.out.split() else "none"
    return Outcome(not errors and code == "141", f"exit {code}, {len(errors)} lines of errors")


@case("B 12", "bdrate --json-lines | head -5")
def events(bench: Bench) -> Outcome:
    return piped(bench, "codec-bridge bdrate --sequences camera --json-lines", "head -5 > head")


@case("B 12 b", "inspect, report and check | true")
def closed(bench: Bench) -> Outcome:
    evaluated(bench)
    report = "codec-bridge report base.json"
    seen = [piped(bench, words, "true") for words in ("vrcnn-int inspect", report, f"{report} --csv {standard(bench)}")]
    return Outcome(all(one.right for one in seen), "; ".join(one.seen for one in seen))


@case("B 12 c", "standard output is full")
def full_output(bench: Bench) -> Outcome:
    evaluated(bench)
    ran = bench.run("sh", "-c", f"{bench.programs}/codec-bridge report base.json > /dev/full")
    return Outcome(ran.code == 1 and len(ran.err.splitlines()) == 1 and "standard output" in ran.err, f"exit {ran.code}, {ran.last}")


@case("C 4", "two Ctrl-C within 0.1 s")
def twice(bench: Bench) -> Outcome:
    with subprocess.Popen(
        [bench.programs / "codec-bridge", "bdrate", "--sequences", "builtin", "--results", "results"],
        cwd=bench.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        while process.poll() is None and not list(bench.folder.glob("results/jobs/*.json")):
            time.sleep(0.05)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        time.sleep(0.08)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60 * bench.patience)
    seconds = time.monotonic() - begun
    right = seconds < 3 and process.returncode == 130 and "Traceback" not in errors
    return Outcome(right, f"exit {process.returncode} after {seconds:.1f} s, {len(errors.splitlines())} lines")


# ---- D 6: what comes from outside, shown ----


@case("D 6", "names of files on the terminal")
def marked_name(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / MARKED)
    said = bench.bridge("bdrate", "--sequences", MARKED, "--markdown", "m.md"), bench.bridge("filter", MARKED, "out" + MARKED, "--qp", 32)
    wrong = bench.bridge("check", MARKED), bench.bridge("report", MARKED), bench.bridge(MARKED)
    texts = [text for ran in (*said, *wrong) for text in (ran.out, ran.err)] + [(bench.folder / "m.md").read_text()]
    raw = sum("\x1b" in text or "\x07" in text or "\U0001f4a3" in text for text in texts)
    return Outcome(not raw and all(ran.code == 0 for ran in said), f"{raw} of {len(texts)} texts are raw")


@case("D 6 b", "escape sequences in a document and in a header")
def marked_document(bench: Bench) -> Outcome:
    result = evaluated(bench)
    values = json.loads(result.read_text())
    text = (
        json.dumps(values)
        .replace('"sequence": "s"', '"sequence": "s\\u001b]0;title\\u0007"')
        .replace('"name": "s"', '"name": "s\\u001b]0;title\\u0007"')
    )
    result.write_text(text)
    shown = bench.bridge("report", "base.json")
    (bench.folder / "h.y4m").write_bytes(b"YUV4MPEG2 W64 H64 C\x1b[31m\nFRAME\n" + bytes(4096))
    header = bench.bridge("filter", "h.y4m", "o.y4m", "--qp", 32)
    raw = sum("\x1b" in text for text in (shown.out, shown.err, header.out, header.err))
    return Outcome(not raw and header.is_refusal, f"{raw} of 4 texts are raw; {header.last!r:.60}")


@case("D 6 c", "cells of CSV files are formulas")
def formulas(bench: Bench) -> Outcome:
    name = '=cmd|"x"!A1.y4m'
    noise_y4m(bench.folder / name)
    bench.bridge("bdrate", "--sequences", name, "--csv", "r.csv")
    with (bench.folder / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    bad = [
        value
        for row in rows
        for value in row.values()
        if value and value[0] in "=+-@\t\r" and not value.lstrip("-").replace(".", "").isdigit()
    ]
    return Outcome(len(rows) == 12 and not bad, f"{len(rows)} rows, {len(bad)} cells begin like formulas")


# ---- E: messages and late failures ----


@case("E 1", "no space left: which file?")
def no_space(bench: Bench) -> Outcome:
    evaluated(bench)
    mount = "mkdir small; mount -t tmpfs -o size=4k tmpfs small"
    ran = privileged(bench, f"{mount}; codec-bridge report base.json --html small/r.html || code=$?; ls -A small; exit $code")
    right = ran.is_refusal and "small/r.html" in ran.last and not ran.out.strip()
    return Outcome(right, f"exit {ran.code}, {ran.last} {ran.out.strip()}")


@case("E 1 b", "no space left for a filtered video")
def no_space_for_video(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m", 128, 128)
    mount = "mkdir small; mount -t tmpfs -o size=4k tmpfs small"
    ran = privileged(bench, f"{mount}; codec-bridge filter s.y4m small/o.y4m --qp 32 || code=$?; ls -A small; exit $code")
    return Outcome(ran.is_refusal and "small/o.y4m" in ran.last and not ran.out.strip(), f"exit {ran.code}, {ran.last} {ran.out.strip()}")


@case("E 1 c", "a name that is too long, a folder that is read-only: found after the work")
def found_before(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    name = "x" * 300 + ".json"
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--results", "kept", "--json", name)
    works = list(bench.folder.glob("kept/jobs/*.json"))
    return Outcome(ran.is_refusal and name in ran.last and not works, f"exit {ran.code}, {len(works)} jobs done, ...{ran.last[-40:]}")


@case("E 2", "sizes, originals, hm inspect: which file?")
def which_file(bench: Bench) -> Outcome:
    for name, size in (("odd.y4m", (65, 63)), ("zero.y4m", (0, 0)), ("huge.y4m", (99999999, 99999999))):
        (bench.folder / name).write_bytes(f"YUV4MPEG2 W{size[0]} H{size[1]} F25:1 C420\nFRAME\n".encode() + bytes(9000))
    noise_y4m(bench.folder / "s.y4m")
    noise_y4m(bench.folder / "small.y4m", 32, 64)
    ran = {name: bench.bridge("filter", name, "o.y4m", "--qp", 32) for name in ("odd.y4m", "zero.y4m", "huge.y4m")}
    ran["small.y4m"] = bench.bridge("filter", "s.y4m", "o.y4m", "--qp", 32, "--original", "small.y4m")
    ran["s.y4m"] = bench.bridge("hm", "inspect", "s.y4m")
    nameless = [name for name, one in ran.items() if not one.is_refusal or name not in one.err]
    return Outcome(not nameless, f"{len(nameless)} of {len(ran)} do not name it" + (f": {ran[nameless[0]].last}" if nameless else ""))


@case("E 4", "standard input, a pipe and a loop of links: there is no video file")
def no_video_file(bench: Bench) -> Outcome:
    os.mkfifo(bench.folder / "pipe.y4m")
    (bench.folder / "loop.y4m").symlink_to("loop.y4m")
    ran = [
        bench.bridge(*words, timeout=30)
        for name in ("-", "pipe.y4m", "loop.y4m")
        for words in (("filter", name, "o.y4m", "--qp", 32), ("bdrate", "--sequences", name))
        if words[:2] != ("filter", "pipe.y4m")  # which waits for what will be written into it, as it should by now
    ]
    wrong = [one for one in ran if not one.is_refusal or "there is no video" in one.err or "nor a known name" in one.err]
    return Outcome(not wrong, f"{len(wrong)} of {len(ran)}: {(wrong or ran)[0].last}")


@case("E 5", "the gain table loses columns at 80 characters")
def narrow(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    qps = range(22, 34)
    bench.bridge("bdrate", "--sequences", "s.y4m", "--qp", ",".join(map(str, qps)), "--json", "many.json")
    ran = [bench.bridge("report", "many.json", COLUMNS="80"), bench.bridge("report", "many.json")]
    lost = [qp for qp in qps for one in ran if f"QP {qp}" not in one.out]
    return Outcome(not lost, f"{len(lost)} of {2 * len(qps)} columns lost")


@case("E 5 b", "warnings print tuples")
def tuples(bench: Bench) -> Outcome:
    code = "from codec_bridge.figures.bd_rate import bd_rate\nbd_rate([(1, 30), (2, 31), (3, 30.5), (4, 33)], [(1, 30)] * 4)"
    ran = bench.python(code)
    return Outcome("PSNR falls" in ran.last and "(" not in ran.last, ran.last)


@case("E 6", "a jobs folder that cannot be written is found once a job")
def unwritable(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    mount = "mkdir -p results/jobs; mount -t tmpfs -o ro tmpfs results/jobs"
    ran = privileged(bench, f"{mount}; codec-bridge bdrate --sequences s.y4m --results results")
    early = not list(bench.folder.glob("results/logs/*"))
    return Outcome(
        ran.is_refusal and "results/jobs" in ran.last and early, f"exit {ran.code}, {'before' if early else 'AFTER'} the work, {ran.last}"
    )


@case("E 6 b", "a damaged stream cache is found once a job")
def damaged_cache(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    bench.bridge("bdrate", "--sequences", "s.y4m", "--stream-cache", "cache")
    for stream in bench.folder.glob("cache/*.hevc"):
        stream.write_bytes(stream.read_bytes()[:-1])
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--stream-cache", "cache", "--results", "again")
    early = not list(bench.folder.glob("again/logs/*"))
    return Outcome(
        ran.is_refusal and "cache" in ran.last and early, f"exit {ran.code}, {'before' if early else 'AFTER'} the work, {ran.last}"
    )


@case("E 8", "--dry-run makes the results folder")
def dry_run(bench: Bench) -> Outcome:
    noise_y4m(bench.folder / "s.y4m")
    ran = bench.bridge("bdrate", "--sequences", "s.y4m", "--results", "made", "--dry-run", "--json", "deep/r.json")
    made = [path.name for path in bench.folder.iterdir() if path.name != "s.y4m"]
    return Outcome(ran.code == 0 and not made, f"exit {ran.code}, made: {made}")


@case("E 8 b", "an empty conformance suite passes")
def empty_suite(bench: Bench) -> Outcome:
    (bench.folder / "suite").mkdir()
    (bench.folder / "suite/suite.json").write_text('{"version": 1, "filter": [], "refused": [], "sideinfo": []}')
    version = bench.python("from vrcnn_int.conformance import VERSION; print(VERSION)").out.strip() or "1"
    (bench.folder / "suite/suite.json").write_text(json.dumps({"version": int(version), "filter": [], "refused": [], "sideinfo": []}))
    ran = bench.bridge("conformance", "suite"), bench.model("conformance", "verify", "suite")
    return Outcome(all(one.is_refusal for one in ran), "; ".join(f"exit {one.code}, {one.last}" for one in ran))


@case("E 8 c", "contact-sheet writes PNG into .jpg")
def wrong_format(bench: Bench) -> Outcome:
    ran = bench.bridge("contact-sheet", "--out", "a.jpg", "--sequences", "camera")
    return Outcome(ran.is_refusal and not (bench.folder / "a.jpg").exists(), f"exit {ran.code}, {ran.last}")
