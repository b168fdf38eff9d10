"""Model sets, float networks and pair files: what is written is read again exactly, and damage is one VrcnnError or changes nothing."""

import hashlib
import json
import re
import struct
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.fuzz.targets import attempt
from vrcnn_int.errors import VrcnnError
from vrcnn_int.export import c_header
from vrcnn_int.integer import Branch, IntegerNetwork, ModelError, ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.network import KINDS, POSITIONS, FloatNetwork, load_float_networks, save_float_networks
from vrcnn_int.proofs import ProofError, prove

Result = TypeVar("Result")


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Bytes overwritten, cut off, taken out, put in or doubled; sometimes as they were."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        more = draw(st.binary(max_size=8))
        match draw(st.sampled_from(["overwrite", "overwrite", "cut", "remove", "insert", "repeat"])):
            case "overwrite":
                changed[at : at + len(more)] = more
            case "cut":
                del changed[at:]
            case "remove":
                del changed[at : at + draw(st.integers(1, 40))]
            case "insert":
                changed[at:at] = more
            case "repeat":
                changed[at:at] = changed[at : at + draw(st.integers(1, 40))]
    return bytes(changed)


# Model sets.


@st.composite
def branches(draw: st.DrawFn, inputs: int, outputs: int, last: bool) -> Branch:
    kernel = draw(st.sampled_from([1, 3, 5] if inputs * outputs < 600 else [1]))
    shift, multiplier = draw(st.integers(2 if last else 0, 15)), draw(st.integers(512, 1023) if last else st.integers(1, 32767))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    most = draw(st.sampled_from([0, 1, 127]))
    weights = rng.integers(-most, most + 1, (outputs, inputs, kernel, kernel)).astype(np.int8)
    bias = draw(arrays.arrays(np.int32, outputs, elements=st.integers(-(10**6), 10**6)))
    return Branch(kernel, shift, multiplier, weights, bias)


@st.composite
def networks(draw: st.DrawFn) -> IntegerNetwork:
    layers, inputs = [], 1
    for _ in range(draw(st.integers(1, 3))):
        outputs = draw(st.lists(st.sampled_from([16, 32]), min_size=1, max_size=2))
        layers.append(tuple(draw(branches(inputs, count, False)) for count in outputs))
        inputs = sum(outputs)
    layers.append((draw(branches(inputs, 1, True)),))
    return IntegerNetwork(tuple(layers), draw(st.integers(-12, 51)), draw(st.sampled_from(POSITIONS)))


@st.composite
def joint_networks(draw: st.DrawFn) -> IntegerNetwork:
    heads, layers, outputs, added = draw(st.integers(1, 2)), [], [6], []
    for number in range(draw(st.integers(1, 4))):
        back = draw(st.integers(0, number))
        outputs.append(outputs[number + 1 - back] if back else draw(st.sampled_from([16, 32])))
        layers.append((draw(branches(outputs[number], outputs[-1], False)),))
        added.append(back)
    luma = draw(branches(outputs[-1], 4 * heads, True))
    chroma = replace(luma, weights=luma.weights[: 2 * heads], bias=luma.bias[: 2 * heads])
    words = draw(st.sampled_from(POSITIONS)), "joint", draw(st.sampled_from(["fast", "best"]))
    return IntegerNetwork((*layers, (luma, chroma)), draw(st.integers(-12, 51)), *words, heads, (*added, 0))


model_sets = st.lists(networks() | joint_networks(), min_size=1, max_size=2).map(lambda found: ModelSet(tuple(found)))


def resealed(data: bytes) -> bytes:
    """With the size and the SHA-256 that the format wants, so that a reader looks at the rest."""
    body = bytearray(data[:-32])
    if len(body) >= 16:
        struct.pack_into("<I", body, 12, len(body) + 32)
    return bytes(body) + hashlib.sha256(body).digest()


def in_c(data: bytes) -> bool:
    """Whether the C library takes the model."""
    model = ffi.new("VrcnnModel **")
    if lib.vrcnn_model_load(model, data, len(data), ffi.NULL):
        return False
    lib.vrcnn_model_free(model[0])
    return True


def in_python(data: bytes) -> ModelSet | None:
    """The model set, if it is one and proven."""
    models = attempt(ModelSet.from_bytes, data)
    try:
        return models if models and all(prove(network) for network in models.networks) else None
    except ProofError:
        return None


