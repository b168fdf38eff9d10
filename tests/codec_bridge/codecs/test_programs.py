"""Codecs' programs: what is said of those that fail, and that none outlives its evaluation."""

import os
import signal
import subprocess
import sys
from contextlib import chdir, suppress
from pathlib import Path
from threading import Event, Thread, get_ident
from time import monotonic, sleep
from types import FrameType

import psutil
import pytest

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.programs import at_once, describe, file_hash, go_on, run
from codec_bridge.video.files import write_y4m
from tests.support import media

ROOT = Path(__file__).parents[3]


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("echo 'x265 [info]: a'; echo 'x265 [error]: b'; echo c; exit 1", r"it failed \(exit code 1\): x265 \[error\]: b"),
        ("echo 'VRCNN: model set 1'; echo 'no memory' >&2; echo '***' >&2; exit 3", r"it failed \(exit code 3\): no memory"),
        ("echo 'VRCNN: 3 pictures filtered'; echo 'an Error of mine'; echo bye; exit 1", r"it failed \(exit code 1\): an Error of mine"),
        ("exit 1", r"it failed \(exit code 1\): it said nothing"),
        ("echo 'VRCNN: no such model' >&2", r"it failed \(exit code 0\): VRCNN: no such model"),
        ("kill -9 $$", r"it failed \(signal 9\)"),
    ],
)
def test_the_line_that_says_most_is_quoted(tmp_path: Path, text: str, line: str) -> None:
    with pytest.raises(CodecError, match=line):
        run([str(script(tmp_path / "program", text))], "it")


def test_what_is_printed_and_what_cannot_be_run(tmp_path: Path) -> None:
    ran = run([str(script(tmp_path / "program", "echo one; echo two >&2; exit 1"))], "it", ok=(0, 1))
    assert (ran.out, ran.errors) == ("one\n", "two\n")
    assert ran.seconds > 0
    with pytest.raises(CodecError, match=r"cannot run .*nothing: No such file"):
        run([str(tmp_path / "nothing")], "it")


def test_a_program_and_what_it_started_end_with_what_a_signal_raises(tmp_path: Path) -> None:
    class Given(Exception):
        pass

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise Given

    before, start = signal.signal(signal.SIGALRM, give_up), monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(Given):
            run([str(script(tmp_path / "program", f"sleep 100 & echo $! > {tmp_path}/child; wait; exit $?"))], "it")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    ended(tmp_path / "child", start)


