"""What the conformance suite consists of. Equal on every machine: numbers come from SHAKE-256, expected values from the oracle."""

import hashlib
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vrcnn_int.conformance import INDEX, FilterVector, RefusedVector, SideinfoVector, Suite, plane_bytes
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Branch, IntegerNetwork, ModelSet, accumulate, filter_plane, input_values, layer_outputs
from vrcnn_int.models import builtin_path
from vrcnn_int.proofs import accumulator_range, prove
from vrcnn_int.requant import requantize

Shape = Sequence[Sequence[tuple[int, int]]]
"""Layers of branches (kernel size, output channels)."""

INT32 = 1 << 31
SMALL = ((1, 1), (2, 1), (1, 2), (3, 3), (1, 70), (130, 1), (5, 7), (8, 8), (15, 17), (16, 16), (31, 33), (64, 64), (65, 63), (130, 70))
"""Widths and heights. One larger picture, the real one, is 416x240."""
CONTENTS = ("noise", "black", "narrow", "white", "real", "ramp", "extremes", "grey", "checkerboard")
GENERAL: dict[str, tuple[Shape, ...]] = {
    "two-layers": ([[(1, 16)], [(1, 1)]], [[(5, 16)], [(5, 1)]]),
    "branches": ([[(5, 16), (3, 32), (1, 16), (3, 16)], [(1, 32), (5, 16)], [(3, 1)]], [[(3, 48)], [(1, 16), (1, 16), (5, 16)], [(1, 1)]]),
    "deepest": ([*[[(3, 16)]] * 2, *[[(1, 16)], [(3, 16)]] * 14, [(5, 16)], [(3, 1)]],),
    "widest": ([[(3, 16)], [(3, 64)] * 4, [(5, 16)], [(3, 1)]], [[(1, 256)], [(1, 256)], [(5, 1)]]),
    "ties": ([[(3, 16)], [(3, 16), (1, 16)], [(3, 1)]], [[(5, 32)], [(1, 16)], [(1, 1)]]),
    "saturated": ([[(5, 16)], [(3, 16), (5, 16)], [(3, 1)]],),
    "odd-channels": ([[(3, 80)], [(3, 112)], [(1, 1)]], [[(5, 176)], [(1, 208)], [(3, 16)], [(1, 1)]]),
}


def noise(label: str, count: int, low: int, high: int) -> NDArray[np.int64]:
    """``count`` integers low .. high, uniform but for 1 part in 2^20: the little-endian 32-bit words of SHAKE-256 of the label, reduced."""
    words = np.frombuffer(hashlib.shake_256(label.encode("ascii")).digest(4 * count), "<u4")
    return low + words.astype(np.int64) % (high - low + 1)


# Pictures.


