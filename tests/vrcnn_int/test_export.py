"""C header and binary model."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import random_network
from vrcnn_int.errors import VrcnnError
from vrcnn_int.export import KEYWORDS, c_header, write_c_header
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import load_float_networks
from vrcnn_int.proofs import prove
from vrcnn_int.quantize.plan import to_integer


def test_header_holds_the_binary_model() -> None:
    models = ModelSet((random_network(np.random.default_rng(1)),))
    text = re.sub(r"/\*.*?\*/", "", c_header(models, "some_model"), flags=re.DOTALL)
    size, body = re.search(r"some_model\[(\d+)\] = \{(.*)\};", text, re.DOTALL).groups()
    data = bytes(int(number) for number in re.findall(r"\d+", body))
    assert len(data) == int(size)
    assert data == models.to_bytes()


def test_bad_names_are_refused(tmp_path: Path) -> None:
    models = ModelSet((random_network(np.random.default_rng(1)),))
    with pytest.raises(VrcnnError, match="C identifier"):
        c_header(models, "no-name")
    for name in (*KEYWORDS, "_Bool", "_Generic", "__x", "_X"):
        with pytest.raises(VrcnnError, match=f"'{name}' is a word of C or C.. itself; give another --name"):
            c_header(models, name)
    for name in ("int_", "Int", "_x", "a__b", "x1", "integer"):
        assert f"unsigned char {name}[" in c_header(models, name)
    with pytest.raises(VrcnnError, match="cannot write"):
        write_c_header(models, "name", tmp_path / "missing" / "name.h")
    assert list(tmp_path.iterdir()) == []


def test_shipped_set_is_proven_and_complete() -> None:
    models = ModelSet.load(builtin_path())
    before = [network.qp for network in models.networks if network.position == "before_deblocking"]
    assert before[:4] == [22, 27, 32, 37], "first those that filter whole pictures"
    assert Counter(before) == dict.fromkeys(before[:4], 3), "then two specialists for each"
    assert [(network.qp, network.position) for network in models.networks[12:]] == [(qp, "after_sao") for qp in before[:4]]
    for network in models.networks:
        assert len(prove(network)) == 6


def test_shipped_record_belongs_to_the_set() -> None:
    """How each network was trained, with the losses that `vrcnn-int reproduce` compares with."""
    models = ModelSet.load(builtin_path())
    record = json.loads(builtin_path().with_suffix(".json").read_text())
    assert record["identity"] == models.identity
    assert [run["qp"] for run in record["networks"]] == [network.qp for network in models.networks]
    for run in [*record["networks"], *record["starts"]]:
        assert sum(step <= 200 for step, _ in run["losses"]) >= 4, "enough to compare the first 200 steps"
        assert run["settings"]["seed"] == 1
        assert run["validation"]


def test_shipped_float_networks_belong_to_the_set() -> None:
    models = ModelSet.load(builtin_path())
    networks, meta = load_float_networks(float_path(builtin_path()))
    assert meta["set"] == models.identity
    assert [network.qp for network in networks] == [network.qp for network in models.networks]
    for network, integer in zip(networks, models.networks, strict=True):
        assert network.architecture == integer.architecture
        # The float network and the tuned one come from the same run: their integer weights are near each other.
        plain = to_integer(network)
        for ours, tuned in zip(plain.layers, integer.layers, strict=True):
            for a, b in zip(ours, tuned, strict=True):
                assert np.corrcoef(a.weights.ravel(), b.weights.ravel())[0, 1] > 0.9


def test_header_of_format_2_says_what_its_bytes_are() -> None:
    joint = random_network(np.random.default_rng(2), [[(3, 16)], [(1, 16)], [(3, 1)]], added=(0, 1, 0), heads=2, size="fast")
    models = ModelSet((joint,))
    text = c_header(models, "some_model")
    plain = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    assert bytes(int(number) for number in re.findall(r"\d+", plain.split("{")[1])) == models.to_bytes()
    for comment in (
        "3 layers, joint, fast, 2 heads",
        "layer 2: 1 branches, adds layer 1",
        "conv 3x3, 6 -> 16, s1",
        "conv 3x3, 16 -> 4, s1",
    ):
        assert comment in text
