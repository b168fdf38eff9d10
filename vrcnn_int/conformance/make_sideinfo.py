"""The side information of the conformance suite (c/SPECIFICATION.md, section 6)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.conformance import SideinfoVector
from vrcnn_int.conformance.noise import noise

Map = NDArray[np.int64]


def header(irap: bool, version: int = 1) -> str:
    """magic to model_set_identity, as bits."""
    identity = f"{0xC0FFEE:024b}" if version == 2 else f"{0xC0FFEE01:032b}"
    return f"{0x564E:016b}{version:08b}{identity}" if irap else ""


def coded_map(units: Map, networks: int, is_followed: bool = False) -> str:
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
    bits = 2 if is_followed else 1
    return f"{-(-low // (65536 >> bits)):0{shifts + bits}b}"


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
    yield from _plane_vectors()


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
    for version in (0, 3, 255):
        yield f"version-{version}", True, header(True, version) + "000", "VERSION"
    yield "version-3-and-no-more", True, header(True, 3)[:24], "VERSION"
    yield "identity-cut", True, header(True)[:48], "TRUNCATED"
    yield "irap-without-mode", True, header(True), "TRUNCATED"
    yield "257-bytes", False, "0" * 2056, "SYNTAX"
    yield "257-bytes-irap", True, header(True) + "0" * 2000, "SYNTAX"
    yield "257-bytes-version-3", True, header(True, 3) + "0" * 2000, "VERSION"
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


# Version 2.


@dataclass(frozen=True)
class Planes:
    """plane_filters( ) of a picture. filters: network_index, c_h of luma and of chroma, [] for a plane that is off."""

    luma: int
    chroma: int
    position: int
    filters: list[tuple[int, list[int], list[int]]]
    maps: list[tuple[int, Map]] = field(default_factory=list)
    """log2_unit_size_minus6 and the choices [rows, columns] of each map of its own."""

    def bits(self, is_raw: bool = False, is_trained: bool = True) -> str:
        """is_trained: weights are not written where they are all 8."""
        parts = [f"{self.luma:02b}{self.chroma:02b}{self.position}"]
        parts += [f"{len(self.filters) - 1:02b}"] if 2 in (self.luma, self.chroma) else []
        for index, *weights in self.filters:
            trained = is_trained and set(weights[0] + weights[1]) == {8}
            parts.append(f"{index:05b}{len(weights[0] or weights[1]) - 1}{trained:d}")
            parts += [] if trained else [f"{c + 5:04b}" for c in weights[0] + weights[1]]
        for n, (log2, units) in enumerate(self.maps):
            choices = raw_map(units, len(self.filters)) if is_raw else coded_map(units, len(self.filters), n + 1 < len(self.maps))
            parts.append(f"{log2:02b}{is_raw:d}{choices}")
        return "".join(parts)

    def text(self, irap: bool) -> str:
        """The lines of section 9."""
        lines = ["model_set_identity c0ffee"] if irap else []
        lines += [f"luma_mode {self.luma}", f"chroma_mode {self.chroma}"]
        if self.filters:
            heads = [len(luma or chroma) for _, luma, chroma in self.filters]
            lines += [f"filter_position {self.position}", f"network_index {_words(index for index, *_ in self.filters)}"]
            lines += [f"heads {_words(heads)}"]
        luma, chroma = [one[1] for one in self.filters], [one[2] for one in self.filters]
        for each, mode, name in ((luma, self.luma, "luma"), (chroma, self.chroma, "chroma")):
            lines += [f"{name}_weights {_words(','.join(map(str, weights)) for weights in each)}"] if mode else []
        names = ["luma"] * (self.luma == 2) + ["chroma"] * (self.chroma == 2)
        for name, (log2, units) in zip(names, self.maps, strict=True):
            lines += [f"{name}_UnitSize {64 << log2}", f"{name}_unit_choice {_words(units.reshape(-1))}"]
        return "".join(f"{line}\n" for line in lines)


def _words(values: Iterable[object]) -> str:
    return " ".join(map(str, values))


def _filters(label: str, count: int, planes: tuple[bool, bool]) -> list[tuple[int, list[int], list[int]]]:
    """Filters of one or two heads, every other one as trained."""
    filters = []
    for n in range(count):
        index, heads, trained = (int(noise(f"{label} {n} {what}", 1, 0, most)[0]) for what, most in (("i", 31), ("h", 1), ("t", 1)))
        least = 1 if heads == 0 else -5
        luma, chroma = (
            ([8] * (heads + 1) if trained else noise(f"{label} {n} {plane}", heads + 1, least, 10).tolist()) if planes[plane] else []
            for plane in (0, 1)
        )
        filters.append((index, luma, chroma))
    return filters


def _own_map(label: str, size: tuple[int, int], filters: int) -> tuple[int, Map]:
    """log2_unit_size_minus6 and choices."""
    log2, kind = (int(noise(f"{label} {what}", 1, 0, most)[0]) for what, most in (("size", 3), ("kind", 2)))
    shape = (-(-size[1] // (64 << log2)), -(-size[0] // (64 << log2)))
    y, x = np.indices(shape)
    units = [(x + y) % (filters + 1), np.full(shape, filters), noise(label, shape[0] * shape[1], 0, filters).reshape(shape)][kind]
    return log2, np.where(units.any(), units, 1)


def _plane_vectors() -> Iterator[SideinfoVector]:
    size = (416, 240)
    for irap in (False, True):
        for log2 in (0, 9):
            name = f"planes-off{'-irap' * irap}-{1 << log2}"
            yield _vector(name, header(irap, 2), irap, (416 << log2 // 2, 1 + log2), Planes(0, 0, 0, []).text(irap), 2)
    n = 0
    for luma, chroma in product(range(3), range(4)):
        if luma + chroma == 0 or (chroma == 3 and luma != 2):
            continue
        for count in (1, 2, 3) if 2 in (luma, chroma) else (1, 1):
            n += 1
            irap, label = n % 3 == 0, f"planes-{luma}-{chroma}-{count}-{n}"
            where = ((416, 240), (65, 64), (1, 1), (1024, 769), (1920, 1080))[n % 5]
            own = [_own_map(f"{label} {plane}", where, count) for plane, mode in (("luma", luma), ("chroma", chroma)) if mode == 2]
            planes = Planes(luma, chroma, n % 2, _filters(label, count, (luma > 0, chroma > 0)), own)
            ways = ("coded", "raw") if own else ("whole",)
            yield from (
                _vector(f"{label}-{way}", header(irap, 2) + planes.bits(way == "raw"), irap, where, planes.text(irap), 2) for way in ways
            )
    same = Planes(1, 1, 0, [(31, [8, 8], [8, 8])])
    yield _vector("planes-trained-weights-written", same.bits(is_trained=False), False, size, same.text(False), 2)
    for weights in ([-5, 10], [10, -5], [0, 0], [8, 7]):
        planes = Planes(1, 1, 1, [(0, weights, weights[::-1])])
        yield _vector(f"planes-weights-{weights[0]}-{weights[1]}", planes.bits(), False, size, planes.text(False), 2)
    twice = Planes(2, 3, 0, [(5, [8], [8]), (5, [8], [9]), (5, [8, 8], [8, 8])], [(0, np.full((4, 7), 3))])
    yield _vector("planes-one-network-thrice", twice.bits(), False, size, twice.text(False), 2)
    for name, irap, bits, error in _broken_planes():
        yield _vector(f"planes-{name}", bits, irap, size, f"error {error}\n", 2)


def _broken_planes() -> Iterator[tuple[str, bool, str, str]]:
    """The same as _broken, of version 2."""
    yield "identity-cut", True, header(True, 2)[:40], "TRUNCATED"
    yield "257-bytes", False, "0" * 2056, "SYNTAX"
    yield "257-bytes-irap", True, header(True, 2) + "0" * 2008, "SYNTAX"
    yield "byte-of-zeros", False, "0" * 8, "SYNTAX"
    yield "byte-of-zeros-irap", True, header(True, 2) + "0" * 8, "SYNTAX"
    yield "off-after-sao", False, "00001", "SYNTAX"
    yield "luma-mode-3", False, "1101" + "0" * 12, "SYNTAX"
    yield "shares-no-map", False, "0011" + "0" * 12, "SYNTAX"
    yield "shares-map-of-all", False, "0111" + "0" * 12, "SYNTAX"
    yield "four-filters", False, "10000" + "11" + "0" * 41, "SYNTAX"
    yield "index-cut", False, "01010" + "000", "TRUNCATED"
    yield "heads-cut", False, "10010" + "01" + "0000101" + "00", "TRUNCATED"
    for c in (-5, 0):
        yield f"weight-{c}-of-one-head", False, "01000" + f"{1:05b}00{c + 5:04b}", "SYNTAX"
        yield f"chroma-weight-{c}-of-one-head", False, "01010" + f"{1:05b}00{8 + 5:04b}{c + 5:04b}", "SYNTAX"
    yield "weights-cut", False, "01010" + f"{1:05b}10{13:04b}", "TRUNCATED"
    ones, zeros = np.ones((4, 7), np.int64), np.zeros((4, 7), np.int64)
    for name, weights in (("same-filter-twice", [[8], [8]]), ("third-filter-as-first", [[3, 4], [4, 3], [3, 4]])):
        yield name, False, Planes(2, 0, 0, [(7, luma, []) for luma in weights], [(0, ones)]).bits(), "SYNTAX"
    yield "same-filter-in-other-words", False, "10000" + "01" + f"{7:05b}01{7:05b}00{13:04b}" + "001" + "1" * 56, "SYNTAX"
    one = [(1, [8], [8])]
    yield "luma-map-without-filter", False, Planes(2, 2, 0, one, [(0, zeros), (0, ones)]).bits(), "SYNTAX"
    yield "chroma-map-without-filter", False, Planes(2, 2, 0, one, [(0, ones), (0, zeros)]).bits(), "SYNTAX"
    yield "chroma-map-missing", False, Planes(2, 2, 0, one, [(0, ones)]).bits(True)[:48], "TRUNCATED"
    mixed = noise("planes broken", 28, 0, 1).reshape(4, 7)
    full = Planes(2, 2, 0, one, [(0, mixed), (0, mixed)]).bits()
    yield "chroma-map-cut", False, full[: (len(full) - 1) // 8 * 8], "TRUNCATED"
    yield "padding", False, "01010" + f"{1:05b}01" + "0001", "SYNTAX"
    yield "byte-left", False, "01010" + f"{1:05b}01" + "0" * 12, "SYNTAX"


def _vector(name: str, bits: str, irap: bool, size: tuple[int, int], text: str, version: Literal[1, 2] = 1) -> SideinfoVector:
    data = int("1" + bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8 + 1, "big")[1:]
    return SideinfoVector(f"sideinfo-{name}", data.hex(), irap, *size, text, version)
