"""A codec of two programs for tests of plans' own codecs: samples are quantized by QP, and packed by zlib.

    packing_codec.py encode INPUT OUTPUT RECON QP WIDTH HEIGHT CHROMA      packing_codec.py decode INPUT OUTPUT

4:2:0 and 4:0:0 of 8 bits. It prints how many pictures it coded and their luma PSNR. What PACKING_FAULT names goes wrong at QP 32; each run
of the encoder is a line of the file PACKING_RUNS.
"""

import math
import os
import sys
import zlib
from pathlib import Path


def encode(source: str, output: str, recon: str, qp: int, width: int, height: int, chroma: str) -> int:
    samples = Path(source).read_bytes()
    if samples.startswith(b"YUV4MPEG2"):
        samples = b"".join(part.split(b"\n", 1)[1] if number else b"" for number, part in enumerate(samples.split(b"FRAME")))
    fault = os.environ.get("PACKING_FAULT", "") if qp == 32 else ""
    step = round(2 ** (qp / 6)) // 2
    table = bytes(min(value // step * step + step // 2, 255) if fault != "lossless" else value for value in range(256))
    packed = samples.translate(table)
    picture = width * height * 3 // 2 if chroma == "420" else width * height
    count = len(samples) // picture
    levels = []
    for at in range(0, len(samples), picture):
        pairs = zip(samples[at : at + width * height], packed[at : at + width * height], strict=True)
        squares = sum((a - b) ** 2 for a, b in pairs)
        levels.append(10 * math.log10(255 * 255 * width * height / squares) if squares and fault != "inf" else math.inf)
    if runs := os.environ.get("PACKING_RUNS"):
        with open(runs, "a") as file:
            file.write(f"{qp}\n")
    if fault == "exit code":
        print("error: no memory", file=sys.stderr)
        return 3
    if fault == "pipe":
        os.mkfifo(output)
        return 0
    if fault == "endless":
        Path(recon).symlink_to("/dev/zero")
        recon = "/dev/null"
    Path(output).write_bytes(b"" if fault == "empty" else zlib.compress(packed[: -picture if fault == "picture lost" else None]))
    Path(recon).write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]) if fault == "reconstruction" else packed)
    print(f"frame 1 of {count}\nPSNR Mean Y:{sum(levels) / count - 0.5 * (fault == 'psnr'):.3f}\ncoded {count - (fault == 'count')} frames")
    return 0


def decode(source: str, output: str) -> int:
    Path(output).write_bytes(zlib.decompress(Path(source).read_bytes()))
    return 0


if __name__ == "__main__":
    word, *words = sys.argv[1:]
    if word == "version":
        print("\npacking codec 1.2")
        sys.exit(1)
    if word == "decode":
        sys.exit(decode(*words))
    source, output, recon, *numbers, chroma = words
    sys.exit(encode(source, output, recon, *map(int, numbers), chroma))
