"""The shipped model sets: found by name, and by a stream's identity. Those of the C library are tested in c/tests."""

import numpy as np
import pytest
from codec_bridge.library._vrcnn import ffi, lib

from codec_bridge.filter import Filter
from codec_bridge.library.decider import Decider, PlaneDecider
from tests.codec_bridge.library.test_receiver import Receiver
from tests.support.models import picture
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, set_names


def test_every_shipped_set_has_its_name() -> None:
    joint = ("joint_best", "joint_inter", "joint_inter_best", "joint_intra", "joint_post", "joint_sao", "joint_sao_best")
    assert set_names() == (*joint, "vrcnn_borders", "vrcnn_intra")
    for name in set_names():
        assert Filter(name).identity == ModelSet.load(builtin_path(name)).identity
    assert Filter().identity == Filter("vrcnn_intra").identity


def test_the_extension_has_no_set_of_its_own() -> None:
    """It would be in every wheel a second time."""
    assert lib.vrcnn_builtin_name(0) == ffi.NULL
    assert lib.vrcnn_builtin_file(b"vrcnn_intra", ffi.new("size_t *")) == ffi.NULL
    assert lib.vrcnn_model_builtin(ffi.new("VrcnnModel **"), lib.VRCNN_BEFORE_DEBLOCKING) != 0


def side_information(name: str) -> bytes:
    """Of an IRAP picture that a network of a built-in set improves."""
    rng = np.random.default_rng(5)
    flat = [picture(rng, "random", *shape, 8) // 64 + 100 for shape in ((64, 96), (32, 48), (32, 48))]
    model = builtin_path(name).read_bytes()
    with Filter(name) as filter_:
        position = filter_.networks[0].position
        index = filter_.index_for_qp(37, position, filter_.networks[0].kind)
        original = filter_.filter_planes(flat, (8, 8), index)
    if name.startswith("vrcnn"):
        with Decider(96, 64, model) as decider:
            return decider.decide(original[0], flat[0], flat[0], 8, qp=37, lam=0.0, ordinary_cost=1e9, is_irap=True).data
    with PlaneDecider(96, 64, model) as decider:
        return decider.decide(original, flat, flat, (8, 8), position=position, qp=37, lam=0.0, costs=(1e9, 1e9), is_irap=True).data


@pytest.mark.parametrize("name", set_names())
def test_a_decoder_takes_the_set_by_the_stream(name: str) -> None:
    data = side_information(name)
    assert data
    out = ffi.new("VrcnnReceiver **")
    model = builtin_path(name).read_bytes()
    assert lib.vrcnn_receiver_open(out, ffi.NULL, model, len(model)) == 0
    opened = Receiver(out[0])
    assert opened.picture(data, True, (96, 64)) == "OK"
    assert opened.filter(*[tuple(np.zeros(shape, np.uint8) for shape in ((64, 96), (32, 48), (32, 48))) for _ in range(2)]) == "OK"
    digest = ffi.new("uint8_t[32]")
    assert lib.vrcnn_model_id(lib.vrcnn_receiver_model(out[0]), digest) == 0
    assert bytes(digest).hex() == ModelSet.load(builtin_path(name)).identity
    lib.vrcnn_receiver_close(out[0])