def ended(path: Path, start: float) -> None:
    """Wait for the process whose number a file holds."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(int(path.read_text()))
        while process.status() != psutil.STATUS_ZOMBIE:
            assert monotonic() - start < 60


@pytest.mark.parametrize("in_threads", [False, True])
def test_a_signal_that_another_thread_is_interrupted_by_is_heard(tmp_path: Path, in_threads: bool) -> None:
    """As one that comes just before this thread begins to wait: its wait goes on."""

    class Given(Exception):
        pass

    def give_up(_number: int, _frame: FrameType | None) -> None:
        raise Given

    def send() -> None:
        while not (tmp_path / "child").exists():
            sleep(0.01)
        sleep(0.1)
        signal.pthread_kill(get_ident(), signal.SIGALRM)

    def work(_: str) -> None:
        run(
            [str(script(tmp_path / "program", f"sleep 100 & echo $! > {tmp_path}/tmp; mv {tmp_path}/tmp {tmp_path}/child; wait; exit $?"))],
            "it",
        )

    before, start = signal.signal(signal.SIGALRM, give_up), monotonic()
    sender = Thread(target=send)
    sender.start()
    try:
        with pytest.raises(Given):
            at_once(work, [""], 1) if in_threads else work("")
    finally:
        sender.join()
        signal.signal(signal.SIGALRM, before)
    ended(tmp_path / "child", start)
    assert monotonic() - start < 30


def test_what_one_job_raises_ends_the_programs_of_the_others(tmp_path: Path) -> None:
    names, start = ["a", "b", "fails", "never"], monotonic()

    def work(name: str) -> None:
        if name == "fails":
            while not all((tmp_path / f"{each}.child").exists() for each in "ab"):
                go_on()
            raise CodecError("no such picture")
        run([str(script(tmp_path / name, f"sleep 100 & echo $! > {name}.tmp; mv {name}.tmp {name}.child; wait"))], name)

    with chdir(tmp_path), pytest.raises(CodecError, match="no such picture"):
        at_once(work, names, 3)
    for name in "ab":
        ended(tmp_path / f"{name}.child", start)
    assert not (tmp_path / "never.child").exists()


def test_jobs_of_an_ended_pool_start_no_program_and_do_not_go_on(tmp_path: Path) -> None:
    over, said = Event(), []

    def work(name: str) -> None:
        if name == "fails":
            raise ZeroDivisionError
        while True:
            try:
                go_on()
            except CodecError as error:
                said.append(str(error))
                break
        try:
            run([str(script(tmp_path / "program", f"touch {tmp_path}/ran"))], "it")
        finally:
            over.set()

    with pytest.raises(ZeroDivisionError):
        at_once(work, ["long", "fails"], 2)
    assert over.is_set()
    assert said == ["given up, as another job ended this command"]
    assert not (tmp_path / "ran").exists()
    go_on()  # outside of a pool nothing is ended
    assert at_once(len, ["one", "three", ""], 2) == [3, 5, 0]


@pytest.mark.parametrize(
    ("words", "way"),
    [
        (["passes", "--qp", "37,38"], signal.SIGINT),
        (["pairs", "loop", "--out", "out", "--qp", "37"], signal.SIGTERM),
        (["pairs", "code", "--out", "out", "--codec", "x265-loop"], signal.SIGTERM),
    ],
)
def test_a_signal_to_the_command_alone_ends_its_encoders(tmp_path: Path, words: list[str], way: signal.Signals) -> None:
    (tmp_path / "clips").mkdir()
    for name in "ab":
        write_y4m(tmp_path / f"clips/{name}.y4m", media.pictures(2, 72, 72), 25)
    for name in ("x265", "x265-10bit"):
        script(tmp_path / name, f"echo $$ > {tmp_path}/$$.tmp; mv {tmp_path}/$$.tmp {tmp_path}/$$.encoder; exec sleep 100")
    script(tmp_path / "dec265", "echo --vrcnn-dump-motion")
    command = [sys.executable, "-m", "codec_bridge.cli", *words, "clips", "--codecs", ".", "--workers", "2"]
    # What a shell starts in the background ignores SIGINT, and so would its children.
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while len(encoders := list(tmp_path.glob("*.encoder"))) < 2:
        assert process.poll() is None, process.stderr and process.stderr.read()
    start = monotonic()
    process.send_signal(way)
    _, errors = process.communicate(timeout=60)
    assert monotonic() - start < 30
    kept = "nothing is kept: with --results FOLDER an evaluation can go on\n" if words[0] == "passes" else ""
    assert (process.returncode, errors) == (128 + way, kept + {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}[way] + "\n")
    for encoder in encoders:
        ended(encoder, start)
    assert not list(tmp_path.glob("x265-*/"))  # temporary folders


def test_programs_are_known_by_their_hashes(tmp_path: Path) -> None:
    encoder, settings = script(tmp_path / "encoder", "exit 0"), tmp_path / "ai.cfg"
    settings.write_text("qp")
    found = describe(lambda path: f"{path.name} 1.0", {"encoder": encoder}, {"ai.cfg": settings})
    assert found.encoder == "encoder 1.0"
    assert found.files == {"ai.cfg": file_hash(settings), "encoder": file_hash(encoder)}
    linked = describe(lambda _: "", {"encoder": Path(sys.executable)}).files
    assert linked["encoder"] == file_hash(Path(sys.executable))
    with pytest.raises(CodecError, match="cannot read"):
        file_hash(tmp_path / "nothing")


def test_libraries_of_one_name_each_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder's own library, and the system's of the same name, with which the decoder is linked."""
    paths = {role: tmp_path / role / "libx264.so.164" for role in ("encoder", "decoder")}
    for role, path in paths.items():
        path.parent.mkdir()
        path.write_text(role)
        (tmp_path / f"{role}-program").write_text(role)
    monkeypatch.setattr("codec_bridge.codecs.programs._linked", lambda program, _: [paths[program.name.removesuffix("-program")]])
    found = describe(lambda _: "1", {role: tmp_path / f"{role}-program" for role in paths}).files
    assert found["libx264.so.164"] == file_hash(paths["encoder"])
    assert found["decoder: libx264.so.164"] == file_hash(paths["decoder"])
