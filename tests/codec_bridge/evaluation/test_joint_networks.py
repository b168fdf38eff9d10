"""Evaluations with joint networks: all planes filtered, in integers and in floating point, checked, and kept under keys of their own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codec_bridge.codecs import decoder, pyav
from codec_bridge.codecs.hm.codec import Hm
from codec_bridge.evaluation import cluster, jobs
from codec_bridge.evaluation.filtering import picture_filters
from codec_bridge.evaluation.plan import Plan, load
from codec_bridge.evaluation.settings import Settings, check_settings
from codec_bridge.evaluation.store import Store
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import media
from tests.support.models import joint_set, write_joint_set
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet, filter_planes

VARIANTS = ("anchor", "none", "integer", "float")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch", reason="float networks need torch: pip install 'vrcnn-int[train]'")
    path = tmp_path_factory.mktemp("joint") / "joint.vrcnn"
    write_joint_set(path)
    return path


@pytest.fixture(scope="module")
def rows(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """By variant, at QP 37, of two 60x36 pictures, which are coded as 64x48."""
    folder = tmp_path_factory.mktemp("rows")
    write_y4m(folder / "cat.y4m", media.pictures(2, 60, 36), 25)
    settings = Settings(qps=(37,), variants=VARIANTS, model=model, check=True, network_size="fast", preset="ultrafast")
    check_settings(settings)
    found = cluster.evaluate(Plan(resolve(folder / "cat.y4m"), (settings,)), Store(folder / "results")).rows
    assert [row.flag for row in found] == [None] * 4
    return {row.variant: row.figures for row in found}


def test_all_planes_are_filtered_and_measured(rows: dict[str, Any], model: Path) -> None:
    originals = media.pictures(2, 60, 36)
    coded = pyav.encode(originals, 37, filters=False, preset="ultrafast")
    network = ModelSet.load(model).networks[0]
    levels = []
    for picture, original in zip(decoder.decode(coded.data, cropping=False), originals, strict=True):
        filtered = picture.with_planes(filter_planes(network, picture.planes, (8, 8)))
        levels.append(picture_psnr(filtered.cropped(), original))
    assert [rows["integer"].psnr_y, rows["integer"].psnr_u, rows["integer"].psnr_v] == pytest.approx(np.mean(levels, axis=0).tolist())
    assert rows["integer"].psnr_u != rows["none"].psnr_u
    assert rows["integer"].bits == rows["none"].bits + 2 * 16
    assert rows["integer"].checked_samples == 2 * 64 * 48 * 3 // 2
    assert rows["integer"].kmac_per_sample == pytest.approx((54 * 16 + 2 * 9 * 16 * 16 + 9 * 16 * 6) / 4 / 1000)


def test_float_networks_are_near_the_integer_ones(rows: dict[str, Any]) -> None:
    for plane in ("psnr_y", "psnr_u", "psnr_v"):
        assert getattr(rows["float"], plane) == pytest.approx(getattr(rows["integer"], plane), abs=0.05)
        assert getattr(rows["float"], plane) != getattr(rows["none"], plane)


@pytest.mark.parametrize(("bit_depth", "chroma_format"), [(8, "420"), (10, "420"), (9, "422"), (8, "400")])
def test_a_picture_in_floating_point(model: Path, bit_depth: int, chroma_format: str) -> None:
    (picture,) = media.pictures(1, 50, 38, bit_depth, chroma_format)
    models = ModelSet.load(model)
    integer, floating = (picture_filters(model, models, backend=backend)(1)(picture) for backend in ("c", "float"))
    for number, (a, b, before) in enumerate(zip(integer.planes, floating.planes, picture.planes, strict=True)):
        if number and chroma_format != "420":
            assert np.array_equal(b, before)
            continue
        assert b.dtype == a.dtype
        assert not np.array_equal(b, before)
        assert np.abs(a.astype(int) - b).max() <= 2 << (bit_depth - 8)


def test_odd_sizes_in_floating_point(model: Path) -> None:
    from vrcnn_int.network import KINDS, load_float_networks
    from vrcnn_int.training.module import filter_planes_float

    rng = np.random.default_rng(3)
    planes = [rng.integers(0, 256, shape).astype(np.uint8) for shape in ((35, 49), (18, 25), (18, 25))]
    (network, *_), _ = load_float_networks(model.with_suffix(".float.npz"), KINDS)
    expected = filter_planes(ModelSet.load(model).networks[0], planes, (8, 8))
    for a, b in zip(filter_planes_float(network, planes, (8, 8)), expected, strict=True):
        assert a.shape == b.shape
        assert np.abs(a.astype(int) - b).max() <= 2


def keys_of(path: Path, **changes: Any) -> list[str]:
    plan = Plan(resolve(path), (replace(Settings(qps=(37,)), **changes),))
    return [job.key for job in jobs.expand(plan)]


def test_keys(tmp_path: Path) -> None:
    """Rows of another kind or size have another key; those without networks, and those of luma, size best, as ever."""
    write_y4m(tmp_path / "cat.y4m", media.pictures(1, 64, 48), 25)
    joint_set(luma=True).save(tmp_path / "both.vrcnn")
    usual, luma, joint, fast = (
        keys_of(tmp_path / "cat.y4m", model=tmp_path / "both.vrcnn", **changes)
        for changes in ({}, {"kind": "luma"}, {"kind": "joint"}, {"kind": "joint", "network_size": "fast"})
    )
    assert usual == luma
    assert usual[:2] == joint[:2] == fast[:2]
    assert len({usual[2], joint[2], fast[2]}) == 3


def test_which_networks_filter(tmp_path: Path) -> None:
    both, joint = joint_set(luma=True), joint_set()
    assert Settings().network_in(both, 37) == 0
    assert Settings().network_in(joint, 37) == 3
    assert Settings(network_size="fast").network_in(joint, 37) == 2
    assert [Settings(kind="joint", network_size=size).network_in(both, 30) for size in ("fast", "best")] == [1, 2]
    assert (both.kinds, joint.kinds) == (("luma", "joint"), ("joint",))
    with pytest.raises(VrcnnError, match="no luma network"):
        Settings(kind="luma").network_in(joint, 37)


def test_what_joint_networks_cannot_do_is_refused(tmp_path: Path) -> None:
    joint_set().save(tmp_path / "joint.vrcnn")
    clip = tmp_path / "cat.y4m"
    write_y4m(clip, media.pictures(1, 64, 48), 25)
    for settings, said in (
        (Settings(kind="chroma"), "unknown kind 'chroma'; there are luma and joint"),
        (Settings(network_size="small"), "unknown network size 'small'; there are fast and best"),
        (Settings(variants=("anchor", "choice"), kind="joint"), "variant choice is for luma networks"),
        (Settings("hm", variants=("anchor", "choice"), kind="joint"), "variant choice is for luma networks"),
    ):
        with pytest.raises(VrcnnError, match=said):
            Plan(resolve(clip), (settings,))
    Plan(resolve(clip), (Settings("hm", variants=("anchor", "map"), kind="joint"),))
    hm = Settings("hm", variants=("anchor", "map"), qps=(37,))
    hm.refuse_models(joint_set())
    replace(hm, kind="joint").refuse_models(joint_set(luma=True))
    with pytest.raises(VrcnnError, match="variant map takes the joint networks of a set that has them"):
        hm.refuse_models(joint_set(luma=True))
    with pytest.raises(VrcnnError, match="variant choice is for luma networks"):
        check_settings(Settings(variants=("anchor", "choice"), model=tmp_path / "joint.vrcnn"))
    with pytest.raises(VrcnnError, match="no luma network"):
        check_settings(Settings(model=tmp_path / "joint.vrcnn", kind="luma"))


def test_codecs_whose_filter_takes_luma_networks_only(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings("hm", variants=("anchor", "map"), kind="joint")
    settings.refuse()
    monkeypatch.setattr(Hm, "joint", False)
    with pytest.raises(VrcnnError, match="variant map is for luma networks in codec hm: joint ones filter decoded pictures everywhere"):
        settings.refuse()
    replace(settings, kind=None, qps=(37,)).refuse_models(joint_set(luma=True))


def test_a_plan_names_kind_and_size(tmp_path: Path) -> None:
    joint_set().save(tmp_path / "joint.vrcnn")
    write_y4m(tmp_path / "cat.y4m", media.pictures(1, 64, 48), 25)
    (tmp_path / "plan.toml").write_text('sequences = ["cat.y4m"]\nmodel = "joint.vrcnn"\nkind = "joint"\nnetwork_size = "fast"\n')
    plan = load(tmp_path / "plan.toml")
    assert (plan.runs[0].kind, plan.runs[0].network_size) == ("joint", "fast")
    facts = jobs.facts(plan, jobs.expand(plan))
    assert (facts["kind"], facts["network_size"]) == ("joint", "fast")
    assert "kind" not in jobs.facts(Plan(plan.sequences, (Settings(),)), [])


def test_pictures_with_other_planes_stay_what_they_are() -> None:
    (picture,) = media.pictures(1, 16, 16)
    other = replace(picture, crop=(2, 0, 0, 2)).with_planes(picture.planes)
    assert isinstance(other, Picture)
    assert other.crop == (2, 0, 0, 2)
