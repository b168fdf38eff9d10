"""Pair files made from folders of pictures, and packed: the same samples in half the bytes, or a stated subset. No torch here."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge import pairs as training_pairs
from codec_bridge.cli.commands import app
from codec_bridge.codecs import decoder, pyav
from codec_bridge.codecs.hm import run as hm
from codec_bridge.filter import Filter
from codec_bridge.video import catalogue
from codec_bridge.video.files import write_y4m
from codec_bridge.video.frames import picture_from_frame
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from tests.support import media, streams
from tests.support import stubs as stub_tools
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet, oracle
from vrcnn_int.io import pairs
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.models import builtin_path

SHAPES = (16, 24), (40, 8), (9, 11), (32, 32)


@pytest.fixture
def source() -> PairFile:
    """Pictures of several sizes that use all 256 values on both sides."""
    rng = np.random.default_rng(1)
    recon = [rng.integers(0, 256, shape).astype(np.uint8) for shape in SHAPES]
    original = [rng.integers(0, 256, plane.shape).astype(np.uint8) for plane in recon]
    return PairFile(recon, original, {"qp": 27, "position": "after_sao", "frames": None})


@pytest.fixture
def coloured(source: PairFile) -> PairFile:
    """The same with chroma."""
    rng = np.random.default_rng(2)
    recon, original = ([tuple(rng.integers(0, 256, (2, *pairs.chroma_shape(shape))).astype(np.uint8)) for shape in SHAPES] for _ in "12")
    return PairFile(source.recon, source.original, source.meta, recon, original)


def test_chroma_is_kept_written_and_packed(coloured: PairFile, source: PairFile, tmp_path: Path) -> None:
    pairs.write(tmp_path / "plain.npz", coloured.planes(), coloured.meta)
    pairs.pack(coloured, tmp_path / "packed.npz")
    for name in ("plain", "packed"):
        again = pairs.read(tmp_path / f"{name}.npz")
        assert (again.md5, again.md5_for("joint")) == (source.md5, coloured.md5_for("joint"))
        for found, expected in zip(again.planes(), coloured.planes(), strict=True):
            for a, b in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
                np.testing.assert_array_equal(a, b)
    assert coloured.chroma_errors[2] == pytest.approx(
        [np.mean((a.astype(float) - b) ** 2) for a, b in zip(coloured.recon_chroma[2], coloured.original_chroma[2], strict=True)]
    )


def test_pictures_without_chroma_have_grey_beside_those_with_it(coloured: PairFile, tmp_path: Path) -> None:
    first, second, *_ = coloured.planes()
    pairs.write(tmp_path / "a.npz", [first, (second[0][0], second[1][0])], coloured.meta)
    found = pairs.read(tmp_path / "a.npz")
    assert [plane.tolist() for plane in found.recon_chroma[1]] == [[[128] * 4] * 20] * 2
    assert found.chroma_errors[1] == (0, 0)
    np.testing.assert_array_equal(found.original_chroma[0][1], coloured.original_chroma[0][1])
    with pytest.raises(VrcnnError, match="pair 0: chroma must be that of 4:2:0"):
        pairs.write(tmp_path / "b.npz", [tuple((side[0], side[1][:-1], side[2]) for side in first)], coloured.meta)
    with pytest.raises(VrcnnError, match=r"pair 0: the coded picture is .* they must match"):
        pairs.write(tmp_path / "b.npz", [(first[0], first[1][0])], coloured.meta)


@pytest.mark.parametrize("model", ["joint_post", "vrcnn_intra"])
def test_pictures_are_filtered_again_and_again(coloured: PairFile, tmp_path: Path, model: str) -> None:
    made_by = {"provenance": {"command_line": ["how", "they", "were", "coded"]}}
    pairs.write(tmp_path / "a.npz", coloured.planes(), coloured.meta | made_by)
    done = CliRunner().invoke(
        app, ["pairs", "again", str(tmp_path / "a.npz"), *f"--times 2 --model {model} --out {tmp_path}/b.npz".split()]
    )
    assert done.exit_code == 0, done.output
    models = ModelSet.load(builtin_path(model))
    index = models.index_for_qp(27, "after_sao", models.networks[0].kind)
    network = models.networks[index]
    assert f"4 pictures, filtered 2 times by network {index} of set {models.identity[:16]}" in " ".join(done.output.split())
    found = pairs.read(tmp_path / "b.npz")
    about = found.meta["filtered"]
    assert about == {
        "times": 2,
        "model": models.identity,
        "network": index,
        "network_qp": network.qp,
        "kind": network.kind,
        "network_size": network.size,
        "kernel": Filter(builtin_path(model)).kernel,
        "planes": ["Y", "Cb", "Cr"] if network.kind == "joint" else ["Y"],
        "source": "a.npz",
        "source_md5": coloured.md5_for("joint"),
        "provenance": {"command_line": ["how", "they", "were", "coded"]},
    }
    assert "command_line" in found.meta["provenance"]
    assert found.meta["provenance"] != about["provenance"]
    assert ("chroma is as it was coded" in " ".join(done.output.split())) == (network.kind == "luma")
    assert (found.qp, found.meta["position"]) == (27, "after_sao")
    for (made, kept), (recon, original) in zip(found.planes(), coloured.planes(), strict=True):
        expected = recon
        for _ in range(2):
            if network.kind == "joint":
                expected = oracle.filter_planes(network, expected, (8, 8))
            else:
                expected = (oracle.filter_plane(network, expected[0], 8), *recon[1:])
        for a, b in zip((*made, *kept), (*expected, *original), strict=True):
            np.testing.assert_array_equal(a, b)
    twice = CliRunner().invoke(app, ["pairs", "again", str(tmp_path / "b.npz"), "--model", model, "--out", str(tmp_path / "c.npz")])
    assert "these pairs were filtered already" in str(twice.exception)
    assert not (tmp_path / "c.npz").exists()


def test_gains_are_told_by_ring(coloured: PairFile, tmp_path: Path) -> None:
    pairs.write(tmp_path / "a.npz", coloured.planes(), coloured.meta)
    words = ["pairs", "rings", str(tmp_path / "a.npz"), "--model", "joint_post", "--out", str(tmp_path / "rings.json")]
    done = CliRunner().invoke(app, words, catch_exceptions=False, env={"COLUMNS": "200"})
    told = json.loads((tmp_path / "rings.json").read_text())
    models = ModelSet.load(builtin_path("joint_post"))
    assert (told["model"], [row["plane"] for row in told["rows"]]) == (models.identity, ["Y", "Cb", "Cr"])
    network = models.networks[models.index_for_qp(27, "after_sao", "joint")]
    # Luma at the very edge and of the whole picture, counted another way.
    edge, whole = [], []
    for recon, original in coloured.planes():
        after = oracle.filter_planes(network, recon, (8, 8))[0].astype(int)
        inner = np.pad(np.zeros((recon[0].shape[0] - 2, recon[0].shape[1] - 2), bool), 1, constant_values=True)
        squares = [(plane.astype(int) - original[0]) ** 2 for plane in (recon[0], after)]
        edge.append(10 * np.log10(squares[0][inner].sum() / squares[1][inner].sum()))
        whole.append(10 * np.log10(squares[0].sum() / squares[1].sum()))
    luma = told["rows"][0]
    assert (luma["rings"][0], luma["all"]) == pytest.approx((np.mean(edge), np.mean(whole)))
    assert luma["rings"][-1] is None, "no picture has samples so far from its edges"
    assert f"{np.mean(edge):+.3f}" in done.output


def test_a_picture_without_errors_has_no_gain(coloured: PairFile, tmp_path: Path) -> None:
    """Neither 0 nor anything else, in any ring or over all."""
    pairs.write(tmp_path / "a.npz", [(original, original) for _, original in coloured.planes()], coloured.meta)
    words = ["pairs", "rings", str(tmp_path / "a.npz"), "--model", "joint_post", "--out", str(tmp_path / "rings.json")]
    done = CliRunner().invoke(app, words, catch_exceptions=False, env={"COLUMNS": "200"})
    for row in json.loads((tmp_path / "rings.json").read_text())["rows"]:
        assert [*row["rings"], row["all"]] == [None] * 8
    assert "0.000" not in done.output


def test_a_network_is_chosen_by_its_number(coloured: PairFile, tmp_path: Path) -> None:
    """Of joint_inter, whose first half is for inter and whose second half is for intra pictures."""
    pairs.write(tmp_path / "a.npz", coloured.planes(), coloured.meta | {"position": "before_deblocking"})
    models = ModelSet.load(builtin_path("joint_inter"))
    rings = ["pairs", "rings", str(tmp_path / "a.npz"), "--model", "joint_inter"]
    again = ["pairs", "again", str(tmp_path / "a.npz"), "--model", "joint_inter"]
    found = []
    for number, more in ((1, []), (6, ["--index", "6"])):
        out = tmp_path / f"{number}.json"
        done = CliRunner().invoke(app, [*rings, *more, "--out", str(out)], catch_exceptions=False, env={"COLUMNS": "200"})
        told = json.loads(out.read_text())
        assert (told["model"], told["kernel"]) == (models.identity, Filter(builtin_path("joint_inter")).kernel)
        (row, *_) = told["rows"]
        of = [row[key] for key in ("network", "kind", "network_size", "network_qp", "position")]
        assert of == [number, "joint", "fast", models.networks[number].qp, "before_deblocking"]
        assert ["a.npz", "27", str(number), "Y"] in [line.split()[:4] for line in done.output.splitlines()]
        found.append(row["all"])
        CliRunner().invoke(app, [*again, *more, "--out", str(tmp_path / f"{number}.npz")], catch_exceptions=False)
        file = pairs.read(tmp_path / f"{number}.npz")
        assert file.meta["filtered"]["network"] == number
        recon, _ = next(coloured.planes())
        np.testing.assert_array_equal(file.recon[0], oracle.filter_planes(models.networks[number], recon, (8, 8))[0])
    assert found[0] != found[1]
    for words, said in {
        ("--index", "8"): "the model set has no network 8; it has 0 to 7",
        ("--index", "1", "--network-size", "fast"): "--index names the network itself",
        ("--network-size", "huge"): "unknown network size 'huge'; there are fast and best",
    }.items():
        for command in (rings, [*again, "--out", str(tmp_path / "no.npz")]):
            assert said in str(CliRunner().invoke(app, [*command, *words]).exception)
    pairs.write(tmp_path / "after.npz", coloured.planes(), coloured.meta)
    refused = CliRunner().invoke(app, ["pairs", "rings", str(tmp_path / "after.npz"), "--model", "joint_inter", "--index", "1"])
    assert "network 1 is before_deblocking, the pictures are after_sao: give another --model" in str(refused.exception)
    assert not (tmp_path / "no.npz").exists()


def test_what_cannot_be_read_is_said_before_anything_is_filtered(
    coloured: PairFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs.write(tmp_path / "a.npz", coloured.planes(), coloured.meta)
    monkeypatch.setattr("codec_bridge.cli.pairs.whole_pictures", lambda *_: pytest.fail("the first file was filtered"))
    (tmp_path / "folder").mkdir()
    for name, said in {"nothing.npz": "no pair file", "folder": "is a folder; give the pair files in it"}.items():
        words = ["pairs", "rings", str(tmp_path / "a.npz"), str(tmp_path / name), "--model", "joint_post"]
        refused = CliRunner().invoke(app, words)
        assert isinstance(refused.exception, VrcnnError)
        assert said in str(refused.exception)


def test_samples_of_another_type_are_named(source: PairFile, tmp_path: Path) -> None:
    pairs.write(tmp_path / "a.npz", zip(source.recon, source.original, strict=True), source.meta)
    with np.load(tmp_path / "a.npz") as arrays:
        values = dict(arrays)
    np.savez(tmp_path / "a.npz", **(values | {"recon": values["recon"].astype(np.float32)}))
    with pytest.raises(VrcnnError, match="samples of recon are float32, not uint8"):
        pairs.read(tmp_path / "a.npz")


def test_packing_loses_nothing(source: PairFile, tmp_path: Path) -> None:
    assert pairs.pack(source, tmp_path / "packed.npz") == 4
    again = pairs.read(tmp_path / "packed.npz")
    assert again.md5 == source.md5
    assert [plane.shape for plane in again.recon] == [plane.shape for plane in source.recon]
    assert (again.qp, again.meta["position"], again.meta["subset"]) == (27, "after_sao", None)


def test_a_limit_keeps_a_stated_subset_of_the_seed(source: PairFile, tmp_path: Path) -> None:
    assert pairs.pack(source, tmp_path / "a.npz", 7000, seed=5) == 2
    assert (tmp_path / "a.npz").stat().st_size <= 7000
    found = pairs.read(tmp_path / "a.npz")
    assert found.meta["subset"] == {"of": 4, "seed": 5, "pictures": 2}
    for number, index in enumerate(np.random.default_rng(5).permutation(4)[:2]):
        np.testing.assert_array_equal(found.recon[number], source.recon[index])
        np.testing.assert_array_equal(found.original[number], source.original[index])
    with pytest.raises(VrcnnError, match="not one picture"):
        pairs.pack(source, tmp_path / "b.npz", 4096)
    assert not (tmp_path / "b.npz").exists()


def test_smooth_pictures_shrink(tmp_path: Path) -> None:
    ramp = np.add.outer(np.arange(200), np.arange(200)).astype(np.uint8)
    pairs.pack(PairFile([ramp], [ramp], {"qp": 22}), tmp_path / "packed.npz")
    assert (tmp_path / "packed.npz").stat().st_size < 4096


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ({"qp": 32}, "position is missing"),
        ({"qp": 32, "position": "foo"}, "position: "),
        ({"qp": "32", "position": "after_sao"}, "qp: '32' is not a whole number"),
        ({"qp": 52, "position": "after_sao"}, "qp: 52 is not a whole number <= 51"),
        ({"qp": 32, "position": "after_sao", "coding_errors": [1.0, 2.0]}, "coding_errors: 2 for 1 picture"),
        ({"qp": 32, "position": "after_sao", "coding_errors": [-1.0]}, "coding_errors[0]: -1.0 is not"),
    ],
)
def test_what_its_meta_values_lack_is_named_when_it_is_read(tmp_path: Path, meta: dict[str, Any], said: str) -> None:
    pairs.write(tmp_path / "a.npz", [(np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8))], meta)
    with pytest.raises(VrcnnError, match=r"a\.npz") as refused:
        pairs.read(tmp_path / "a.npz")
    assert said in str(refused.value)


def test_no_more_is_unpacked_than_its_pictures_are(tmp_path: Path) -> None:
    """What is compressed may claim to be anything."""
    large = {"planes": np.zeros(1 << 26, np.uint8), "lengths": np.array([[5, 5]]), "shapes": np.array([[8, 8]], np.int32)}
    meta = {"qp": 32, "position": "after_sao", "format": pairs.PACKED[0]}
    np.savez_compressed(tmp_path / "a.npz", allow_pickle=False, meta=np.array(json.dumps(meta)), **large)
    with pytest.raises(VrcnnError, match="its planes are larger than its pictures say"):
        pairs.read(tmp_path / "a.npz")


@pytest.mark.parametrize("kind", ["source", "coloured"])
def test_damage_is_named(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    pairs.pack(request.getfixturevalue(kind), path)
    with np.load(path) as arrays:
        values = dict(arrays)
    for change in (
        {"planes": values["planes"][:-9]},
        {"planes": values["planes"] ^ 1},
        {"shapes": values["shapes"] * 2},
        {"shapes": values["shapes"][:-1]},
    ):
        np.savez(path, **{**values, **change})
        with pytest.raises(VrcnnError, match="not a readable pair file"):
            pairs.read(path)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Two pictures and one that repeats the first."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        rng = np.random.default_rng(seed)
        luma = np.clip(np.add.outer(np.arange(66), np.arange(50)) + 40 + rng.normal(0, 8, (66, 50)), 0, 255).astype(np.uint8)
        write_y4m(folder / f"{name}.y4m", [Picture((luma,), 8, "400")], 1)
    return folder


def test_coding_a_folder_makes_pairs_and_goes_on(images: Path, tmp_path: Path) -> None:
    files = training_pairs.code(images, [27, 37], tmp_path / "out", "before_deblocking")
    for file, qp in zip(files, (27, 37), strict=True):
        found = pairs.read(file)
        assert (found.qp, found.meta["position"], len(found.recon)) == (qp, "before_deblocking", 2)
        for recon, original, sequence in zip(found.recon, found.original, catalogue.resolve(images, rate=1), strict=False):
            (picture,) = sequence.open()
            np.testing.assert_array_equal(original, picture.planes[0])
            (coded,) = decoder.decode(pyav.encode([picture], qp, filters=False).data, cropping=True)
            np.testing.assert_array_equal(recon, coded.planes[0])
    parts = sorted((tmp_path / "out/parts").rglob("*.npz"))
    assert len(parts) == 4
    times = [part.stat().st_mtime_ns for part in parts]
    parts[2].unlink()
    again = training_pairs.code(images, [27, 37], tmp_path / "out", "before_deblocking", workers=1)
    assert [part.stat().st_mtime_ns == time for part, time in zip(parts, times, strict=True)] == [True, True, False, True]
    assert [pairs.read(file).md5 for file in again] == [pairs.read(file).md5 for file in files]


def test_position_and_downscaling(images: Path, tmp_path: Path) -> None:
    (after,) = training_pairs.code(images, [37], tmp_path / "after", "after_sao", downscale=2)
    found = pairs.read(after)
    (picture,) = catalogue.resolve(images, rate=1)[0].open()
    small = picture.planes[0][:64, :48].reshape(32, 2, 24, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(found.original[0], np.floor(small + 0.5))
    (coded,) = decoder.decode(pyav.encode([training_pairs.downscaled(picture, 2)], 37).data, cropping=True)
    np.testing.assert_array_equal(found.recon[0], coded.planes[0])
    with pytest.raises(VrcnnError, match="too small to be downscaled by 4"):
        training_pairs.code(images, [37], tmp_path / "small", "after_sao", downscale=4)


def test_coding_with_hm(images: Path, tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match="unknown codec 'x264'; known: x265, hm"):
        training_pairs.code(images, [37], tmp_path / "out", "before_deblocking", codec="x264")
    stub_tools.install(tmp_path / "nothing")
    (tmp_path / f"nothing/cfg/{stub_tools.CONFIGURATION}.cfg").unlink()
    with pytest.raises(VrcnnError, match=r"configuration file .*encoder_intra_main\.cfg is not there"):
        training_pairs.code(images, [37], tmp_path / "out", "before_deblocking", codec="hm", folders={"hm": tmp_path / "nothing"})
    try:
        tools = hm.find_tools()
    except VrcnnError:
        pytest.skip("needs HM; give the folder of a build in HM_ROOT")
    (file,) = training_pairs.code(images, [37], tmp_path / "out", "before_deblocking", codec="hm")
    found = pairs.read(file)
    for recon, sequence in zip(found.recon, catalogue.resolve(images, rate=1), strict=False):
        coded = hm.encode(tools, list(sequence.open()), 37, options=("--LoopFilterDisable=1", "--SAO=0"))
        np.testing.assert_array_equal(recon, coded.recon[0].planes[0])


def test_coded_video_is_sorted_by_its_pictures_qps(tmp_path: Path) -> None:
    for name in ("originals", "coded"):
        (tmp_path / name).mkdir()
    originals, coded, out = tmp_path / "originals", tmp_path / "coded", tmp_path / "out"
    write_y4m(originals / "a.y4m", [picture_from_frame(frame) for frame in streams.frames(9, 64, 48)], 25)
    write_y4m(originals / "a-b.y4m", [picture_from_frame(frame) for frame in streams.frames(9, 64, 48)], 25)
    # I pictures at 20, P at 23, B at 25.
    streams.contained(coded / "a.x264.mkv", 9, "bframes=3:b-adapt=0:b-pyramid=none:qp=23:keyint=50:scenecut=0", "libx264")
    streams.contained(coded / "a-b.mkv", 9, "bframes=0:qp=31:keyint=50:scenecut=0:ipratio=1", "libx264")
    result = CliRunner().invoke(app, ["pairs", "sort", str(originals), str(coded), "--bands", "20,25,32", "--out", str(out)])
    assert result.exit_code == 0, result.output
    source = list(catalogue.resolve(originals / "a.y4m")[0].open())
    decoded = list(open_video(coded / "a.x264.mkv"))
    for band, qps in ((20, {20}), (25, {23, 25})):
        expected = [(d, s) for d, s in zip(decoded, source, strict=True) if d.coding and round(d.coding.qp) in qps]
        found = pairs.read(out / f"pairs.q{band}.npz")
        assert (found.qp, found.meta["position"], len(found.recon)) == (band, "after_sao", len(expected))
        for pair, (recon, original) in zip(found.planes(), expected, strict=True):
            for planes, picture in zip(pair, (recon, original), strict=True):
                for plane, own in zip(planes, picture.planes, strict=True):
                    np.testing.assert_array_equal(plane, own)
    assert len(pairs.read(out / "pairs.q32.npz").recon) == 9
    streams.contained(coded / "c.mkv", 3, "bframes=0:qp=31", "libx264")
    with pytest.raises(VrcnnError, match=r"c\.mkv: no video in .*originals has the name that it begins with"):
        training_pairs.by_bands(originals, coded, out, [27], 16)
    (coded / "c.mkv").rename(coded / "a.short.mkv")
    with pytest.raises(VrcnnError, match=r"a\.short\.mkv ends after 3 pictures"):
        training_pairs.by_bands(originals, coded, out, [27], 16)
    streams.contained(coded / "a.short.mkv", 9, "bframes=0:qp=31:no-deblock=1", "libx264")
    with pytest.raises(VrcnnError, match=r"is before_deblocking, .* is after_sao: pairs are of one position"):
        training_pairs.by_bands(originals, coded, out, [27], 16)


def test_sorted_files_of_an_earlier_run_do_not_stay_among_those_of_the_next(tmp_path: Path) -> None:
    for name in ("originals", "coded", "out"):
        (tmp_path / name).mkdir()
    write_y4m(tmp_path / "originals/a.y4m", [picture_from_frame(frame) for frame in streams.frames(2, 64, 48)], 25)
    streams.contained(tmp_path / "coded/a.mkv", 2, "bframes=0:qp=31:keyint=50:scenecut=0:ipratio=1", "libx264")
    out = tmp_path / "out"
    for name in ("pairs.q22.npz", "pairs.q32.npz", "pairs.I.q22.npz", "pairs.q22.npz.old", "mine.npz"):
        (out / name).write_text("of an earlier run")
    words = ["pairs", "sort", str(tmp_path / "originals"), str(tmp_path / "coded"), "--out", str(out)]
    for bands in ("27", "27,32"):
        refused = CliRunner().invoke(app, [*words, "--bands", bands])
        assert f"{out}/pairs.q22.npz is of an earlier run, and would lie among this one's" in str(refused.exception)
    done = CliRunner().invoke(app, [*words, "--bands", "27,32,37", "--force"], env={"COLUMNS": "300"}, catch_exceptions=False)
    assert f"removed {out}/pairs.q22.npz, of an earlier run" in done.output
    assert {path.name for path in out.iterdir()} == {"pairs.q32.npz", "pairs.I.q22.npz", "pairs.q22.npz.old", "mine.npz"}
    assert len(pairs.read(out / "pairs.q32.npz").recon) == 2


def test_a_part_that_is_none_is_named_with_what_helps(images: Path, tmp_path: Path) -> None:
    training_pairs.code(images, [37], tmp_path / "out", "before_deblocking")
    part = next((tmp_path / "out/parts").rglob("*.npz"))
    part.write_bytes(part.read_bytes()[:-99])
    with pytest.raises(VrcnnError, match=f"^{part} is damaged, or not what was coded here: remove it, and its stream is coded again$"):
        training_pairs.code(images, [37], tmp_path / "out", "before_deblocking")
    part.unlink()
    training_pairs.code(images, [37], tmp_path / "out", "before_deblocking")


def test_a_part_of_a_loop_says_what_its_pictures_are(source: PairFile, tmp_path: Path) -> None:
    part = tmp_path / "a.npz"
    told = [["I", 22, 0], ["P", 23, 0], ["B", 24, 1], ["B", 25, 1]]
    for wrong in (None, told[:3], [*told[:3], ["X", 22, 0]], [*told[:3], ["B", 22]]):
        pairs.write(part, source.planes(), source.meta | ({"pictures": wrong} if wrong else {}))
        with pytest.raises(VrcnnError, match=r"a\.npz is damaged, or not what was coded here: remove it"):
            training_pairs.read_part(part, training_pairs.LoopPart)
    pairs.write(part, source.planes(), source.meta | {"pictures": told})
    assert training_pairs.read_part(part, training_pairs.LoopPart).meta["pictures"] == told


def test_pictures_of_other_formats_and_depths_are_named_with_their_files(tmp_path: Path) -> None:
    for name, bits, chroma in (("a", 8, "420"), ("b", 8, "422"), ("c", 8, "444"), ("d", 10, "420")):
        write_y4m(tmp_path / f"{name}.y4m", media.pictures(1, 64, 48, bits, chroma), 25)
    make = ["pairs", "make", "--qp", "32", "--out", str(tmp_path / "p.npz")]
    refused = CliRunner().invoke(app, [*make, str(tmp_path / "a.y4m"), str(tmp_path / "b.y4m")])
    said = f"{tmp_path}/a.y4m is yuv420p, {tmp_path}/b.y4m is yuv422p: both must be 4:2:0, or neither (then luma alone is packed)"
    assert str(refused.exception) == said
    assert CliRunner().invoke(app, [*make, str(tmp_path / "c.y4m"), str(tmp_path / "b.y4m")]).exit_code == 0
    with pytest.raises(VrcnnError, match=f"only 8-bit pictures can be packed; {tmp_path}/d.y4m has 10 bits"):
        training_pairs.code(tmp_path / "d.y4m", [37], tmp_path / "out", "after_sao")
    (small,) = media.pictures(1, 64, 48, 8, "422")
    with pytest.raises(VrcnnError, match="a picture of 64x48 yuv422p was decoded, 64x48 yuv420p was coded"):
        training_pairs.within(small, media.pictures(1, 64, 48)[0])


def test_where_parts_cannot_be_written_nothing_is_coded(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/parts").write_text("mine")
    with pytest.raises(VrcnnError, match=r"cannot write into .*/out/parts/.*: Not a directory"):
        training_pairs.code(images, [37], tmp_path / "out", "after_sao")


def test_options_that_mean_nothing_with_others_are_refused(tmp_path: Path, images: Path) -> None:
    """Instead of being passed over: of a codec that is not run, and of networks where there are none."""
    out = ["--out", str(tmp_path / "out")]
    for words, said in (
        (["pairs", "loop", str(images), *out, "--ordinary", "--model", "joint_best"], "--model is for networks: --ordinary codes without"),
        (["pairs", "loop", str(images), *out, "--ordinary", "--network-size", "fast"], "--network-size is for networks: --ordinary"),
        (["pairs", "loop", str(images), *out, "--hm", "hm"], "--hm is for codec hm, not x265-loop"),
        (["passes", str(images), "--hm", "hm"], "--hm is for codec hm, not x265-loop"),
        (["pairs", "code", str(images), *out, "--codecs", "bin"], "--codecs is for codec x265-loop, not x265"),
        (["check", "--hm", "hm"], "--hm is for codec hm, not x265"),
        (["bdrate", "--dry-run", "--codec", "x265-loop", "--anchor-hm", "hm"], "--anchor-hm is for codec hm, not x265-loop"),
        (["bdrate", "--dry-run", "--variants", ""], "unknown variant ''"),
        (["bdrate", "--dry-run", "--metrics", ""], "unknown metric ''"),
        (["bench", "--kernels", "", "--sizes", "64x64"], "kernel"),
    ):
        refused = CliRunner().invoke(app, words)
        assert said in str(refused.exception)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [[], ["w" * 300] * 400, ["/some/folder/of/mine/a.y4m"] * 5000])
def test_the_commands(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """Whatever the command line is, which goes into the files' provenance."""
    monkeypatch.setattr("sys.argv", ["codec-bridge", *words])
    runner = CliRunner()
    result = runner.invoke(app, ["pairs", "code", str(images), "--out", str(tmp_path / "out"), "--qp", "32"])
    assert result.exit_code == 0, result.output
    result = runner.invoke(app, ["pairs", "pack", str(tmp_path / "out/pairs.q32.npz"), "--out", str(tmp_path / "p.npz")])
    assert "2 of 2 pictures" in result.output
    assert pairs.read(tmp_path / "p.npz").md5 == pairs.read(tmp_path / "out/pairs.q32.npz").md5
    record = len(json.dumps(pairs.read(tmp_path / "p.npz").meta["provenance"]["command_line"]))
    assert record < 4000
    room = f"{0.009 + record / 1e6:.6f}"
    result = runner.invoke(app, ["pairs", "pack", str(tmp_path / "p.npz"), "--out", str(tmp_path / "q.npz"), "--megabytes", room])
    assert "1 of 2 pictures" in result.output
    for qps in ("32,", "x", "52"):
        result = runner.invoke(app, ["pairs", "code", str(images), "--out", str(tmp_path / "out"), "--qp", qps])
        assert "is not a list of" in str(result.exception)
