"""Architectures, and float networks of the kind joint as data."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import float_network
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import (
    KINDS,
    NETWORKS,
    VRCNN,
    Convolution,
    halo,
    joint,
    load_float_networks,
    macs_per_sample,
    save_float_networks,
    widened,
)

TINY = joint("fast", 16, 2)


def test_joint_architectures() -> None:
    fast, best = NETWORKS["joint-fast"], NETWORKS["joint-best"]
    assert macs_per_sample(fast) == 14_688
    assert macs_per_sample(best) == 57_024
    assert halo(fast) == halo(best) == 16
    assert fast.layers == ((Convolution(32, 3),),) * 7 + ((Convolution(4, 3), Convolution(2, 3)),)
    assert fast.added == (0, 0, 2, 0, 2, 0, 2, 0)
    assert (best.kind, best.size, best.heads, joint("fast", 16, 1, 2).layers[-1]) == (
        "joint",
        "best",
        1,
        (Convolution(8, 3), Convolution(4, 3)),
    )


def test_networks_of_both_kinds_in_a_file(tmp_path: Path) -> None:
    networks = [float_network(1), float_network(2, TINY), float_network(3, joint("best", 16, 1, 2))]
    path = tmp_path / "a.npz"
    save_float_networks(path, networks, {"set": "x"})
    again, meta = load_float_networks(path, KINDS)
    assert (meta["format"], meta["set"]) == ("vrcnn-int float 2", "x")
    for one, other in zip(again, networks, strict=True):
        assert one.architecture == other.architecture
        assert one.identity == other.identity
        for mine, yours in ((one.weights, other.weights), (one.biases, other.biases)):
            assert [array.tolist() for layer in mine for array in layer] == [array.tolist() for layer in yours for array in layer]
    with pytest.raises(VrcnnError, match=r"network 1 of .* is of the kind joint; give one of the kind luma"):
        load_float_networks(path)


def test_files_of_luma_networks_stay_as_they_were(tmp_path: Path) -> None:
    save_float_networks(tmp_path / "a.npz", [float_network(1)])
    with np.load(tmp_path / "a.npz") as arrays:
        head = json.loads(str(arrays["head"]))
    assert head["format"] == "vrcnn-int float 1"
    assert set(head["networks"][0]) == {"architecture", "bounds", "qp", "position", "tuning", "provenance", "identity"}


def test_identity_is_of_all_that_decides() -> None:
    network = float_network(2, TINY)
    others = [replace(network, size="best"), replace(network, added=(0, 0, 2, 0, 4, 0)), replace(network, added=(0,) * 6)]
    assert len({each.identity for each in (network, *others)}) == 4


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "luma"},
        {"kind": "chroma"},
        {"size": "small"},
        {"heads": 2},
        {"added": (0, 0, 3, 0, 2, 0)},
        {"added": (0, 0, 2, 0, 2, 1)},
        {"added": (0,)},
    ],
)
def test_networks_that_do_not_fit_together_are_refused(changes: dict, tmp_path: Path) -> None:
    save_float_networks(tmp_path / "a.npz", [replace(float_network(2, TINY), **changes)])
    with pytest.raises(VrcnnError):
        load_float_networks(tmp_path / "a.npz", KINDS)


def test_a_joint_network_can_be_widened() -> None:
    wide = widened(float_network(2, TINY), joint("best", 32, 2))
    assert wide.architecture == joint("best", 32, 2)
    with pytest.raises(VrcnnError, match="multiples"):
        widened(float_network(2, TINY), VRCNN)
