"""The independent implementation as a program for `vrcnn-int conformance verify`; files and lines: c/SPECIFICATION.md, section 9.

python -m tests.independent_program filter MODEL NETWORK WIDTH HEIGHT DEPTH SCALE INPUT OUTPUT
python -m tests.independent_program layer MODEL NETWORK WIDTH HEIGHT DEPTH LAYER INPUT OUTPUT
python -m tests.independent_program sideinfo WIDTH HEIGHT IRAP INPUT
"""

import sys
from pathlib import Path

from tests.independent import Refused, filter_picture, hidden_layers, read_model, read_sideinfo


def sideinfo(width: int, height: int, irap: bool, data: bytes) -> str:
    try:
        info = read_sideinfo(data, irap, width, height)
    except Refused as refusal:
        return f"error {refusal}\n"
    if "model_set_identity" in info:
        info["model_set_identity"] = f"{info['model_set_identity']:08x}"
    return "".join(f"{name} {' '.join(map(str, value if isinstance(value, list) else [value]))}\n" for name, value in info.items())


def picture(what: str, model: str, numbers: list[int], source: str, output: str) -> None:
    index, width, height, depth, number = numbers
    network = read_model(Path(model).read_bytes())[index]
    data, size = Path(source).read_bytes(), 2 if depth > 8 else 1
    samples = [int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size)]
    s = [samples[y * width : (y + 1) * width] for y in range(height)]
    if what == "layer":
        planes, size = hidden_layers(network, s, depth)[number], 1
    else:
        planes = [filter_picture(network, s, depth, number)]
    Path(output).write_bytes(b"".join(value.to_bytes(size, "little") for plane in planes for row in plane for value in row))


def main(what: str, *words: str) -> None:
    if what == "sideinfo":
        width, height, irap = map(int, words[:3])
        sys.stdout.write(sideinfo(width, height, irap == 1, Path(words[3]).read_bytes()))
        return
    try:
        picture(what, words[0], [int(word) for word in words[1:6]], *words[6:])
    except Refused as refusal:
        sys.exit(f"error {refusal}")


if __name__ == "__main__":
    main(*sys.argv[1:])
