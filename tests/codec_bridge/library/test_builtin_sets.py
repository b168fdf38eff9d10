"""The model sets that are compiled in: found by name, and by a stream's identity."""

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.filter import Filter
from codec_bridge.library.decider import Decider, PlaneDecider
from tests.codec_bridge.library.test_receiver import Receiver
from tests.support.models import picture
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, set_names


def identity(model: object) -> str:
    data = ffi.new("uint8_t[32]")
    assert lib.vrcnn_model_id(model, data) == 0
    return bytes(data).hex()


def test_every_shipped_set_is_built_in_under_its_name() -> None:
    names = [ffi.string(lib.vrcnn_builtin_name(number)).decode() for number in range(len(set_names()))]
    assert tuple(names) == set_names() == ("joint_inter", "joint_intra", "joint_post", "vrcnn_intra")
    size = ffi.new("size_t *")
    for name in names:
        file = lib.vrcnn_builtin_file(name.encode(), size)
        assert bytes(ffi.buffer(file, size[0])) == builtin_path(name).read_bytes()
        assert Filter(name).identity == ModelSet.load(builtin_path(name)).identity


def test_there_are_no_others() -> None:
    assert lib.vrcnn_builtin_name(-1) == lib.vrcnn_builtin_name(len(set_names())) == ffi.NULL
    size = ffi.new("size_t *", 5)
    for name in (b"", b"joint", b"joint_intra.vrcnn", ffi.NULL):
        assert lib.vrcnn_builtin_file(name, size) == ffi.NULL
    assert lib.vrcnn_builtin_file(b"joint_intra", ffi.NULL) == ffi.NULL
    assert size[0] == 5


def test_the_set_without_a_name_stays_the_first_one() -> None:
    out = ffi.new("VrcnnModel **")
    for position in (lib.VRCNN_BEFORE_DEBLOCKING, lib.VRCNN_AFTER_SAO):
        assert lib.vrcnn_model_builtin(out, position) == 0
        assert identity(out[0]) == ModelSet.load(builtin_path("vrcnn_intra")).identity
        lib.vrcnn_model_free(out[0])


def side_information(name: str) -> bytes:
    """Of an IRAP picture that a network of a built-in set improves."""
    rng = np.random.default_rng(5)
    flat = [picture(rng, "random", *shape, 8) // 64 + 100 for shape in ((64, 96), (32, 48), (32, 48))]
    model = builtin_path(name).read_bytes()
    with Filter(name) as filter_:
        position = filter_.networks[0].position
        index = filter_.index_for_qp(37, position, filter_.networks[0].kind)
        original = filter_.filter_planes(flat, (8, 8), index)
    if name == "vrcnn_intra":
        with Decider(96, 64, model) as decider:
            return decider.decide(original[0], flat[0], flat[0], 8, qp=37, lam=0.0, ordinary_cost=1e9, is_irap=True).data
    with PlaneDecider(96, 64, model) as decider:
        return decider.decide(original, flat, flat, (8, 8), position=position, qp=37, lam=0.0, costs=(1e9, 1e9), is_irap=True).data


@pytest.mark.parametrize("name", set_names())
def test_a_decoder_finds_the_set_by_the_stream(name: str) -> None:
    data = side_information(name)
    assert data
    out = ffi.new("VrcnnReceiver **")
    assert lib.vrcnn_receiver_open(out, ffi.NULL, ffi.NULL, 0) == 0
    opened = Receiver(out[0])
    assert opened.picture(data, True, (96, 64)) == "OK"
    assert opened.filter(*[tuple(np.zeros(shape, np.uint8) for shape in ((64, 96), (32, 48), (32, 48))) for _ in range(2)]) == "OK"
    assert identity(lib.vrcnn_receiver_model(out[0])) == ModelSet.load(builtin_path(name)).identity
    lib.vrcnn_receiver_close(out[0])
