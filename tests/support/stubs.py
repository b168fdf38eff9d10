"""Programs that behave on the command line as HM's and x265-loop's do, for tests on machines that have neither.

They code with PyAV's x265, all-intra, so that their streams are HEVC; faults are planted where FAULTS says.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

FAULTS = "STUB_FAULTS"
"""Environment variable: JSON, {"<filters: on or off> <QP>": fault}."""

CONFIGURATION = "encoder_intra_main"


def install(folder: Path) -> Path:
    """An HM folder with an encoder, a decoder and a configuration file."""
    for name in ("TAppEncoderStatic", "TAppDecoderStatic"):
        program = folder / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f'#!/bin/sh\nexport STUB_FOLDER="{folder}"\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n')
        program.chmod(0o755)
    (folder / "cfg").mkdir()
    (folder / "cfg" / f"{CONFIGURATION}.cfg").write_text("# all intra\n")
    return folder


def option(words: list[str], name: str, default: str = "") -> str:
    return words[words.index(name) + 1] if name in words else default


def fault(filters: bool, qp: int) -> str:
    faults: dict[str, str] = json.loads(os.environ.get(FAULTS, "{}"))
    return faults.get(f"{'on' if filters else 'off'} {qp}", "")


def planted_in(data: bytes) -> Path:
    """Where the encoder tells the decoder what it shall do about a stream."""
    return Path(os.environ["STUB_FOLDER"]) / hashlib.md5(data).hexdigest()


def encode(words: list[str]) -> int:
    from codec_bridge.codecs import decoder, pyav
    from codec_bridge.video.files import write_yuv
    from codec_bridge.video.open import open_video

    print("HM software: Encoder Version [18.0] (stub)")
    if not words:
        return 1
    filters, qp = "--SAO=0" not in words, int(option(words, "-q"))
    planted = fault(filters, qp)
    size = int(option(words, "-wdt")), int(option(words, "-hgt"))
    pictures = list(open_video(option(words, "-i"), size, "yuv420p"))
    if planted == "encoder fails":
        print("it cannot be: no memory", file=sys.stderr)
        return 3
    if planted == "encoder kills its worker":
        os.kill(os.getppid(), 9)
    coarse = 30 if planted == "coarse" else 0
    data = pyav.encode(pictures, qp + coarse, filters=filters, preset="ultrafast").data
    recon = list(decoder.decode(data, cropping=True))
    if planted == "wrong reconstruction":
        recon[-1].planes[0][5, 7] ^= 1
    if planted == "picture missing in the reconstruction":
        recon.pop()
    Path(option(words, "-b")).write_bytes(data)
    planted_in(data).write_text(planted)
    write_yuv(option(words, "-o"), recon)
    for number in range(len(pictures)):
        print(f"POC    {number} TId: 0 ( I-SLICE, nQP {qp} QP {qp} )  100 bits [Y 40.0 dB    U 40.0 dB    V 40.0 dB] [ET 1 ]")
    print("\n Total Time:        0.125 sec.")
    return 0


def decode(words: list[str]) -> int:
    from codec_bridge.codecs import decoder
    from codec_bridge.video.files import write_yuv

    data = Path(option(words, "-b")).read_bytes()
    planted = planted_in(data).read_text()
    pictures = list(decoder.decode(data, cropping=True))
    if planted == "decoder loses a picture":
        pictures.pop()
    verdicts = ["(OK)"] * len(pictures)
    if planted == "decoder finds a wrong hash":
        verdicts[0] = "(***ERROR***)"
    if planted == "decoder is killed":
        os.kill(os.getpid(), 9)
    write_yuv(option(words, "-o"), pictures)
    for number, verdict in enumerate(verdicts):
        print(f"POC    {number} TId: 0 ( I-SLICE, QP 32 ) [DT  0.001] [L0 ] [L1 ] [MD5:00ff,{verdict}]")
    print("\n Total Time:        0.031 sec.")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    sys.exit((encode if "Encoder" in sys.argv[1] else decode)(sys.argv[2:]))
