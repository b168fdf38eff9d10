"""What command lines show and how they end: names are harmless, signals and pipes end quietly, tables lose nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.progress import Progress
from rich.table import Table

from vrcnn_int.io.console import Description, _Console, show_table
from vrcnn_int.text import named, plain

SEQUENCE = "\x1b[31m:bomb:[red]\x9b2J\u202e\udcff\r\n"
SHOWN = r"\x1b[31m:bomb:[red]\x9b2J\u202e\udcff\r\n"

PROGRAM = """
from vrcnn_int import process
process.begin()
{before}
import time
from vrcnn_int.io.console import command_line, console, run
from vrcnn_int.errors import VrcnnError
def work(name: str = "") -> None:
{work}
run(command_line("", {{"work": work, "other": work}}))
"""


def program(work: str, before: str = "") -> list[str]:
    body = "\n".join("    " + line for line in work.splitlines())
    return [sys.executable, "-c", PROGRAM.format(work=body, before=before), "work"]


def test_what_comes_from_outside_is_one_harmless_line() -> None:
    assert plain(SEQUENCE) == SHOWN
    assert plain("Größe, 大小 😀") == "Größe, 大小 😀"


def test_the_console_shows_strings_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table(title=SEQUENCE)
    table.add_column(SEQUENCE)
    table.add_row(SEQUENCE)
    console = _Console()
    console.print(SEQUENCE, soft_wrap=True)
    show_table(table, console)
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 4
    assert not any(letter < " " and letter != "\n" for letter in shown)


def test_tables_lose_nothing_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table()
    for number in range(12):
        table.add_column(f"head{number}", no_wrap=True)
    table.add_row(*(f"value{number}" for number in range(12)))
    show_table(table, _Console())
    shown = capsys.readouterr().out
    assert all(f"head{number}" in shown and f"value{number}" in shown for number in range(12))


@pytest.mark.parametrize(("number", "line"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated"), (signal.SIGHUP, "hung up")])
@pytest.mark.parametrize("when", ["loading", "working"])
def test_a_signal_is_a_line_and_its_exit_code(number: signal.Signals, line: str, when: str) -> None:
    waits = "import sys, time; print('now', flush=True); time.sleep(60)"
    command = program(waits) if when == "working" else program("pass", before=waits)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (128 + number, line)


def test_what_a_signal_leaves_is_not_collected_on_the_way_out() -> None:
    """With Dask loaded, that took up to ten seconds."""
    left = "import atexit, gc, signal; atexit.register(lambda: print(gc.get_freeze_count() > 1000))"
    for work, frozen in ((f"{left}; signal.raise_signal(signal.SIGTERM)", "True"), (left, "False")):
        assert subprocess.run(program(work), capture_output=True, text=True).stdout.strip() == frozen


@pytest.mark.parametrize(
    ("error", "line"), [("", "out of memory"), ("'Unable to allocate 9 GiB'", "out of memory (Unable to allocate 9 GiB)")]
)
def test_no_memory_is_a_line(error: str, line: str) -> None:
    done = subprocess.run(program(f"raise MemoryError({error})"), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, f"error: {line}\n")


@pytest.mark.parametrize(("name", "line"), [("SIGINT", "interrupted"), ("SIGTERM", "terminated")])
@pytest.mark.parametrize("error", ["ImportError('a library')", "SystemError('another')", "RuntimeError"])
def test_a_signal_that_a_library_makes_an_error_of(name: str, line: str, error: str) -> None:
    work = f"import signal\ntry:\n    signal.raise_signal(signal.{name})\nexcept BaseException as end:\n    raise {error} from end"
    done = subprocess.run(program(work), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (128 + signal.Signals[name], f"{line}\n")


SWALLOWED = """
import os, signal, weakref
class Target:
    pass
def dropped(_reference=None):
    {event}
