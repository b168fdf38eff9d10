"""Codecs' programs: what is said of those that fail, and that none outlives its evaluation."""

import signal
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import FrameType

import psutil
import pytest

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.programs import describe, file_hash, run


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
    with suppress(psutil.NoSuchProcess):
        child = psutil.Process(int((tmp_path / "child").read_text()))
        while child.status() != psutil.STATUS_ZOMBIE:
            assert monotonic() - start < 60


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
