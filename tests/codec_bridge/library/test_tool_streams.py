"""vrcnn_filter between pipes: Y4M whose header is kept to the byte, picture by picture, and quiet where nobody reads on."""

import os
import signal
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.filter import Filter
from tests.support.models import picture
from tests.support.tool import tool

WIDTH, HEIGHT = 26, 18
HEADER = b"YUV4MPEG2 W26 H18 F30000:1001 Ip A12:11 C%s XYSCSS=420JPEG XCOLORRANGE=FULL Xnote=1\n"
FRAME = b"FRAME Ippp Xtag\n"


def depth_of(colour: str) -> int:
    return next((depth for depth in (10, 12) if colour.endswith(str(depth))), 8)


def planes_of(colour: str, pictures: int, seed: int = 5) -> list[list[np.ndarray]]:
    chroma = {"4": (HEIGHT // 2, WIDTH // 2) if colour[:3] == "420" else (HEIGHT, WIDTH // 2)}.get(colour[0])
    depth = depth_of(colour)
    rng = np.random.default_rng(seed)
    shapes = [(HEIGHT, WIDTH), *([chroma] * 2 if chroma else [])]
    return [[picture(rng, "random", *shape, depth) for shape in shapes] for _ in range(pictures)]


def y4m(colour: str, pictures: list[list[np.ndarray]]) -> bytes:
    samples = [b"".join(np.ascontiguousarray(plane, plane.dtype.newbyteorder("<")).tobytes() for plane in planes) for planes in pictures]
    return HEADER % colour.encode() + b"".join(FRAME + data for data in samples)


def filtered(colour: str, pictures: list[list[np.ndarray]], model: str) -> bytes:
    depth = depth_of(colour)
    with Filter(model) as filter_:
        index = filter_.index_for_qp(28, kind=filter_.networks[0].kind)
        count = 3 if colour[:3] == "420" else 1
        done = [[*filter_.filter_planes(planes[:count], (depth, depth), index), *planes[count:]] for planes in pictures]
    return y4m(colour, done)


def piped(prefix: Path, data: bytes, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run([prefix / "bin/vrcnn_filter", *arguments, "-", "-"], input=data, capture_output=True)


@pytest.mark.parametrize("model", ["vrcnn_intra", "joint_intra"])
@pytest.mark.parametrize("colour", ["420mpeg2", "420p10", "422", "mono", "mono10"])
def test_y4m_from_pipe_to_pipe(prefix: Path, colour: str, model: str) -> None:
    pictures = planes_of(colour, 3)
    done = piped(prefix, y4m(colour, pictures), "--y4m", "--qp", "28", "--model", model)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"\n") == (model == "joint_intra" and colour == "422")
    assert done.stdout == filtered(colour, pictures, model)


@pytest.mark.parametrize("colour", ["420p12", "mono12"])
def test_12_bits(prefix: Path, colour: str) -> None:
    pictures = planes_of(colour, 2)
    done = piped(prefix, y4m(colour, pictures), "--y4m", "--qp", "28", "--model", "joint_intra")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == filtered(colour, pictures, "joint_intra")
    raw = b"".join(plane.astype("<u2").tobytes() for planes in pictures for plane in planes)
    options = ("--size", f"{WIDTH}x{HEIGHT}", "--bit-depth", "12", "--format", "400" if colour == "mono12" else "420", "--qp", "28")
    done = piped(prefix, raw, *options, "--model", "joint_intra")
    assert done.returncode == 0, done.stderr
    assert done.stdout == filtered(colour, pictures, "joint_intra")[len(HEADER % colour.encode()) :].replace(FRAME, b"")
    done = piped(prefix, raw, *options)
    assert done.returncode == 1
    assert b"12 bits are filtered by joint networks only, and network 1 is none" in done.stderr
    assert done.stdout == b""
    assert piped(prefix, raw, "--bit-depth", "11", *options[:2]).stderr.endswith(b"must be 8, 9, 10 or 12\n")


def test_files_named_pipes_and_pipes_are_the_same(prefix: Path, tmp_path: Path) -> None:
    data, expected = y4m("420jpeg", planes_of("420jpeg", 2)), filtered("420jpeg", planes_of("420jpeg", 2), "vrcnn_intra")
    source, out = tmp_path / "in.y4m", tmp_path / "out.y4m"
    source.write_bytes(data)
    options = ["--y4m", "--qp", 28]
    done = tool(prefix, *options, source, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert out.read_bytes() == expected
    os.mkfifo(tmp_path / "into")
    os.mkfifo(tmp_path / "from")
    writer = threading.Thread(target=(tmp_path / "into").write_bytes, args=(data,))
    program = subprocess.Popen([prefix / "bin/vrcnn_filter", *map(str, options), tmp_path / "into", tmp_path / "from"])
    writer.start()
    assert (tmp_path / "from").read_bytes() == expected
    writer.join()
    assert program.wait() == 0
    assert tool(prefix, *options, source, "/dev/null").returncode == 0
    with source.open("rb") as stdin, out.open("wb") as stdout:
        subprocess.run([prefix / "bin/vrcnn_filter", *map(str, options), "-", "-"], stdin=stdin, stdout=stdout, check=True)
    assert out.read_bytes() == expected


def test_yuv_from_pipe_to_pipe(prefix: Path, tmp_path: Path) -> None:
    planes = planes_of("420jpeg", 2)
    frames = [b"".join(plane.tobytes() for plane in one) for one in planes]
    (tmp_path / "in.yuv").write_bytes(b"".join(frames))
    options = ("--size", "26x18", "--qp", "28")
    assert tool(prefix, *options, tmp_path / "in.yuv", tmp_path / "out.yuv").returncode == 0
    done = piped(prefix, b"".join(frames), *options)
    assert (done.returncode, done.stdout) == (0, (tmp_path / "out.yuv").read_bytes())
    cut = piped(prefix, b"".join(frames)[:-1], *options)
    assert (cut.returncode, cut.stderr) == (1, b"vrcnn_filter: -: ends within picture 1, which has 701 of 702 bytes\n")
    assert piped(prefix, b"", *options).stderr == b"vrcnn_filter: -: has no pictures\n"


def test_a_picture_comes_out_before_the_next_one_goes_in(prefix: Path) -> None:
    pictures = planes_of("420jpeg", 3)
    data, expected = y4m("420jpeg", pictures), filtered("420jpeg", pictures, "vrcnn_intra")
    header, frame = len(HEADER % b"420jpeg"), len(FRAME) + WIDTH * HEIGHT * 3 // 2
    command = [prefix / "bin/vrcnn_filter", "--y4m", "--qp", "28", "-", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        watch = threading.Timer(60, program.kill)  # a program that keeps a picture back would wait for ever
        watch.start()
        at = 0
        for end in (header + frame, header + 2 * frame, header + 3 * frame):
            program.stdin.write(data[at:end])
            got = b""
            while len(got) < end - at and (more := program.stdout.read(end - at - len(got))):
                got += more
            assert got == expected[at:end]
            at = end
        program.stdin.close()
        watch.cancel()
    assert program.returncode == 0


@pytest.mark.parametrize("ignored", [False, True])
def test_a_reader_that_has_gone_ends_it_quietly(prefix: Path, ignored: bool) -> None:
    data = y4m("420jpeg", planes_of("420jpeg", 2) * 200)
    command = [prefix / "bin/vrcnn_filter", "--y4m", "--qp", "28", "-", "-"]
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        program = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, restore_signals=not ignored
        )
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    program.stdout.close()
    try:
        program.stdin.write(data)
        program.stdin.close()
    except BrokenPipeError:
        pass
    assert program.wait() == (128 + signal.SIGPIPE if ignored else -signal.SIGPIPE)
    assert program.stderr.read() == b""


def test_y4m_that_cannot_be_filtered_is_named(prefix: Path, tmp_path: Path) -> None:
    frame = b"FRAME\n" + bytes(16 * 16 * 3 // 2)
    size = b"YUV4MPEG2 W16 H16 "
    cases: list[tuple[bytes, str]] = [
        (b"", "- is not Y4M"),
        (b"FRAME\n", "is not Y4M: it does not begin"),
        (b"YUV4MPEG2 W16 H16", "is not Y4M: it does not begin"),
        (b"YUV4MPEG2 W16 H16\0\n" + frame, "is not Y4M: it does not begin"),
        (b"YUV4MPEG2 W16\n" + frame, "no width or height"),
        (b"YUV4MPEG2 W0 H16\n" + frame, "W0: width and height are from 1 to 16384"),
        (b"YUV4MPEG2 W+6 H16\n" + frame, "W+6"),
        (b"YUV4MPEG2 W16 H99999999999\n" + frame, "H99999999999"),
        (size + b"W8\n" + frame, "gives W twice"),
        (size + b"It\n" + frame, "is interlaced (It)"),
        (size + b"Ib\n" + frame, "is interlaced (Ib)"),
        (size + b"Im\n" + frame, "is interlaced (Im)"),
        (size + b"C411\n" + frame, "colour space C411 is not supported"),
        (size + b"C420p14\n" + frame, "colour space C420p14 is not supported"),
        (size + b"C444alpha\n" + frame, "colour space C444alpha is not supported"),
        (size + b"\n", "has no pictures"),
        (size + b"\n" + frame[:-1], "ends within picture 0"),
        (size + b"\n" + frame + b"FRAME\n", "ends within picture 1"),
        (size + b"\n" + frame + b"FRAMES\n", "picture 1 does not begin with a FRAME line"),
        (size + b"\nFRAME Itop\n" + frame[6:], "picture 0 is interlaced (Itop)"),
        (size + b"\nFRAME I1ip\n" + frame[6:], "picture 0 is interlaced (I1ip)"),
        (size + b"C420p10\nFRAME\n" + bytes([0, 4]) * (16 * 16 * 3 // 2), "is 1024, above 1023: is the header's bit depth 10 right?"),
    ]
    for data, message in cases:
        done = piped(prefix, data, "--y4m", "--qp", "28")
        assert done.returncode == 1, data[:60]
        assert message in done.stderr.decode()
        assert done.stderr.count(b"\n") == 1
    options = ["--y4m", "--qp", 28]
    source = tmp_path / "in.y4m"
    source.write_bytes(size + b"\n" + frame)
    for more, said in ((["--size", "16x16"], "--y4m: Y4M says its size"), (["--layer", 0], "--layer: what it writes is no Y4M")):
        assert said in tool(prefix, *options, *more, source, tmp_path / "out.y4m").stderr
    assert tool(prefix, *options, "/dev/zero", tmp_path / "out.y4m").stderr.endswith("neither a regular file nor a pipe\n")
    with source.open("rb+") as both:
        done = subprocess.run([prefix / "bin/vrcnn_filter", "--y4m", "--qp", "28", source, "-"], stdout=both, stderr=subprocess.PIPE)
    assert b"is an input" in done.stderr
    assert list(tmp_path.iterdir()) == [source]