def picture(content: str, width: int, height: int, bit_depth: int) -> NDArray[Any]:
    """A plane, uint8 or uint16 [height, width]; content: one of CONTENTS."""
    top, count = (1 << bit_depth) - 1, width * height
    y, x = np.mgrid[:height, :width]
    label = f"{content} {width}x{height} {bit_depth}"
    contents: dict[str, Callable[[], NDArray[np.int64]]] = {
        "noise": lambda: noise(label, count, 0, top),
        "narrow": lambda: noise(label, count, top // 2 - 4, top // 2 + 5),
        "extremes": lambda: noise(label, count, 0, 1) * top,
        "black": lambda: np.zeros(count, np.int64),
        "grey": lambda: np.full(count, (top + 1) // 2),
        "white": lambda: np.full(count, top),
        "checkerboard": lambda: (x ^ y) % 2 * top,
        "ramp": lambda: (7 * x + 3 * y) % (top + 1),
        "real": lambda: photograph(width, height) * (1 << (bit_depth - 8)) + noise(label, count, 0, (1 << (bit_depth - 8)) - 1),
    }
    return contents[content]().reshape(height, width).astype(np.uint8 if bit_depth == 8 else np.uint16)


def photograph(width: int, height: int) -> NDArray[np.int64]:
    """A piece of scikit-image's picture `camera` (CC0), int64 [height * width], 0 .. 255, from column 48 and row 100 on."""
    camera = import_module("skimage.data").camera()
    return np.asarray(camera)[100 : 100 + height, 48 : 48 + width].astype(np.int64).reshape(-1)


# Networks.


def general_network(label: str, shape: Shape, kind: str) -> IntegerNetwork:
    """Random weights, with shifts and multipliers for which activations fill 0 .. 127 and residuals are about 16 steps.

    kind "ties": multipliers are powers of two, so that every second product is a tie: any other rounding than half up shows. "saturated":
    many values before the multiplication reach sat16, which shows because the multiplier takes its limit to 100.
    """
    values = input_values(noise(label, 24 * 24, 0, 255).reshape(24, 24), 8)
    layers = []
    for i, layer in enumerate(shape):
        branches, outputs = [], []
        last = i == len(shape) - 1
        for j, (kernel, channels) in enumerate(layer):
            here = f"{label} layer {i} branch {j}"
            size = (channels, len(values), kernel, kernel)
            weights = noise(f"{here} weights", int(np.prod(size)), -127, 127).astype(np.int8).reshape(size)
            bias = noise(f"{here} bias", channels, -2000, 2000).astype(np.int32)
            total = accumulate(values, Branch(kernel, 0, 1, weights, bias))
            high = max(int(np.sort(np.abs(total), axis=None)[-(total.size // 10)]), 256)
            if last:
                multiplier = 512 if kind == "ties" else int(noise(f"{here} m", 1, 512, 1023)[0])
                shift = next(s for s in range(2, 16) if s == 15 or (high >> s) * multiplier >> 15 <= 16)
            else:
                shift = next(s for s in range(16) if high >> s <= {"ties": 254, "saturated": 131068}.get(kind, 32767))
                multiplier = {"ties": 16384, "saturated": 100}.get(kind, min(32767, (127 << 15) // (high >> shift)))
            branches.append(Branch(kernel, shift, multiplier, weights, bias))
            outputs.append(requantize(total, shift, multiplier))
        layers.append(tuple(branches))
        values = np.concatenate(outputs)
    return IntegerNetwork(tuple(layers), int(noise(label, 1, -12, 51)[0]), "after_sao" if len(shape) % 2 else "before_deblocking")


EXTREME: Shape = ([(5, 16)], [(3, 16), (1, 16)], [(3, 1)])
LARGEST: Shape = ([(1, 256)], [(5, 16)], [(5, 1)])
"""The largest sums that inputs and weights alone can have: 256 channels in a 5x5 window."""


def extreme_network(weight: str, bias: str, where: int, shift: int, multiplier: int, shape: Shape = EXTREME) -> IntegerNetwork:
    """One layer at the limits of section 3; the ones before it give 127 wherever the picture is white and 0 where it is black.

    Of layer ``where`` and those after it: weight: "high" (127), "low" (-127) or "alternating". Of layer ``where``: bias: as "high" or as
    "low" as the accumulators' bound allows, or "zero"; shift, multiplier (the last layer's are the nearest that it may have).
    """
    layers, inputs = [], 1
    for i, layer in enumerate(shape):
        branches = []
        for kernel, channels in layer:
            s1, m = (shift, multiplier) if i == where else (0, 32767)
            if channels == 1:
                s1, m = max(s1, 2), min(max(m, 512), 1023)
            weights = np.full((channels, inputs, kernel, kernel), -127 if i >= where and weight == "low" else 127, np.int8)
            if i >= where and weight == "alternating":
                weights.reshape(-1)[::2] = -127
            branch = Branch(kernel, s1, m, weights, np.zeros(channels, np.int32))
            low, high = accumulator_range(branch, -128 if i == 0 else 0, 127)
            limits = {"low": -INT32 - low, "high": INT32 - 1 - ((1 << s1) >> 1) - high}
            values = limits.get(bias if i == where else "zero", 0 * low).clip(-INT32, INT32 - 1)
            branches.append(Branch(kernel, s1, m, weights, values.astype(np.int32)))
        layers.append(tuple(branches))
        inputs = sum(channels for _, channels in layer)
    return IntegerNetwork(tuple(layers), 51 if weight == "high" else -12, "before_deblocking")


def extreme_networks() -> Iterator[IntegerNetwork]:
    """Every layer at its limits."""
    scales = ((15, 32767), (0, 1), (0, 32767), (15, 1), (0, 127), (7, 32767), (1, 16384), (14, 20000), (15, 16384), (2, 512), (2, 1023))
    cases = [(weight, bias, where) for where in range(3) for weight in ("high", "low") for bias in ("high", "low")]
    cases += [("alternating", bias, where) for where in range(3) for bias in ("high", "zero", "low")]
    for n, (weight, bias, where) in enumerate(cases):
        yield extreme_network(weight, bias, where, *scales[n % len(scales)])
    for weight in ("high", "low"):
        yield extreme_network(weight, "zero", 1, 15, 32767, LARGEST)


# Vectors.


class _Maker:
    """Collects vectors; writes models and pictures into a folder."""

    def __init__(self, folder: Path) -> None:
        self.suite = Suite(folder, [], [], [])
        for name in ("models", "pictures"):
            (folder / name).mkdir()

    def put(self, name: str, data: bytes) -> str:
        (self.suite.folder / name).write_bytes(data)
        return name

    def filter(self, part: str, name: str, models: ModelSet, pictures: Sequence[tuple[str, int, int]]) -> None:
        """Vectors of the pictures (content, width, height): networks take turns, bit depth and output scale are drawn."""
        for network in models.networks:
            prove(network)
        model = self.put(f"models/{name}.vrcnn", models.to_bytes())
        for n, (content, width, height) in enumerate(pictures):
            index = n % len(models.networks)
            depth, scale = (int(noise(f"{name} {n} {low}..{high}", 1, low, high)[0]) for low, high in ((8, 10), (1, 10)))
            plane = picture(content, width, height, depth)
            raw = self.put(f"pictures/{content}-{width}x{height}-{depth}bit.raw", plane_bytes(plane))
            network = models.networks[index]
            hidden = [hashlib.md5(values.astype(np.uint8).tobytes()).hexdigest() for values in layer_outputs(network, plane, depth)]
            output = hashlib.md5(plane_bytes(filter_plane(network, plane, depth, scale))).hexdigest()
            title = f"{name}-{index}-{content}-{width}x{height}-{depth}bit-scale{scale}"
            self.suite.filter.append(FilterVector(title, part, model, index, raw, width, height, depth, scale, output, hidden))

    def refused(self, name: str, data: bytes, error: str) -> None:
        self.suite.refused.append(RefusedVector(f"refused-{name}", self.put(f"models/refused-{name}.vrcnn", data), error))

    def sideinfo(self, name: str, bits: str, irap: bool, size: tuple[int, int], text: str) -> None:
        data = int("1" + bits + "0" * (-len(bits) % 8), 2).to_bytes((len(bits) + 7) // 8 + 1, "big")[1:]
        self.suite.sideinfo.append(SideinfoVector(f"sideinfo-{name}", data.hex(), irap, *size, text))


def _filter_vectors(maker: _Maker) -> None:
    sizes = [(CONTENTS[(n + turn) % len(CONTENTS)], *size) for turn in range(4) for n, size in enumerate(SMALL)]
    long = [("noise", 1300, 5), ("extremes", 5, 1300)]  # implementations may work piece by piece
    maker.filter("shipped", "shipped", ModelSet.load(builtin_path()), [("real", 416, 240), *sizes, *long])
    middle = ((130, 70), (1, 1), (17, 40), (64, 5), (33, 33))
    for name, shapes in GENERAL.items():
        models = ModelSet(tuple(general_network(f"{name} {n}", shape, name) for n, shape in enumerate(shapes)))
        few = middle[1:] if name in ("widest", "odd-channels") else middle
        turns = [(CONTENTS[n % len(CONTENTS)], *few[n % len(few)]) for n in range(2 * len(few))]
        maker.filter("general", name, models, turns + long * (name == "branches"))
    networks = list(extreme_networks())
    pictures = (("white", 24, 20), ("black", 9, 7), ("extremes", 40, 13), ("checkerboard", 16, 9), ("noise", 11, 18))
    small = ModelSet(tuple(network for network in networks if network.architecture[0][0].channels == 16))
    maker.filter("extreme", "extreme", small, [picture for picture in pictures for _ in small.networks])
    large = ModelSet(tuple(network for network in networks if network.architecture[0][0].channels == 256))
    maker.filter("extreme", "largest-sums", large, [picture for picture in pictures[1:] for _ in large.networks])


def _refused_models(maker: _Maker) -> None:
    """A set of one network of two 1x1 layers, with one thing wrong at a time."""
    good = ModelSet((extreme_network("high", "zero", 0, 2, 512, ([(1, 16)], [(1, 1)])),)).to_bytes()

    def sealed(body: bytes) -> bytes:
        """A file with its size and identity put right."""
        body = body[:12] + struct.pack("<I", len(body) + 32) + body[16:]
        return body + hashlib.sha256(body).digest()

    def patched(layout: str, offset: int, *values: int) -> bytes:
        body = bytearray(good[:-32])
        struct.pack_into(layout, body, offset, *values)
        return bytes(body) + hashlib.sha256(body).digest()

    plain = {
        "empty": (b"", "TRUNCATED"),
        "magic-cut": (good[:5], "TRUNCATED"),
        "foreign": (b"VRCNNINX" + good[8:], "NOT_A_MODEL"),
        "short-foreign": (b"VRX", "NOT_A_MODEL"),
        "header-cut": (good[:15], "TRUNCATED"),
        "header-only": (good[:16], "TRUNCATED"),
        "version-0": (patched("<H", 8, 0), "VERSION"),
        "version-3": (patched("<H", 8, 3), "VERSION"),
        "cut": (good[:-1], "TRUNCATED"),
        "longer": (good + b"\0", "SIZE"),
        "size-47": (good[:12] + struct.pack("<I", 47) + good[16:47], "SIZE"),
        "damaged": (good[:-40] + bytes([good[-40] ^ 1]) + good[-39:], "CHECKSUM"),
        "identity-damaged": (good[:-1] + bytes([good[-1] ^ 1]), "CHECKSUM"),
        "no-network-bytes": (sealed(good[:16]), "SIZE"),
        "layer-missing": (sealed(good[:109]), "SIZE"),
        "branch-cut": (sealed(good[:28]), "SIZE"),
        "weights-cut": (sealed(good[:-33]), "SIZE"),
        "byte-left": (sealed(good[:-32] + b"\0"), "SIZE"),
        "network-missing": (sealed(good[:10] + b"\2\0" + good[12:-32]), "SIZE"),
    }
    for name, (data, error) in plain.items():
        maker.refused(name, data, error)
    # Offsets: network 16, its first branch 21 with biases 29 and weights 93, its second layer 109, that one's branch 110.
    for name, layout, offset, wrong in (
        ("network_count", "<H", 10, (0, 33)),
        ("nominal_qp", "<b", 16, (-13, 52)),
        ("position", "<B", 17, (2,)),
        ("layer_count", "<B", 18, (0, 1, 33)),
        ("network-reserved_zero", "<B", 19, (1,)),
        ("branch_count", "<B", 20, (0, 5)),
        ("kernel_size", "<B", 21, (0, 2, 7)),
        ("s1", "<B", 22, (16, 255)),
        ("m", "<H", 23, (0, 32768, 65535)),
        ("output_channels", "<H", 25, (0, 1, 8, 17, 272)),
        ("branch-reserved_zero", "<H", 27, (1, 256)),
        ("weight", "<b", 93, (-128,)),
        ("last-branch_count", "<B", 109, (0, 2)),
        ("last-kernel_size", "<B", 110, (4,)),
        ("last-s1", "<B", 111, (1, 16)),
        ("last-m", "<H", 112, (511, 1024)),
        ("last-output_channels", "<H", 114, (0, 2, 16)),
        ("last-weight", "<b", 137, (-128,)),
    ):
        for value in wrong:
            maker.refused(f"{name}-{value}", patched(layout, offset, value), "LIMIT")
    # Beyond the bound by one: weights of 127 on inputs -128 .. 127, then 16 of them on 0 .. 127; the rounding terms are 2.
    maker.refused("accumulator-high", patched("<i", 29, INT32 - 1 - 2 - 127 * 127 + 1), "OVERFLOW")
    maker.refused("accumulator-low", patched("<i", 89, -INT32 + 127 * 128 - 1), "OVERFLOW")
    maker.refused("last-accumulator-high", patched("<i", 118, INT32 - 1 - 2 - 16 * 127 * 127 + 1), "OVERFLOW")
    wide = [Branch(1, 0, 1, np.ones((80, 1, 1, 1), np.int8), np.zeros(80, np.int32))] * 4
    body = good[:20] + b"\4" + b"".join(struct.pack("<BBHHH", 1, 0, 1, 80, 0) + b.bias.tobytes() + b.weights.tobytes() for b in wide)
    maker.refused("320-channels", sealed(body + struct.pack("<BBBHHHi", 1, 1, 2, 512, 1, 0, 0) + bytes(320)), "LIMIT")


# Side information (c/SPECIFICATION.md, section 6).

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


def _sideinfo(maker: _Maker) -> None:
    size = (416, 240)
    for irap in (False, True):
        for name, bits, words in (
            ("off", "000", (0,)),
            ("all", f"010{0:05b}{8:04b}", (1, 0, [0], 8)),
            ("all-after-sao", f"011{31:05b}{10:04b}", (1, 1, [31], 10)),
            ("all-scale-1", f"010{3:05b}{1:04b}", (1, 0, [3], 1)),
        ):
            maker.sideinfo(f"{name}{'-irap' * irap}", header(irap) + bits, irap, size, fields_text(irap, *words))
    for n, (name, networks, log2, where, units) in enumerate(_maps()):
        irap, scale, position = n % 3 == 0, 1 + n % 10, n % 2
        indices = [(5 * n + 11 * i) % 32 for i in range(networks)]
        start = header(irap) + f"10{position}{networks - 1:02b}{''.join(f'{i:05b}' for i in indices)}{scale:04b}{log2:02b}"
        text = fields_text(irap, 2, position, indices, scale, 64 << log2, units.reshape(-1))
        for way, rest in (("coded", "0" + coded_map(units, networks)), ("raw", "1" + raw_map(units, networks))):
            if len(start + rest) <= 2048:
                maker.sideinfo(f"{way}-{name}", start + rest, irap, where, text)
    for name, irap, bits, error in _broken():
        maker.sideinfo(name, bits, irap, size, f"error {error}\n")


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


def make(folder: Path) -> Suite:
    """Write the suite into a new folder, whole or not at all. Raises VrcnnError if it cannot be written or is there already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise VrcnnError(f"{folder} exists; name a folder that does not, or an empty one")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
            target = Path(temporary) / "suite"
            target.mkdir()
            maker = _Maker(target)
            _filter_vectors(maker)
            _refused_models(maker)
            _sideinfo(maker)
            (target / INDEX).write_text(maker.suite.index(), encoding="ascii", newline="\n")
            target.replace(folder)
    except OSError as error:
        raise VrcnnError(f"cannot write {folder}: {error.strerror or error}") from None
    return Suite.load(folder)
