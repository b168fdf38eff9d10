"""The side information of the conformance suite (c/SPECIFICATION.md, section 6)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.conformance import SideinfoVector
from vrcnn_int.conformance.pictures import noise

Map = NDArray[np.int64]


def header(irap: bool, version: int = 1) -> str:
    """magic to model_set_identity, as bits."""
    return f"{0x564E:016b}{version:08b}{0xC0FFEE01:032b}" if irap else ""


def coded_map(units: Map, networks: int) -> str:
    """coded_map( ) of units [rows, columns], as an encoder writes it. low is never cut, so there are no carries."""
    low, span, shifts = 0, 65536, 0
    contexts = [[[3, 1], [1, 3], [1, 5]], [[3, 1], [2, 2], [1, 3]], [[3, 1], [2, 2], [1, 3]]]
    for (y, x), choice in np.ndenumerate(units):
        near = [int(n) for n in (*units[y, max(x, 1) - 1 : x], *units[max(y, 1) - 1 : y, x])]
        for k in range(min(int(choice) + 1, networks)):
            votes = sum((n > k) - (n == k) for n in near)
            counts = contexts[k][1 + (votes > 0) - (votes < 0)]
            zero = span * counts[0] // sum(counts)
            bin_ = int(choice > k)
            low, span = (low + zero, span - zero) if bin_ else (low, zero)
            counts[bin_] += 2
            if sum(counts) > 256:
                counts[:] = [(count + 1) // 2 for count in counts]
            while span < 32768:
                low, span, shifts = 2 * low, 2 * span, shifts + 1
    return f"{-(-low // 32768):0{shifts + 1}b}"


def fields_text(
    irap: bool, mode: int, position: int = 0, indices: Sequence[int] = (), scale: int = 0, unit: int = 0, units: Any = ()
) -> str:
    """The lines of section 9."""
    lines = [f"filter_mode {mode}", f"filter_position {position}"]
    if irap:
        lines.insert(0, "model_set_identity c0ffee01")
    if mode:
        lines += [f"network_index {' '.join(map(str, indices))}", f"output_scale {scale}"]
    if mode == 2:
        lines += [f"UnitSize {unit}", f"unit_choice {' '.join(map(str, units))}"]
    return "".join(f"{line}\n" for line in lines)


def _maps() -> Iterator[tuple[str, int, int, tuple[int, int], Map]]:
    """Name, networks, log2_unit_size_minus6, picture size and map."""
    for n, size in enumerate(((1, 1), (64, 64), (65, 64), (416, 240), (1024, 769), (1920, 1080), (4096, 2160), (16384, 70))):
        for networks in (1, 2, 3):
            log2 = (n + networks) % 4 if n > 3 else n % 2
            unit = 64 << log2
            shape = (-(-size[1] // unit), -(-size[0] // unit))
            y, x = np.indices(shape)
            label = f"{size[0]}x{size[1]}-{unit}-{networks}"
            units = [
                np.full(shape, networks),
                (x + y) % (networks + 1),
                np.where(x * shape[0] > y * shape[1], networks, 0),
                noise(label, shape[0] * shape[1], 0, networks).reshape(shape),
                noise(label, shape[0] * shape[1], 0, 15).reshape(shape) // 15 * networks,
            ][(n + 2 * networks) % 5]
            yield label, networks, log2, size, np.where(units.any(), units, 1)


def sideinfo_vectors() -> Iterator[SideinfoVector]:
    """All of them."""
    size = (416, 240)
    for irap in (False, True):
        for name, bits, words in (
            ("off", "000", (0,)),
            ("all", f"010{0:05b}{8:04b}", (1, 0, [0], 8)),
            ("all-after-sao", f"011{31:05b}{10:04b}", (1, 1, [31], 10)),
            ("all-scale-1", f"010{3:05b}{1:04b}", (1, 0, [3], 1)),
        ):
            yield _vector(f"{name}{'-irap' * irap}", header(irap) + bits, irap, size, fields_text(irap, *words))
    for n, (name, networks, log2, where, units) in enumerate(_maps()):
        irap, scale, position = n % 3 == 0, 1 + n % 10, n % 2
        indices = [(5 * n + 11 * i) % 32 for i in range(networks)]
        start = header(irap) + f"10{position}{networks - 1:02b}{''.join(f'{i:05b}' for i in indices)}{scale:04b}{log2:02b}"
        text = fields_text(irap, 2, position, indices, scale, 64 << log2, units.reshape(-1))
        for way, rest in (("coded", "0" + coded_map(units, networks)), ("raw", "1" + raw_map(units, networks))):
            if len(start + rest) <= 2048:
                yield _vector(f"{way}-{name}", start + rest, irap, where, text)
    for name, irap, bits, error in _broken():
        yield _vector(name, bits, irap, size, f"error {error}\n")


def raw_map(units: Map, networks: int) -> str:
    """unit_choice[ i ] of all units, as bits."""
    return "".join(f"{int(choice):0{1 if networks == 1 else 2}b}" for choice in units.reshape(-1))


def _broken() -> Iterator[tuple[str, bool, str, str]]:
    """Name, IrapFlag, bits and error of side information for a 416x240 picture that breaks one rule."""
    yield "missing", False, "", "TRUNCATED"
    yield "irap-missing", True, "", "FOREIGN"
    yield "irap-one-byte", True, header(True)[:8], "FOREIGN"
    yield "irap-other-magic", True, f"{0x564F:016b}" + header(True)[16:] + "000", "FOREIGN"
    yield "irap-magic-only", True, header(True)[:16], "TRUNCATED"
    for version in (0, 2, 255):
        yield f"version-{version}", True, header(True, version) + "000", "VERSION"
    yield "version-2-and-no-more", True, header(True, 2)[:24], "VERSION"
    yield "identity-cut", True, header(True)[:48], "TRUNCATED"
    yield "irap-without-mode", True, header(True), "TRUNCATED"
    yield "257-bytes", False, "0" * 2056, "SYNTAX"
    yield "257-bytes-irap", True, header(True) + "0" * 2000, "SYNTAX"
    yield "257-bytes-version-2", True, header(True, 2) + "0" * 2000, "VERSION"
    yield "mode-3", False, "110", "SYNTAX"
    yield "off-after-sao", False, "001", "SYNTAX"
    yield "four-networks", False, "10011" + "0" * 40, "SYNTAX"
    yield "index-cut", False, "10001000", "TRUNCATED"
    yield "same-index-twice", False, f"10001{7:05b}{7:05b}{8:04b}001" + "1" * 28, "SYNTAX"
    yield "third-index-as-first", False, f"10010{7:05b}{9:05b}{7:05b}{8:04b}001" + "1" * 28, "SYNTAX"
    for scale in (0, 11, 15):
        yield f"scale-{scale}", False, f"010{1:05b}{scale:04b}", "SYNTAX"
    yield "scale-cut", False, f"010{1:05b}", "TRUNCATED"
    one, two = f"10000{1:05b}{8:04b}", f"10001{1:05b}{2:05b}{8:04b}"
    yield "unit-size-cut", False, one + "00", "TRUNCATED"
    yield "raw-choice-3-of-2", False, two + "001" + "01" * 3 + "11" + "01" * 24, "SYNTAX"
    yield "raw-without-network", False, one + "001" + "0" * 28, "SYNTAX"
    yield "raw-cut", False, one + "001" + "1" * 23, "TRUNCATED"
    yield "coded-without-network", False, one + "000" + coded_map(np.zeros((4, 7), np.int64), 1), "SYNTAX"
    full = one + "000" + coded_map(noise("broken", 28, 0, 1).reshape(4, 7), 1)
    yield "coded-cut", False, full[: (len(full) - 1) // 8 * 8], "TRUNCATED"
    yield "coded-cut-early", False, full[:24], "TRUNCATED"
    yield "padding", False, "00001", "SYNTAX"
    yield "padding-last", False, f"010{1:05b}{8:04b}0001", "SYNTAX"
    yield "byte-left", False, "000" + "0" * 13, "SYNTAX"
    yield "byte-left-after-map", False, full + "0" * (-len(full) % 8) + "0" * 8, "SYNTAX"


def _vector(name: str, bits: str, irap: bool, size: tuple[int, int], text: str) -> SideinfoVector:
    data = int("1" + bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8 + 1, "big")[1:]
    return SideinfoVector(f"sideinfo-{name}", data.hex(), irap, *size, text)
