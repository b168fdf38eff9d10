"""The independent implementation as a program for `vrcnn-int conformance verify`; files and lines: c/SPECIFICATION.md, section 9.

python -m tests.independent_program filter MODEL NETWORK WIDTH HEIGHT DEPTH SCALE INPUT OUTPUT
python -m tests.independent_program layer MODEL NETWORK WIDTH HEIGHT DEPTH LAYER INPUT OUTPUT
python -m tests.independent_program joint MODEL NETWORK WIDTH HEIGHT FORMAT DEPTHS WEIGHTS INPUT OUTPUT
python -m tests.independent_program joint-layer MODEL NETWORK WIDTH HEIGHT FORMAT DEPTHS LAYER INPUT OUTPUT
python -m tests.independent_program sideinfo WIDTH HEIGHT IRAP VERSION INPUT
"""

import sys
from pathlib import Path
from typing import Any

from tests.independent import Plane, Refused, filter_planes, first_input, hidden_layers, read_model, read_sideinfo


def sideinfo(width: int, height: int, irap: bool, version: int, data: bytes) -> str:
    try:
        info = read_sideinfo(data, irap, width, height, version)
    except Refused as refusal:
        return f"error {refusal}\n"
    if "model_set_identity" in info:
        info["model_set_identity"] = f"{info['model_set_identity']:0{8 if 'filter_mode' in info else 6}x}"
    return "".join(f"{name} {' '.join(map(word, value if isinstance(value, list) else [value]))}\n" for name, value in info.items())


def word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def integers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def planes_of(data: bytes, width: int, height: int, chroma_format: int, depths: list[int]) -> list[Plane]:
    """The planes in a file, one after the other."""
    half, low = (width + 1) // 2, (height + 1) // 2
    chroma = {400: [], 420: [(half, low)], 422: [(half, height)], 444: [(width, height)]}[chroma_format]
    at, planes = 0, list[Plane]()
    for n, (across, down) in enumerate([(width, height), *chroma * 2]):
        size = 2 if depths[n > 0] > 8 else 1
        s = [int.from_bytes(data[i : i + size], "little") for i in range(at, at + size * across * down, size)]
        planes.append([s[y * across : (y + 1) * across] for y in range(down)])
        at += size * across * down
    return planes


def packed(planes: list[Plane], depths: list[int]) -> bytes:
    sizes = [2 if depths[n > 0] > 8 else 1 for n in range(len(planes))]
    return b"".join(z.to_bytes(size, "little") for plane, size in zip(planes, sizes, strict=True) for row in plane for z in row)


def picture(what: str, model: str, number: str, width: str, height: str, *words: str) -> None:
    network = read_model(Path(model).read_bytes())[int(number)]
    chroma_format, *rest = (int(words[0]), *words[1:]) if what.startswith("joint") else (400, *words)
    depths, weights, source, output = integers(rest[0]), rest[1], *rest[2:]
    planes = planes_of(Path(source).read_bytes(), int(width), int(height), chroma_format, depths)
    if what.endswith("layer"):
        found = hidden_layers(network, first_input(network, planes, depths, chroma_format))[int(weights)]
        depths = [8, 8]
    else:
        found = filter_planes(network, planes, depths, chroma_format, *map(integers, weights.split("/")))
    Path(output).write_bytes(packed(found, depths))


def main(what: str, *words: str) -> None:
    if what == "sideinfo":
        width, height, irap, version = map(int, words[:4])
        sys.stdout.write(sideinfo(width, height, irap == 1, version, Path(words[4]).read_bytes()))
        return
    try:
        picture(what, *words)
    except Refused as refusal:
        sys.exit(f"error {refusal}")


if __name__ == "__main__":
    main(*sys.argv[1:])
