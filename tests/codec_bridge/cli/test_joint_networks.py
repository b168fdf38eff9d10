"""codec-bridge with joint networks, as its user runs it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.cli import commands as cli
from codec_bridge.cli.evaluation import say_rows_checked
from codec_bridge.codecs import pyav
from codec_bridge.figures.row import Row
from codec_bridge.video.files import write_y4m
from codec_bridge.video.open import open_video
from tests.support import media
from tests.support.documents import rows_of
from tests.support.models import joint_set
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import filter_planes
from vrcnn_int.network import PLANES

BOTH = joint_set(luma=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pictures, and model sets of both kinds and of joint networks alone."""
    path = tmp_path_factory.mktemp("joint")
    write_y4m(path / "cat.y4m", media.pictures(2, 100, 60), 25)
    write_y4m(path / "dog.y4m", media.pictures(2, 100, 60, seed=2), 25)
    BOTH.save(path / "both.vrcnn")
    joint_set().save(path / "joint.vrcnn")
    return path


def bridge(*arguments: object) -> str:
    """What it prints; raises what it raises."""
    return CliRunner().invoke(cli.app, list(map(str, arguments)), catch_exceptions=False, env={"COLUMNS": "200"}).output


def filtered(folder: Path, index: int) -> bool:
    """Whether out.y4m is the clip as that network of BOTH filters it."""
    network = BOTH.networks[index]
    weights = (8,) * network.heads
    with open_video(folder / "cat.y4m") as video, open_video(folder / "out.y4m") as out:
        expected = [p.with_planes(filter_planes(network, p.planes, (8, 8), "420", weights, weights)) for p in video]
        return media.equal(expected, out)


@pytest.mark.parametrize(
    ("model", "options", "index", "said"),
    [
        ("joint", [], 2, "network 1 (QP 27; joint, best) of set"),
        ("joint", ["--network-size", "fast"], 1, "network 0 (QP 27; joint, fast) of set"),
        ("both", ["--kind", "joint", "--network-size", "fast"], 1, "network 1 (QP 27; joint, fast) of set"),
        ("both", ["--kind", "luma"], 0, "before_deblocking by network 0 (QP 32; luma) of set"),
        ("both", [], 0, "the set has luma and joint networks: luma ones filter; --kind chooses"),
    ],
)
def test_filter(folder: Path, model: str, options: list[str], index: int, said: str) -> None:
    arguments = ["--qp", 30, "--model", folder / f"{model}.vrcnn", "--original", folder / "dog.y4m", "--force", *options]
    output = bridge("filter", folder / "cat.y4m", folder / "out.y4m", *arguments)
    assert said in output
    assert filtered(folder, index)
    lines = [line for line in output.splitlines() if line.startswith("picture 0: ")]
    assert all(f"{plane} " in lines[0] for plane in PLANES)
    assert ("has luma and joint" in output) is (model == "both" and not options)


def test_a_network_by_its_index(folder: Path) -> None:
    arguments = [folder / "cat.y4m", folder / "out.y4m", "--model", folder / "both.vrcnn", "--index", 4, "--force"]
    assert "network 4 (QP 37; joint, best) of set" in bridge("filter", *arguments)
    assert filtered(folder, 4)
    for option in (["--kind", "joint"], ["--network-size", "fast"]):
        with pytest.raises(VrcnnError, match=f"{option[0]} is for --qp: --index names the network itself"):
            bridge("filter", *arguments, *option)


def test_chroma_that_passes_through_is_said_to(folder: Path) -> None:
    write_y4m(folder / "422.y4m", media.pictures(1, 64, 48, 8, "422"), 25)
    output = bridge("filter", folder / "422.y4m", folder / "o.yuv", "--qp", 30, "--model", folder / "joint.vrcnn", "--force")
    assert "chroma of 422 passes through: joint networks filter that of 420" in output


def test_check_of_sequences_and_streams(folder: Path) -> None:
    model = ["--model", folder / "joint.vrcnn", "--qp", 37]
    output = bridge("check", "--sequences", folder / "cat.y4m", *model, "--workers", 1, "--network-size", "fast")
    assert "2 coded pictures, 19968 luma and chroma samples: oracle = C library" in output
    with open_video(folder / "cat.y4m") as video:
        (folder / "cat.hevc").write_bytes(pyav.encode(list(video), 37, filters=False).data)
    assert "2 coded pictures, 19968 luma and chroma samples" in bridge("check", folder / "cat.hevc", *model)
    assert "2 coded pictures, 13312 luma samples" in bridge("check", folder / "cat.hevc", "--qp", 37)


@pytest.mark.parametrize(
    ("codec", "variant", "said"),
    [
        ("x265", "integer", "12 coded pictures, 30 luma and chroma samples: oracle = C library (avx2) = filtered decoder output"),
        ("hm", "integer", "12 coded pictures, 30 luma and chroma samples: oracle = C library (avx2) = filtered decoder output"),
        ("hm", "map", "12 coded pictures, 30 luma and chroma samples: encoder's reconstruction = decoder's output (avx2) = offline replay"),
    ],
)
def test_what_was_compared_is_said(codec: str, variant: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the codec, networks after the decoder are compared with the oracle; what was not compared does not count."""
    rows = rows_of("cat", variant, codec=codec, checked_pictures=3, checked_samples=7, kernel="avx2") + rows_of(
        "cat", "anchor", codec=codec
    )
    rows[0]["checked_samples"] = 9
    say_rows_checked([Row.from_json(row) for row in rows], "luma and chroma")
    assert said in capsys.readouterr().out


def test_wrong_words_are_refused(folder: Path) -> None:
    arguments = ["filter", folder / "cat.y4m", folder / "new.y4m", "--qp", 30]
    with pytest.raises(VrcnnError, match="unknown kind 'chroma'; there are luma and joint"):
        bridge(*arguments, "--kind", "chroma")
    with pytest.raises(VrcnnError, match="unknown network size 'small'; there are fast and best"):
        bridge(*arguments, "--network-size", "small")
    with pytest.raises(
        VrcnnError, match="position before_deblocking; --model joint_best or joint_inter or joint_inter_best or joint_intra has such"
    ):
        bridge(*arguments, "--kind", "joint", "--model", "joint_post")
    with pytest.raises(
        VrcnnError,
        match="after_sao; --model joint_post or joint_sao or joint_sao_best has such; this set is for --position before_deb",
    ):
        bridge(*arguments, "--position", "after_sao", "--model", "joint_intra", "--kind", "joint")
    with pytest.raises(VrcnnError, match="no luma network"):
        bridge(*arguments, "--kind", "luma", "--model", folder / "joint.vrcnn")
    assert not (folder / "new.y4m").exists()
