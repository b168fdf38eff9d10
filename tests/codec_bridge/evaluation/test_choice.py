"""The offline choice between networks, unfiltered samples and the anchor; streams that are kept between evaluations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.codecs import decoder, pyav
from codec_bridge.codecs.base import OFF
from codec_bridge.evaluation import cluster, jobs
from codec_bridge.evaluation.offline import squared_error
from codec_bridge.evaluation.plan import Plan, PlanError
from codec_bridge.evaluation.settings import Settings, check_settings
from codec_bridge.evaluation.store import Store
from codec_bridge.filter import Filter
from codec_bridge.library.decider import Decider
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.codec_bridge.evaluation.test_jobs import moving
from tests.support.documents import as_json, rows_of, summary_of
from tests.support.models import picture, random_network, shipped
from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet

VARIANTS = ("anchor", "none", "integer", "choice")


def evaluated(path: Path, folder: Path, **changes: Any) -> dict[tuple[str, int], dict[str, Any]]:
    settings = replace(Settings(qps=(27, 37), variants=VARIANTS, preset="ultrafast"), **changes)
    found = as_json(cluster.evaluate(Plan(resolve(path), (settings,)), Store(folder)).rows)
    assert [row["flag"] for row in found] == [None] * len(found)
    return {(row["variant"], row["qp"]): row for row in found}


def noise(count: int, width: int, height: int) -> list[Picture]:
    """Nothing that a network could restore."""
    random = np.random.default_rng(1)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return [Picture(tuple(random.integers(0, 256, shape).astype(np.uint8) for shape in shapes), 8, "420") for _ in range(count)]


def test_a_choice_is_replayed_and_pays_for_what_it_takes(tmp_path: Path) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(3, 300, 196), 25)  # 196: the last 64x64 units have four rows, and the coded height is not the picture's
    rows = evaluated(clip, tmp_path / "results", check=True)
    for qp in (27, 37):
        chosen, everywhere, none, anchor = (rows[variant, qp] for variant in ("choice", "integer", "none", "anchor"))
        assert chosen["checked_pictures"] == 3, "each compared with the oracle's replay of its side information"
        assert chosen["psnr_y"] > max(none["psnr_y"], anchor["psnr_y"])
        # Every picture is an IDR picture: seven bytes of identity, one or more of the choice, and the length of the extension.
        assert chosen["side_information_bits"] >= 3 * (8 * 8 + 7)
        assert chosen["bits"] - chosen["side_information_bits"] == none["bits"], "no picture of these is the anchor's"
        assert everywhere["bits"] - everywhere["side_information_bits"] == none["bits"]
        assert 0 < chosen["filtered_share"] <= 1


def test_where_no_network_helps_the_picture_is_the_anchor_s(tmp_path: Path) -> None:
    clip = tmp_path / "noise.y4m"
    write_y4m(clip, noise(2, 64, 64), 25)
    rows = evaluated(clip, tmp_path / "results", qps=(22,))
    chosen, anchor = rows["choice", 22], rows["anchor", 22]
    assert (chosen["psnr_y"], chosen["psnr_u"], chosen["filtered_share"]) == (anchor["psnr_y"], anchor["psnr_u"], 0)
    assert chosen["bits"] - chosen["side_information_bits"] == anchor["bits"]
    assert chosen["side_information_bits"] == 2 * (8 * 8 + 7)


@pytest.mark.parametrize("qp", [22, 27, 32, 37])
@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket", "grass"])
def test_a_decision_is_never_worse_than_one_network_everywhere(name: str, qp: int) -> None:
    (picture,) = resolve(name)[0].open(1)
    truth = np.ascontiguousarray(picture.planes[0][:256, :320])
    gray = Picture((truth,), 8, "400")
    (recon,) = decoder.decode(pyav.encode([gray], qp, filters=False).data, cropping=True)
    luma = recon.planes[0]
    lam = 0.57 * 2 ** ((qp - 12) / 3)
    with Filter() as filter_, Decider(320, 256) as decider:
        decision = decider.decide(truth, luma, luma, 8, qp=qp, lam=lam, ordinary_cost=1e12)
        wanted = (qp, "before_deblocking")
        candidates = [index for index, network in enumerate(shipped().networks) if (network.qp, network.position) == wanted]
        errors = [squared_error(Picture((filter_.filter_plane(luma, 8, index),), 8, "400"), truth) for index in candidates]
    found = squared_error(Picture((decision.luma,), 8, "400"), truth) + lam * 8 * len(decision.data)
    assert found == pytest.approx(decision.cost)
    assert found <= min(errors) + lam * 8 * 2


def test_candidates_are_of_the_same_qp_first_and_then_its_neighbours() -> None:
    """What a network made of a picture is the original: that network is chosen if it is a candidate."""
    random = np.random.default_rng(1)
    models = ModelSet(tuple(random_network(random, qp=qp) for qp in (27, 32, 22, 32, 37, 32, 27, 32)))
    source = np.clip(picture(random, "random", 96, 128, 8) // 2 + 64, 0, 255).astype(np.uint8)
    filtered = [integer.filter_plane(network, source, 8) for network in models.networks]
    assert all((filtered[i] != filtered[j]).any() for i in range(8) for j in range(i))
    wanted = {22: {2, 0}, 27: {0, 6, 2}, 32: {1, 3, 5}, 37: {4, 1}, 51: {4, 1}, 30: {1, 3, 5}}
    with Decider(128, 96, models.to_bytes()) as decider:
        for qp, candidates in wanted.items():
            found = set()
            for index, plane in enumerate(filtered):
                decision = decider.decide(plane, source, source, 8, qp=qp, lam=1.0, ordinary_cost=1e12, units=False)
                if np.array_equal(decision.luma, plane):
                    found.add(index)
            assert found == candidates, f"QP {qp}"
        with pytest.raises(VrcnnError, match="for this position"):
            decider.decide(source, source, source, 8, qp=32, lam=1.0, ordinary_cost=1e12, position="after_sao")


def test_offline_variants_are_for_all_intra(tmp_path: Path) -> None:
    from tests.support import stubs as stub_tools

    stub_tools.install(tmp_path / "hm")
    for name in ("intra", "randomaccess"):
        (tmp_path / f"hm/cfg/encoder_{name}_main.cfg").write_text("")
    for variant in ("integer", "float", "choice"):
        settings = Settings("hm", variants=("anchor", variant), folders={"hm": tmp_path / "hm"})
        assert settings.loop(variant) == OFF
        with pytest.raises(VrcnnError, match=f"variant {variant} is for configuration ai only"):
            check_settings(replace(settings, configuration="ra"))


def test_kept_streams_are_not_coded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(), 25)
    cache = tmp_path / "streams"
    first = evaluated(clip, tmp_path / "first", stream_cache=cache)
    assert len(list(cache.glob("*.hevc"))) == 4, "two kinds at two QPs"

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("coded again")

    with monkeypatch.context() as patch:
        patch.setattr(pyav, "encode", refuse)
        again = evaluated(clip, tmp_path / "second", stream_cache=cache)
    for key, row in again.items():
        same = [name for name in row if "seconds" not in name or name == "encode_seconds"]
        assert {name: row[name] for name in same} == {name: first[key][name] for name in same}
    # Another preset is another stream.
    evaluated(clip, tmp_path / "third", stream_cache=cache, preset="medium")
    assert len(list(cache.glob("*.hevc"))) == 8


def test_a_damaged_kept_stream_is_named(tmp_path: Path) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(), 25)
    cache = tmp_path / "streams"
    evaluated(clip, tmp_path / "first", stream_cache=cache)
    for path in cache.glob("*.hevc"):
        path.write_bytes(path.read_bytes()[:-1])
    plan = Plan(resolve(clip), (Settings(qps=(27, 37), variants=VARIANTS, preset="ultrafast", stream_cache=cache),))
    with pytest.raises(
        VrcnnError, match=r"is damaged \(the stream's checksum is wrong\); delete both to have it coded again, and 3 more are"
    ):
        cluster.evaluate(plan, Store(tmp_path / "second"))


def test_the_cache_is_shared_and_so_not_for_uploads(tmp_path: Path) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(), 25)
    with pytest.raises(PlanError, match="does not go with the transfer upload"):
        Plan(resolve(clip), (Settings(stream_cache=tmp_path),), transfer="upload")


def test_choices_share_their_streams_with_the_other_variants(tmp_path: Path) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(), 25)
    plan = Plan(resolve(clip), (Settings(qps=(27, 37), variants=VARIANTS),))
    assert [len(group) for group in jobs.groups(jobs.expand(plan))] == [4, 4]


def test_sequences_apart_are_measured_but_in_no_mean(tmp_path: Path) -> None:
    rows = [row for name in ("a", "b") for variant in ("anchor", "integer") for row in rows_of(name, variant)]
    rows += rows_of("lossy", "anchor") + [row | {"psnr_y": row["psnr_y"] + 1} for row in rows_of("lossy", "integer")]
    summary = summary_of(rows, apart=("lossy",))
    assert [(entry["sequence"], entry["apart"]) for entry in summary["sequences"]] == [("a", False), ("b", False), ("lossy", True)]
    mean = summary["means"][0]["variants"]["integer"]
    assert (mean["sequences"], mean["bd_rate_y"]) == (2, pytest.approx(-5))
    assert mean["gains_y"] == [[22, 0], [27, 0], [32, 0], [37, 0]]
    assert summary["sequences"][2]["variants"]["integer"]["gains_y"] == [[22, 1], [27, 1], [32, 1], [37, 1]]
    assert summary_of(rows)["means"][0]["variants"]["integer"]["sequences"] == 3


def test_a_plan_names_its_sequences_apart(tmp_path: Path) -> None:
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, moving(), 25)
    with pytest.raises(PlanError, match="there is no sequence 'dog' in the plan"):
        Plan(resolve(clip), (Settings(),), apart=("dog",))
    with pytest.raises(PlanError, match="every sequence is left out"):
        Plan(resolve(clip), (Settings(),), apart=("cat",))