@settings(deadline=None, max_examples=60)
@given(model_sets)
def test_model_sets_are_read_as_they_were_written(models: ModelSet) -> None:
    data = models.to_bytes()
    again = ModelSet.from_bytes(data)
    assert again.to_bytes() == data
    assert again.identity == models.identity
    for one, other in zip(again.networks, models.networks, strict=True):
        assert (one.qp, one.position, one.architecture) == (other.qp, other.position, other.architecture)
        for mine, yours in zip(one.layers, other.layers, strict=True):
            for a, b in zip(mine, yours, strict=True):
                assert (a.kernel, a.shift, a.multiplier) == (b.kernel, b.shift, b.multiplier)
                np.testing.assert_array_equal(a.weights, b.weights, strict=True)
                np.testing.assert_array_equal(a.bias, b.bias, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        models.save(Path(folder) / "a.vrcnn")
        assert ModelSet.load(Path(folder) / "a.vrcnn").to_bytes() == data
    assert in_c(data)


@settings(deadline=None, max_examples=30)
@given(model_sets)
def test_the_exported_header_holds_the_model(models: ModelSet) -> None:
    text = re.sub(r"/\*.*?\*/", "", c_header(models, "name"), flags=re.S)
    numbers = re.search(r"name\[(\d+)\] = \{(.*)\}", text, re.S)
    assert numbers
    data = bytes(int(number) for number in re.findall(r"\d+", numbers[2]))
    assert data == models.to_bytes()
    assert int(numbers[1]) == len(data)


@settings(deadline=None, max_examples=200)
@given(model_sets.map(ModelSet.to_bytes), st.data())
def test_damaged_models_are_refused(data: bytes, draw: st.DataObject) -> None:
    changed = draw.draw(damaged(data))
    if changed != data:
        with pytest.raises(ModelError) as caught:
            ModelSet.from_bytes(changed)
        assert len(str(caught.value).splitlines()) == 1
        assert not in_c(changed)


@settings(deadline=None, max_examples=400)
@given(model_sets.map(ModelSet.to_bytes), st.data())
def test_resealed_damage_is_refused_or_another_model_by_both_readers(data: bytes, draw: st.DataObject) -> None:
    """What Python takes, it writes again as it was; and the C library takes the same models."""
    changed = resealed(draw.draw(damaged(data)))
    models = in_python(changed)
    assert models is None or models.to_bytes() == changed
    assert (models is not None) == in_c(changed)


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_no_model(data: bytes, magic: bool) -> None:
    changed = resealed(b"VRCNNINT\x01\x00\x01\x00" + data + bytes(36)) if magic else data
    assert (in_python(changed) is not None) == in_c(changed)


# Float networks.


@st.composite
def float_networks(draw: st.DrawFn) -> FloatNetwork:
    values = st.floats(width=32, allow_nan=False)
    weights, biases, inputs = [], [], 1
    for outputs in (*draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)), 1):
        kernel = draw(st.sampled_from([1, 3]))
        weights.append((draw(arrays.arrays(np.float32, (outputs, inputs, kernel, kernel), elements=values)),))
        biases.append((draw(arrays.arrays(np.float32, outputs, elements=values)),))
        inputs = outputs
    bounds = tuple(draw(st.floats(2**-20, 100)) for _ in weights[1:])
    qp, position = draw(st.integers(-12, 51)), draw(st.sampled_from(POSITIONS))
    tuning = draw(st.none() | st.dictionaries(st.text(max_size=3), st.integers()))
    return FloatNetwork(tuple(weights), tuple(biases), bounds, qp, position, tuning, {"a": 1})