def provoke():
    target = Target()
    reference = weakref.ref(target, dropped)
    del target
{begin}
provoke()
import time
time.sleep(20)
print("went on")
"""


@pytest.mark.parametrize(
    ("event", "code", "line"),
    [
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "interrupted\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "terminated\n"),
        ("print('x' * 100_000, flush=True)", 141, ""),
    ],
)
def test_a_signal_within_what_nothing_can_be_raised_in(event: str, code: int, line: str) -> None:
    """Python prints what a destructor or a callback of a weak reference raises, and goes on."""
    work = SWALLOWED.format(event=event, begin="")
    with subprocess.Popen(program(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        errors = process.stderr.read() if process.stderr else ""
    assert (process.returncode, errors) == (code, line)


def test_a_worker_ends_by_a_signal_within_what_nothing_can_be_raised_in() -> None:
    begin = "from vrcnn_int.process import unwind_at; unwind_at(signal.SIGTERM)"
    script = SWALLOWED.format(event="os.kill(os.getpid(), signal.SIGTERM)", begin=begin)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_other_errors_of_destructors_are_still_printed() -> None:
    work = SWALLOWED.format(event="raise ValueError('known')", begin="").replace("time.sleep(20)", "")
    done = subprocess.run(program(work), capture_output=True, text=True, timeout=15)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert "ValueError: known" in done.stderr


@pytest.mark.parametrize("words", [["ablate", "f.npz", "--validate", "p.npz"], ["train", "p.npz", "--validate", "p.npz", "--out", "run"]])
def test_ctrl_c_while_torch_loads(tmp_path: Path, words: list[str]) -> None:
    # It takes the signal for its own error, or goes on.
    lines = ("import signal", "try:", "    signal.raise_signal(signal.SIGINT)", "except BaseException:", "    raise OSError('no library')")
    (tmp_path / "torch.py").write_text("\n".join(lines))
    command = [sys.executable, "-c", "import sys; from vrcnn_int.cli.app import main; sys.argv[0] = 'vrcnn-int'; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_a_second_signal_ends_what_cleans_up_too_long(tmp_path: Path) -> None:
    work = (
        "from vrcnn_int.files import replacing\n"
        f"with replacing({str(tmp_path / 'a')!r}):\n"
        "    try:\n        print('now', flush=True); time.sleep(60)\n    finally:\n        print('cleaning', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(program(work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.readline()
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.strip()) == (130, "interrupted")
    assert time.monotonic() - begin < 5
    assert list(tmp_path.iterdir()) == []


def test_who_stops_reading_ends_the_command_quietly() -> None:
    for work in (
        "while True: console.print('x' * 1000)",
        "import threading\nthreading.Thread(target=lambda: print('x', flush=True)).start()",
    ):
        endless = work + "\ntime.sleep(60)"
        with subprocess.Popen(program(endless), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            assert process.stderr.read() == ""
            assert process.wait(20) == 141


def test_standard_output_that_is_full_is_named_once() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(program("console.print('x')"), stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: standard output: No space left on device\n")


def test_closed_streams_are_no_fault() -> None:
    assert subprocess.run(["sh", "-c", '"$@" >&- 2>&- <&-', "sh", *program("console.print('x')")]).returncode == 0


def test_names_that_an_encoding_lacks_are_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = subprocess.run(program("console.print('gr\\u00fcn')\nraise VrcnnError('\\u00fc\\x1b')"), capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("gr\\xfcn\n", "error: \\xfc\\x1b\n", 1)


def test_usage_errors_are_harmless() -> None:
    done = subprocess.run([*program("pass"), "--\x1b[31m"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "\\x1b[31m" in done.stderr
    assert "\x1b" not in done.stderr


def test_nothing_heavy_is_loaded_before_signals_are_heard() -> None:
    code = "import sys; before = set(sys.modules); import codec_bridge.cli.app, vrcnn_int.cli.app; print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert not {"numpy", "typer", "rich", "tempfile", "typing"} & set(eval(done.stdout))


def test_names_that_are_no_unicode_fit_into_documents() -> None:
    assert named(os.fsdecode(b"b\xff.y4m")) == r"b\xff.y4m"
    assert named(Path("ü.y4m")) == "ü.y4m"


def test_descriptions_of_tasks_are_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(Description(), console=_Console(), refresh_per_second=1) as progress:
        progress.add_task(SEQUENCE)
    assert SHOWN in capsys.readouterr().out
