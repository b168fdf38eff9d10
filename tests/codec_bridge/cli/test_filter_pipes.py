"""codec-bridge filter between pipes: Y4M whose header keeps its tags, picture by picture, quiet where nobody reads on."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.filter import Filter

HEADER = b"YUV4MPEG2 W26 H18 F30000:1001 Ip A12:11 C420mpeg2 XCOLORRANGE=FULL XYSCSS=420MPEG2 Xnote=1\n"
SHAPES = ((18, 26), (9, 13), (9, 13))
COMMAND = (sys.executable, "-m", "codec_bridge.cli", "filter")


def pictures(count: int) -> list[list[np.ndarray]]:
    rng = np.random.default_rng(7)
    return [[rng.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES] for _ in range(count)]


def y4m(frames: list[list[np.ndarray]], header: bytes = HEADER) -> bytes:
    return header + b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in frames)


def filtered(frames: list[list[np.ndarray]]) -> bytes:
    with Filter() as filter_:
        index = filter_.index_for_qp(28)
        return y4m([[filter_.filter_plane(y, 8, index), u, v] for y, u, v in frames])


def test_from_pipe_to_pipe(tmp_path: Path) -> None:
    frames = pictures(3)
    done = subprocess.run([*COMMAND, "-", "-", "--qp", "28"], input=y4m(frames), capture_output=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == filtered(frames)
    assert b"wrote /dev/stdout: 3 pictures" in done.stderr
    (tmp_path / "in.y4m").write_bytes(y4m(frames))
    subprocess.run([*COMMAND, tmp_path / "in.y4m", tmp_path / "out.y4m", "--qp", "28"], check=True, capture_output=True)
    assert (tmp_path / "out.y4m").read_bytes() == done.stdout


def test_from_named_pipe_to_named_pipe(tmp_path: Path) -> None:
    frames = pictures(2)
    os.mkfifo(tmp_path / "into")
    os.mkfifo(tmp_path / "from")
    program = subprocess.Popen([*COMMAND, tmp_path / "into", tmp_path / "from", "--qp", "28"], stdout=subprocess.DEVNULL)
    writer = threading.Thread(target=(tmp_path / "into").write_bytes, args=(y4m(frames),))
    writer.start()
    assert (tmp_path / "from").read_bytes() == filtered(frames)
    writer.join()
    assert program.wait() == 0


def test_a_picture_comes_out_before_the_next_one_goes_in() -> None:
    frames = pictures(2)
    data, expected = y4m(frames), filtered(frames)
    first = len(y4m(frames[:1]))
    with subprocess.Popen([*COMMAND, "-", "-", "--qp", "28"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        watch = threading.Timer(120, program.kill)  # a program that keeps a picture back would wait for ever
        watch.start()
        program.stdin.write(data[:first])
        program.stdin.flush()
        assert program.stdout.read(first) == expected[:first]
        program.stdin.write(data[first:])
        program.stdin.close()
        assert program.stdout.read() == expected[first:]
        watch.cancel()


@pytest.mark.parametrize("named", [False, True])
def test_a_reader_that_has_gone_ends_it_quietly(tmp_path: Path, named: bool) -> None:
    out = tmp_path / "from"
    os.mkfifo(out)
    command = [*COMMAND, "-", str(out) if named else "-", "--qp", "28"]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    stdin = program.stdin

    def feed() -> None:
        with suppress(BrokenPipeError):
            stdin.write(y4m(pictures(4) * 200))
            stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    if named:
        with out.open("rb") as reader:
            reader.read(10)
    else:
        program.stdout.close()
    feeder.join()
    assert program.wait() == 128 + signal.SIGPIPE
    assert program.stderr.read() == b""


def test_what_is_wrong_with_a_pipe_is_named() -> None:
    whole = y4m(pictures(2))
    cases = [
        (b"", "is not a Y4M file"),
        (whole[:-1], "/dev/stdin ends early: picture 1 is cut off"),
        (HEADER, "has no pictures"),
        (HEADER.replace(b"Ip", b"It") + whole[len(HEADER) :], "is interlaced (It)"),
        (whole.replace(b"FRAME\n", b"FRAME Itop\n"), "picture 0 is interlaced (Itop)"),
        (whole + b"FRAMES\n", "picture 2 does not begin with FRAME"),
    ]
    for data, message in cases:
        done = subprocess.run([*COMMAND, "-", "/dev/null", "--qp", "28"], input=data, capture_output=True)
        assert done.returncode == 1, done
        assert message in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
    done = subprocess.run([*COMMAND, "-", "/dev/null", "--qp", "auto"], input=whole, capture_output=True)
    assert b"does not say at what QP it was coded" in done.stderr
