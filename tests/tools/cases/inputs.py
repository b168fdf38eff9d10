"""What cases are tried on, made anew for each; results of an evaluation are made once by each version, and copied."""

import atexit
import shutil
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.tools.cases import Bench

NOTHING_IN_THE_LOOP = "qp=32:no-deblock=1:no-sao=1:hash="
IDR = (19, 20)


def noise_y4m(path: Path, width: int = 64, height: int = 64) -> Path:
    """One grey picture of noise."""
    samples = np.random.default_rng(1).integers(0, 256, width * height, dtype=np.uint8)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F25:1 Cmono\nFRAME\n".encode() + samples.tobytes())
    return path


def hevc(width: int, height: int, pictures: int, parameters: str, seed: int = 1) -> bytes:
    """An all-intra stream of noise by PyAV's x265."""
    codec = av.CodecContext.create("libx265", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base, codec.framerate = Fraction(1, 25), Fraction(25)
    codec.options = {"x265-params": f"{parameters}:keyint=1:log-level=none:pools=none:frame-threads=1"}
    samples, stream = np.random.default_rng(seed), b""
    for number in range(pictures):
        frame = av.VideoFrame.from_ndarray(samples.integers(60, 180, (height * 3 // 2, width), dtype=np.uint8), format="yuv420p")
        frame.pts = number
        stream += b"".join(map(bytes, codec.encode(frame)))
    return stream + b"".join(map(bytes, codec.encode(None)))


def starts(stream: bytes | bytearray) -> list[int]:
    """Where the start codes 00 00 01 lie."""
    return [at for at in range(len(stream) - 4) if stream[at : at + 3] == b"\0\0\1"]


def loop_filters_on() -> bytes:
    return hevc(64, 64, 2, "qp=32:hash=1")


def two_sizes() -> bytes:
    return hevc(70, 58, 2, NOTHING_IN_THE_LOOP + "1") + hevc(66, 58, 2, NOTHING_IN_THE_LOOP + "1")


def picture_lost() -> bytes:
    """Three pictures, the second of which has no slice."""
    stream = hevc(64, 64, 3, NOTHING_IN_THE_LOOP + "1")
    begins = starts(stream)
    second = [number for number, at in enumerate(begins) if stream[at + 3] >> 1 & 63 in IDR][1]
    return stream[: begins[second]] + stream[begins[second + 1] :]


def crc_wrong() -> bytes:
    """CRC hashes, and a byte of the first picture changed."""
    stream = bytearray(hevc(64, 64, 2, NOTHING_IN_THE_LOOP + "2"))
    first = next(at for at in starts(stream) if stream[at + 3] >> 1 & 63 in IDR)
    stream[first + 300] ^= 16
    return bytes(stream)


def cut_off() -> bytes:
    """No hashes, and the last 40 bytes missing."""
    return hevc(64, 64, 2, NOTHING_IN_THE_LOOP + "0")[:-40]


_evaluated: dict[tuple[object, ...], Path] = {}


def evaluated(bench: Bench, *options: object) -> Path:
    """base.json, the results folder base and s.y4m, as ``bdrate`` of the version that is tried makes them: its rows are its own."""
    key = bench.programs, *options
    if key not in _evaluated:
        kept = Path(tempfile.mkdtemp(prefix="vrcnn-case-"))
        atexit.register(shutil.rmtree, kept, ignore_errors=True)
        noise_y4m(kept / "s.y4m")
        words = "bdrate", "--sequences", "s.y4m", "--results", "base", "--json", "base.json"
        done = replace(bench, folder=kept).bridge(*words, *options, timeout=600)
        if done.code:
            raise RuntimeError(done.last)
        _evaluated[key] = kept
    shutil.copytree(_evaluated[key], bench.folder, dirs_exist_ok=True)
    return bench.folder / "base.json"
