"""Models of the conformance suite that must be refused (c/SPECIFICATION.md, section 4.1)."""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from vrcnn_int.conformance.networks import INT32, extreme_network
from vrcnn_int.integer import Branch, ModelSet


def refused_models() -> Iterator[tuple[str, bytes, str]]:
    """Name, file and error (section 4.1) of all of them."""
    yield from _version_1()
    yield from _version_2()


def _sealed(body: bytes) -> bytes:
    """A file with its size and identity put right."""
    body = body[:12] + struct.pack("<I", len(body) + 32) + body[16:]
    return body + hashlib.sha256(body).digest()


def _patched(good: bytes, layout: str, offset: int, *values: int) -> bytes:
    body = bytearray(good[:-32])
    struct.pack_into(layout, body, offset, *values)
    return bytes(body) + hashlib.sha256(body).digest()


def _version_1() -> Iterator[tuple[str, bytes, str]]:
    """A set of one network of two 1x1 layers, with one thing wrong at a time."""
    good = ModelSet((extreme_network("high", "zero", 0, 2, 512, ([(1, 16)], [(1, 1)])),)).to_bytes()
    patched = partial(_patched, good)
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
        "no-network-bytes": (_sealed(good[:16]), "SIZE"),
        "layer-missing": (_sealed(good[:109]), "SIZE"),
        "branch-cut": (_sealed(good[:28]), "SIZE"),
        "weights-cut": (_sealed(good[:-33]), "SIZE"),
        "byte-left": (_sealed(good[:-32] + b"\0"), "SIZE"),
        "network-missing": (_sealed(good[:10] + b"\2\0" + good[12:-32]), "SIZE"),
    }
    for name, (data, error) in plain.items():
        yield name, data, error
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
            yield f"{name}-{value}", patched(layout, offset, value), "LIMIT"
    # Beyond the bound by one: weights of 127 on inputs -128 .. 127, then 16 of them on 0 .. 127; the rounding terms are 2.
    yield "accumulator-high", patched("<i", 29, INT32 - 1 - 2 - 127 * 127 + 1), "OVERFLOW"
    yield "accumulator-low", patched("<i", 89, -INT32 + 127 * 128 - 1), "OVERFLOW"
    yield "last-accumulator-high", patched("<i", 118, INT32 - 1 - 2 - 16 * 127 * 127 + 1), "OVERFLOW"
    wide = [Branch(1, 0, 1, np.ones((80, 1, 1, 1), np.int8), np.zeros(80, np.int32))] * 4
    body = good[:20] + b"\4" + b"".join(struct.pack("<BBHHH", 1, 0, 1, 80, 0) + b.bias.tobytes() + b.weights.tobytes() for b in wide)
    yield "320-channels", _sealed(body + struct.pack("<BBBHHHi", 1, 1, 2, 512, 1, 0, 0) + bytes(320)), "LIMIT"


def _version_2() -> Iterator[tuple[str, bytes, str]]:
    """A set of one network of three 1x1 layers, the second of which adds the first, with one thing wrong at a time: of the kind luma, and
    of the kind joint with two heads."""
    for kind, heads in (("luma", 0), ("joint", 2)):
        network = extreme_network("high", "zero", 0, 2, 512, ([(1, 16)], [(1, 16)], [(1, 1)]), heads=heads)
        good = ModelSet((replace(network, size="fast", added=(0, 1, 0)),)).to_bytes()
        yield from ((f"{kind}-{name}", data, error) for name, data, error in (_joint(good) if heads else _luma(good)))
    network = replace(extreme_network("high", "zero", 0, 2, 512, [*[[(1, 16)]] * 6, [(1, 1)]]), added=(0, 0, 0, 0, 0, 4, 0))
    yield "luma-added-beyond-four", _patched(ModelSet((network,)).to_bytes(), "<B", 1435, 5), "LIMIT"
    network = replace(extreme_network("high", "zero", 0, 2, 512, ([(1, 32)], [(1, 16)], [(1, 16)], [(1, 1)])), added=(0, 0, 1, 0))
    yield "luma-added-of-other-channels", _patched(ModelSet((network,)).to_bytes(), "<B", 781, 2), "LIMIT"