def written(found: list[FloatNetwork]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_float_networks(Path(folder) / "a.npz", found, {"set": "é"})
        return (Path(folder) / "a.npz").read_bytes()


def read(data: bytes, reader: Callable[[Path], Result]) -> Result | None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(data)
        return attempt(reader, path)


def repacked(data: bytes, changes: dict[str, Any]) -> bytes:
    """An .npz with other arrays, None: without."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        path.write_bytes(data)
        with np.load(path) as file:
            values = {**file, **changes}
        np.savez(path, **{name: value for name, value in values.items() if value is not None})
        return path.read_bytes()


any_array = arrays.arrays(
    st.sampled_from(["u1", "i4", "i8", "f4", "f8", "?", "U3", "S2"]), arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
)
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "format", "qp", "networks"]), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=40)
@given(st.lists(float_networks(), min_size=1, max_size=2))
def test_float_networks_are_read_as_they_were_written(found: list[FloatNetwork]) -> None:
    again = read(written(found), load_float_networks)
    assert again
    assert again[1]["set"] == "é"
    for one, other in zip(again[0], found, strict=True):
        assert (one.qp, one.position, one.bounds, one.tuning, one.provenance) == (
            *(other.qp, other.position, other.bounds, other.tuning, other.provenance),
        )
        for mine, yours in ((one.weights, other.weights), (one.biases, other.biases)):
            for a, b in zip(mine, yours, strict=True):
                np.testing.assert_array_equal(a[0], b[0], strict=True)
        assert one.identity == other.identity


@settings(deadline=None, max_examples=200)
@given(float_networks().map(lambda network: written([network])), st.data())
def test_damaged_float_networks_are_refused_or_unchanged(data: bytes, draw: st.DataObject) -> None:
    again = read(draw.draw(damaged(data)), load_float_networks)
    assert again is None or written(again[0]) == data


@settings(deadline=None, max_examples=150)
@given(float_networks(), st.data())
def test_other_arrays_than_a_float_network_s_are_refused(network: FloatNetwork, draw: st.DataObject) -> None:
    data, identity = written([network]), network.identity
    name = draw.draw(st.sampled_from(["head", "network0_layer0_branch0_weight", "network0_layer1_branch0_bias"]))
    again = read(repacked(data, {name: draw.draw(st.none() | any_array)}), load_float_networks)
    assert again is None or again[0][0].identity == identity


@settings(deadline=None, max_examples=200)
@given(float_networks(), st.sampled_from(["networks", "architecture", "bounds", "qp", "position", "identity", "entry"]), any_json)
def test_other_heads_than_a_float_network_s_are_refused(network: FloatNetwork, field: str, value: Any) -> None:
    data = written([network])
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.npz").write_bytes(data)
        with np.load(Path(folder) / "a.npz") as file:
            head = json.loads(str(file["head"]))
    if field == "networks":
        head["networks"] = value
    elif field == "entry":
        head["networks"] = [value]
    else:
        head["networks"][0][field] = value
    again = read(repacked(data, {"head": np.array(json.dumps(head))}), load_float_networks)
    assert again is None or not again[0] or again[0][0].identity == network.identity


@pytest.mark.parametrize("kind", ["npy", "pickle", "folder"])
@pytest.mark.parametrize("reader", [load_float_networks, pairs.read])
def test_other_files_of_numpy_are_refused(kind: str, reader: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    if kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            np.save(file, np.array([{}] if kind == "pickle" else [1]), allow_pickle=True)
    with pytest.raises(VrcnnError, match="is a folder" if kind == "folder" and reader is pairs.read else "not a readable") as caught:
        reader(path)
    assert len(str(caught.value).splitlines()) == 1


# Pair files.


@st.composite
def pair_files(draw: st.DrawFn) -> tuple[PairFile, bytes]:
    """What is written, packed or not, and the file."""
    shapes = draw(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    recon, original = ([rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes] for _ in range(2))
    chroma = [[tuple(rng.integers(0, 256, (2, *pairs.chroma_shape(shape))).astype(np.uint8)) for shape in shapes] for _ in range(2)]
    meta = {"qp": draw(st.integers(0, 51)), "position": draw(st.sampled_from(POSITIONS))}
    source = PairFile(recon, original, meta, *(chroma if draw(st.booleans()) else ()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.npz"
        if draw(st.booleans()):
            pairs.pack(source, path)
        else:
            pairs.write(path, source.planes(), source.meta)
        return source, path.read_bytes()


PAIR_ARRAYS = ("recon", "original", "recon_chroma", "planes", "lengths", "shapes", "meta")


def check_pairs(data: bytes, source: PairFile, required: bool = False) -> None:
    again = read(data, pairs.read)
    assert again or not required
    if again:
        assert (again.qp, again.meta["position"]) == (source.qp, source.meta["position"])
        assert [again.md5_for(kind) for kind in KINDS] == [source.md5_for(kind) for kind in KINDS]
        assert [plane.shape for plane in again.recon] == [plane.shape for plane in source.recon]
        assert [plane.shape for plane in again.original] == [plane.shape for plane in source.original]


@settings(deadline=None, max_examples=60)
@given(pair_files())
def test_pair_files_are_read_as_they_were_written(found: tuple[PairFile, bytes]) -> None:
    check_pairs(found[1], found[0], required=True)


@settings(deadline=None, max_examples=200)
@given(pair_files(), st.data())
def test_damaged_pair_files_are_refused_or_unchanged(found: tuple[PairFile, bytes], draw: st.DataObject) -> None:
    check_pairs(draw.draw(damaged(found[1])), found[0])


@settings(deadline=None, max_examples=200)
@given(
    pair_files(),
    st.sampled_from(["recon", "original", "recon_chroma", "planes", "lengths", "shapes", "meta"]),
    st.none() | any_array | any_json,
)
def test_other_arrays_than_a_pair_file_s_are_refused(found: tuple[PairFile, bytes], name: str, value: Any) -> None:
    """Whatever is read has pictures of one size each and a QP."""
    if not isinstance(value, np.ndarray | None):
        value = np.array(json.dumps(value))
    again = read(repacked(found[1], {name: value}), pairs.read)
    if again:
        assert isinstance(again.qp, int)
        for recon, original in zip(again.recon, again.original, strict=True):
            assert recon.shape == original.shape
            assert recon.ndim == 2
            assert recon.dtype == original.dtype == np.uint8
