"""The independent implementation agrees with the oracle, the C library and both parsers of side information, also in what it refuses."""

import hashlib
import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.bitstream import sideinfo
from codec_bridge.bitstream.sideinfo import parse_planes
from codec_bridge.filter import Filter
from codec_bridge.library.conformance import CLibrary
from tests import independent
from tests.codec_bridge.bitstream.test_sideinfo import likely_map, random_info, write
from tests.support.models import extreme_network, picture, random_network, shipped
from vrcnn_int import integer
from vrcnn_int.conformance import SideinfoVector, Suite
from vrcnn_int.integer import IntegerNetwork, ModelError, ModelSet, Plane
from vrcnn_int.network import KINDS, POSITIONS, SIZES
from vrcnn_int.proofs import ProofError, prove

MODEL_ERRORS = {
    lib.VRCNN_ERROR_NOT_A_MODEL: "NOT_A_MODEL",
    lib.VRCNN_ERROR_TRUNCATED: "TRUNCATED",
    lib.VRCNN_ERROR_VERSION: "VERSION",
    lib.VRCNN_ERROR_SIZE: "SIZE",
    lib.VRCNN_ERROR_CHECKSUM: "CHECKSUM",
    lib.VRCNN_ERROR_LIMIT: "LIMIT",
    lib.VRCNN_ERROR_OVERFLOW: "OVERFLOW",
}
CONTENTS = ("random", "narrow", "constant", "zero", "max", "checkerboard")


def hidden(network: independent.Network, planes: list[Plane], depths: list[int], chroma_format: int) -> list[list[independent.Plane]]:
    first = independent.first_input(network, [plane.tolist() for plane in planes], depths, chroma_format)
    return independent.hidden_layers(network, first)


def compare(models: ModelSet, rng: np.random.Generator, size: tuple[int, int]) -> int:
    """Every network on one picture and all its layers: independent = oracle = C library. Returns the samples compared."""
    networks = independent.read_model(models.to_bytes())
    with Filter(models) as library:
        for index, network in enumerate(networks):
            depth, scale = int(rng.integers(8, 11)), int(rng.integers(1, 11))
            plane = picture(rng, str(rng.choice(CONTENTS)), *size, depth)
            found = independent.filter_picture(network, plane.tolist(), depth, scale)
            assert found == integer.filter_plane(models.networks[index], plane, depth, scale).tolist()
            assert found == library.filter_plane(plane, depth, index, scale).tolist()
            layers = integer.layer_outputs(models.networks[index], plane, depth)
            for number, values in enumerate(hidden(network, [plane], [depth], 400)):
                assert values == layers[number].tolist() == library.layer(plane, depth, index, number).tolist()
    return len(networks) * size[0] * size[1]


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 2), (10, 12)])
def test_shipped_models(size: tuple[int, int]) -> None:
    assert compare(shipped(), np.random.default_rng(size), size) == len(shipped().networks) * size[0] * size[1]