def _fields(good: bytes, fields: Iterable[tuple[str, str, int, Sequence[int]]]) -> Iterator[tuple[str, bytes, str]]:
    """Values outside their range: of each field its name, layout, offset, and wrong values."""
    for name, layout, offset, wrong in fields:
        for value in wrong:
            yield f"{name}-{value}", _patched(good, layout, offset, value), "LIMIT"


def _luma(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Offsets: network 16, layers 24, 114, 444; the end 474."""
    for name, end in (("network-cut", 23), ("layer-cut", 25), ("branch-cut", 33), ("weights-cut", 473)):
        yield name, _sealed(good[:end]), "SIZE"
    yield "byte-left", _sealed(good[:-32] + b"\0"), "SIZE"
    fields = (
        ("kind", "<B", 19, (2, 255)),
        ("size_class", "<B", 20, (2, 255)),
        ("heads", "<B", 21, (0, 2)),
        ("reserved_zero", "<H", 22, (1, 256)),
        ("added-by-the-first", "<B", 25, (1,)),
        ("added-before-the-first", "<B", 115, (2, 255)),
        ("branches-of-a-layer-that-adds", "<B", 114, (2,)),
        ("added-by-the-last", "<B", 445, (1,)),
        ("last-branch_count", "<B", 444, (2,)),
    )
    yield from _fields(good, fields)
    plainer = _patched(good, "<B", 115, 0)  # adds nothing, and then is of size best: a network for version 1
    yield "not-canonical", _patched(plainer, "<B", 20, 1), "LIMIT"


def _joint(good: bytes) -> Iterator[tuple[str, bytes, str]]:
    """Offsets: network 16, layers 24, 194, 524, the last one's second branch 694, the end 782."""
    for name, end in (("network-cut", 23), ("branch-cut", 530), ("second-branch-cut", 700)):
        yield name, _sealed(good[:end]), "SIZE"
    fields = (
        ("nominal_qp", "<b", 16, (-13, 52)),
        ("position", "<B", 17, (2,)),
        ("layer_count", "<B", 18, (1, 33)),
        ("heads", "<B", 21, (0, 1, 3)),
        ("added-by-the-last", "<B", 525, (1,)),
        ("weight", "<b", 34 + 64, (-128,)),
        ("last-branch_count", "<B", 524, (1, 3)),
        ("last-kernel_size", "<B", 526, (4,)),
        ("last-output_channels", "<H", 530, (4, 6, 16)),
        ("last-second-kernel_size", "<B", 694, (2,)),
        ("last-second-s1", "<B", 695, (1, 16)),
        ("last-second-m", "<H", 696, (511, 1024)),
        ("last-second-output_channels", "<H", 698, (2, 8)),
        ("last-second-reserved_zero", "<H", 700, (1,)),
        ("last-second-weight", "<b", 702 + 16, (-128,)),
    )
    yield from _fields(good, fields)
    other = good[:694] + b"\3" + good[695 : 702 + 16] + bytes(4 * 16 * 9)  # second branch: biases, and weights of 3x3
    yield "last-second-kernel_size-3", _sealed(other), "LIMIT"
    # Beyond the bound by one: six inputs of -128 .. 127, then 16 of 0 .. 127; the rounding terms are 2.
    yield "accumulator-high", _patched(good, "<i", 34, INT32 - 1 - 2 - 6 * 127 * 127 + 1), "OVERFLOW"
    yield "accumulator-low", _patched(good, "<i", 34, -INT32 + 6 * 127 * 128 - 1), "OVERFLOW"
    yield "last-second-accumulator-high", _patched(good, "<i", 702 + 12, INT32 - 1 - 2 - 16 * 127 * 127 + 1), "OVERFLOW"