@pytest.mark.parametrize("seed", range(5))
def test_random_models(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [[(int(rng.choice([1, 3, 5])), 16) for _ in range(rng.integers(1, 4))] for _ in range(rng.integers(1, 4))]
    models = ModelSet(tuple(random_network(rng, [*shape, [(int(rng.choice([1, 3, 5])), 1)]]) for _ in range(2)))
    compare(models, rng, (int(rng.integers(1, 14)), int(rng.integers(1, 14))))


@pytest.mark.parametrize("side", ["high", "low", "zero"])
@pytest.mark.parametrize("pattern", ["high", "low", "alternating"])
def test_extreme_models(pattern: str, side: str) -> None:
    rng = np.random.default_rng(1)
    scales = ((0, 1), (15, 32767), (0, 32767), (15, 1))
    compare(ModelSet(tuple(extreme_network(pattern, side, shift, m) for shift, m in scales)), rng, (5, 7))


def compare_joint(models: ModelSet, rng: np.random.Generator, size: tuple[int, int], chroma_format: int, depths: list[int]) -> int:
    """Every network on one picture and all its layers: independent = oracle. Returns the samples compared."""
    height, width = size
    chroma = {400: [], 420: [((height + 1) // 2, (width + 1) // 2)], 422: [(height, (width + 1) // 2)], 444: [size]}[chroma_format]
    samples = 0
    for network, read in zip(models.networks, independent.read_model(models.to_bytes()), strict=True):
        shapes = zip([size, *chroma * 2], [depths[0], depths[1], depths[1]], strict=False)
        planes = [picture(rng, str(rng.choice(CONTENTS)), *shape, depth) for shape, depth in shapes]
        weights = [rng.integers(-5 if network.heads == 2 else 1, 11, network.heads).tolist() for _ in range(2)]
        given = (depths[0], depths[1]), str(chroma_format)
        found = independent.filter_planes(read, [plane.tolist() for plane in planes], depths, chroma_format, *weights)
        assert found == [plane.tolist() for plane in integer.filter_planes(network, planes, *given, *weights)]
        layers = [values.tolist() for values in integer.joint_layer_outputs(network, planes, *given)]
        assert hidden(read, planes, depths, chroma_format) == layers
        samples += sum(plane.size for plane in planes)
    return samples


def random_joint(rng: np.random.Generator, heads: int) -> IntegerNetwork:
    """Up to six layers, which add any layer that they may, or none."""
    count = int(rng.integers(1, 7))
    added = [int(rng.integers(0, min(number, 4) + 1)) for number in range(count)]
    widths = [16 * int(rng.integers(1, 3)) if back == 0 else 0 for back in added]
    for number, back in enumerate(added):
        widths[number] = widths[number] or widths[number - back]
    shape = [[(int(rng.choice([1, 3, 5])), width)] for width in widths]
    if rng.random() < 0.3:
        shape[0] = [(3, widths[0] - 16), (1, 16)] if widths[0] > 16 else shape[0]
    return random_network(rng, [*shape, [(int(rng.choice([1, 3, 5])), 1)]], added=[*added, 0], heads=heads)


@pytest.mark.parametrize("seed", range(12))
def test_random_joint_models(seed: int) -> None:
    rng = np.random.default_rng(seed)
    models = ModelSet(tuple(random_joint(rng, heads) for heads in (1, 2)))
    size = [(1, 1), (2, 2), (1, 5), (7, 4)][seed] if seed < 4 else (int(rng.integers(1, 11)), int(rng.integers(1, 11)))
    depths = rng.integers(8, 11, 2).tolist()
    assert compare_joint(models, rng, size, (420, 400, 422, 444)[seed % 4 if seed > 8 else 0], depths) >= 2 * size[0] * size[1]


@pytest.mark.parametrize("side", ["high", "low", "zero"])
@pytest.mark.parametrize("pattern", ["high", "low", "alternating"])
def test_extreme_joint_models(pattern: str, side: str) -> None:
    rng = np.random.default_rng(2)
    scales = ((0, 1), (15, 32767), (0, 32767), (15, 1), (7, 20000))
    networks = tuple(extreme_network(pattern, side, shift, m, 1 + n % 2) for n, (shift, m) in enumerate(scales))
    compare_joint(ModelSet(networks), rng, (5, 4), 420, [10, 8])


def test_chroma_of_other_depths_is_not_read() -> None:
    rng = np.random.default_rng(3)
    compare_joint(ModelSet((random_joint(rng, 2),)), rng, (4, 6), 420, [8, 12])


def test_choice_of_a_network() -> None:
    networks = independent.read_model(shipped().to_bytes())
    assert [independent.choose(networks, 0, qp) for qp in range(-12, 52)] == [shipped().index_for_qp(qp) for qp in range(-12, 52)]


def test_choice_by_kind_and_size() -> None:
    rng = np.random.default_rng(4)
    kinds = [(0, "best", 22), (1, "fast", 37), (0, "fast", 27), (1, "fast", 22), (0, "best", 32), (1, "best", 30), (0, "best", 32)]
    shape = [[(1, 16)], [(1, 1)]]
    models = ModelSet(tuple(random_network(rng, shape, qp, heads=heads, size=size) for heads, size, qp in kinds))
    networks = independent.read_model(models.to_bytes())
    for qp, kind, size in itertools.product(range(-12, 52), (0, 1), (0, 1)):
        words = POSITIONS[0], KINDS[kind], SIZES[size]
        assert independent.choose(networks, 0, qp, kind, size) == models.index_for_qp(qp, *words)


def outcome(function: Callable[[bytes], object], data: bytes, *refusals: type[Exception]) -> str:
    try:
        function(data)
        return "accepted"
    except refusals as error:
        return str(error) if isinstance(error, independent.Refused) else "refused"


def in_oracle(data: bytes) -> str:
    def read(data: bytes) -> None:
        for network in ModelSet.from_bytes(data).networks:
            prove(network)

    return outcome(read, data, ModelError, ProofError)


def in_c(data: bytes) -> str:
    out = ffi.new("VrcnnModel **")
    code = lib.vrcnn_model_load(out, ffi.from_buffer(data), len(data), ffi.NULL)
    lib.vrcnn_model_free(out[0])
    return MODEL_ERRORS[code] if code else "accepted"


def test_refused_models_of_the_suite() -> None:
    suite = Suite.load()
    for vector in suite.refused:
        data = suite.path(vector.model).read_bytes()
        assert outcome(independent.read_model, data, independent.Refused) == vector.error, vector.name
        assert in_c(data) == vector.error, vector.name
        assert in_oracle(data) == "refused", vector.name
    assert {vector.error for vector in suite.refused} == set(MODEL_ERRORS.values())


@pytest.mark.parametrize("seed", range(4))
def test_damaged_models(seed: int) -> None:
    """Damage with the identity and often the size made right again: the same error in all, of every kind."""
    rng = np.random.default_rng(seed)
    good = ModelSet((random_network(rng, [[(3, 16), (1, 32)], [(1, 1)]]), random_network(rng, [[(1, 16)], [(1, 1)]]))).to_bytes()
    found = set()
    for _ in range(300):
        body = bytearray(good[:-32])
        for _ in range(rng.integers(1, 4)):
            at = int(rng.choice([rng.integers(40), rng.integers(len(body))]))
            body[at] = int(rng.choice([0, 1, body[at] ^ 1, 127, 128, 255, rng.integers(256)]))
        if rng.random() < 0.3:
            body = body[: rng.integers(len(body))] if rng.random() < 0.5 else body + bytes(rng.integers(1, 50))
        if rng.random() < 0.8 and len(body) >= 16:
            body[12:16] = struct.pack("<I", len(body) + 32)
        data = bytes(body) + hashlib.sha256(body).digest() if rng.random() < 0.9 else bytes(body)
        word = outcome(independent.read_model, data, independent.Refused)
        found.add(word)
        assert in_c(data) == word
        assert in_oracle(data) == ("accepted" if word == "accepted" else "refused")
    assert found >= {"accepted", "NOT_A_MODEL", "VERSION", "SIZE", "LIMIT"}


@pytest.mark.parametrize("seed", range(4))
def test_damaged_models_of_format_2(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = random_network(rng, [[(1, 16)], [(3, 16)], [(1, 1)]], added=(0, 1, 0))
    joint = [random_network(rng, [*[[(1, 16)]] * 4, [(1, 1)]], added=(0, 1, 1, 3, 0), heads=heads) for heads in (1, 2)]
    networks = [joint[0], replace(plain, size="fast"), joint[1], plain]
    good = ModelSet(tuple(networks[seed:] + networks[:seed])).to_bytes()
    found = set()
    for _ in range(200):
        body = bytearray(good[:-32])
        body[8 if rng.random() < 0.05 else rng.integers(8, 45)] = rng.choice([0, 1, 2, 3, 4, 5, 255, rng.integers(256)])
        data = bytes(body) + hashlib.sha256(body).digest()
        word = outcome(independent.read_model, data, independent.Refused)
        found.add(word)
        assert in_c(data) == word
        assert in_oracle(data) == ("accepted" if word == "accepted" else "refused")
    assert found >= {"accepted", "VERSION", "SIZE", "LIMIT"}


def test_bounds_to_the_unit() -> None:
    """Biases at the bound are accepted, one beyond is an overflow: in each implementation."""
    for pattern in ("high", "low", "alternating"):
        for side in ("high", "low"):
            models = ModelSet((extreme_network(pattern, side, 3, 700),))
            assert in_c(models.to_bytes()) == in_oracle(models.to_bytes()) == "accepted"
            independent.read_model(models.to_bytes())
            for layer, branch in ((0, 0), (1, 1), (2, 0)):
                networks = ModelSet((extreme_network(pattern, side, 3, 700),)).networks
                bias = networks[0].layers[layer][branch].bias
                if bias[-1] == -(1 << 31):  # nothing is beyond it
                    continue
                bias[-1] += 1 if side == "high" else -1
                data = ModelSet(networks).to_bytes()
                assert outcome(independent.read_model, data, independent.Refused) == in_c(data) == "OVERFLOW"
                assert in_oracle(data) == "refused"


# Side information.


def texts(data: bytes, irap: bool, width: int, height: int, version: Literal[1, 2] = 1) -> list[str]:
    """The lines of section 9: independent, C library, parser in Python."""
    from tests.independent_program import sideinfo as independent_text

    vector = SideinfoVector("", data.hex(), irap, width, height, "", version)
    return [
        independent_text(width, height, irap, version, data),
        CLibrary.sideinfo(CLibrary.__new__(CLibrary), vector),
        python_text(vector),
    ]


def python_text(vector: SideinfoVector) -> str:
    names = {
        sideinfo.ForeignError: "FOREIGN",
        sideinfo.VersionError: "VERSION",
        sideinfo.TruncatedError: "TRUNCATED",
        sideinfo.SyntaxElementError: "SYNTAX",
    }
    try:
        info = parse_planes(bytes.fromhex(vector.data), vector.irap, vector.width, vector.height, vector.version)
    except sideinfo.SideinfoError as error:
        return f"error {names[type(error)]}\n"
    lines = [] if info.identity is None else [f"model_set_identity {info.identity.hex()}"]
    if info.version == 2:
        return "".join(f"{line}\n" for line in (*lines, *plane_lines(info)))
    lines += [f"filter_mode {sideinfo.MODES.index(info.mode)}", f"filter_position {POSITIONS.index(info.position)}"]
    lines += [f"network_index {' '.join(map(str, info.indices))}", f"output_scale {info.scale}"] if info.mode != "off" else []
    if info.units is not None:
        lines += [f"UnitSize {info.unit_size}", f"unit_choice {' '.join(map(str, info.units.reshape(-1)))}"]
    return "".join(f"{line}\n" for line in lines)


def plane_lines(info: sideinfo.Sideinfo) -> Iterator[str]:
    yield f"luma_mode {sideinfo.MODES.index(info.mode)}"
    yield f"chroma_mode {sideinfo.MODES.index(info.chroma_mode) + info.shares_map}"
    if not info.filters:
        return
    yield f"filter_position {POSITIONS.index(info.position)}"
    yield f"network_index {' '.join(map(str, info.indices))}"
    yield f"heads {' '.join(str(len(weights)) for weights in info.luma_weights)}"
    for name, mode, listed in (("luma", info.mode, info.luma_weights), ("chroma", info.chroma_mode, info.chroma_weights)):
        if mode != "off":
            yield f"{name}_weights {' '.join(','.join(map(str, weights)) for weights in listed)}"
    own = None if info.shares_map else info.chroma_units
    for name, units, size in (("luma", info.units, info.unit_size), ("chroma", own, info.chroma_unit_size)):
        if units is not None:
            yield f"{name}_UnitSize {size}"
            yield f"{name}_unit_choice {' '.join(map(str, units.reshape(-1)))}"


def test_side_information_of_the_suite() -> None:
    for vector in Suite.load().sideinfo:
        found = texts(bytes.fromhex(vector.data), vector.irap, vector.width, vector.height, vector.version)
        assert found == [vector.text] * 3, vector.name


@pytest.mark.parametrize("seed", range(3))
def test_random_and_damaged_side_information(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found = set()
    for _ in range(400):
        width, height = (int(n) for n in rng.integers(1, 1500, 2))
        info = random_info(rng, width, height)
        data = write(info, width, height)
        if isinstance(data, int):
            continue
        cut, noise = data[: rng.integers(len(data) + 1)], rng.bytes(int(rng.integers(40)))
        for damaged in (data, cut, data + rng.bytes(1), _flipped(data, rng), noise):
            words = texts(damaged, info.identity is not None, width, height)
            assert words[0] == words[1] == words[2]
            found.add(words[0].split("\n")[0] if words[0].startswith("error") else "accepted")
    assert found == {"accepted", "error FOREIGN", "error VERSION", "error TRUNCATED", "error SYNTAX"}


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(8 * len(data)))
    return data[: at // 8] + bytes([data[at // 8] ^ 1 << at % 8]) + data[at // 8 + 1 :]


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("mode", ["off", "all", "map"])
def test_decoded_picture(mode: str, position: int) -> None:
    """Section 8, with lossless blocks, against the library's unit maps."""
    rng = np.random.default_rng([position, len(mode)])
    models = ModelSet(tuple(random_network(rng, [[(3, 16)], [(1, 1)]]) for _ in range(3)))
    networks = independent.read_model(models.to_bytes())
    height, width, depth, scale = 70, 130, 9, 6
    rec, deblocked, sao = (picture(rng, "random", height, width, depth) for _ in range(3))
    kept = rng.integers(0, 8, (height, width)) == 0
    info: dict[str, Any] = {"filter_mode": ("off", "all", "map").index(mode), "filter_position": position if mode != "off" else 0}
    source, base = (sao, sao) if position else (rec, deblocked)
    expected = sao
    if mode != "off":
        units = likely_map(rng, (2, 3), 2, 0.3) if mode == "map" else np.ones((2, 3), np.uint8)
        indices = [2, 0] if mode == "map" else [1]
        info |= {"network_index": indices, "output_scale": scale}
        info |= {"UnitSize": 64, "unit_choice": units.reshape(-1).tolist()} if mode == "map" else {}
        with Filter(models) as library:
            expected = library.filter_units(source, depth, indices, units, 64, scale, base)
        expected = np.where(kept, rec, expected)
    found = independent.decoded(info, networks, depth, rec.tolist(), deblocked.tolist(), sao.tolist(), kept.tolist())
    assert found == expected.tolist()
