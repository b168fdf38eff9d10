"""codec-bridge announce, and what codec-bridge filter makes of its streams, as their user runs them."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.bitstream import nal, post_filter
from codec_bridge.bitstream.post_filter import NNPFA, NNPFC, PostFilter
from codec_bridge.cli import commands as cli
from codec_bridge.codecs.decoder import decode
from codec_bridge.filter import Filter
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from tests.support import media
from tests.support.models import joint_set
from tests.support.post_filters import message, with_messages, without_messages
from tests.support.streams import INTRA, carrying, contained, hevc, join, write
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

POST = ModelSet.load(builtin_path("joint_post"))
AFTER = ModelSet(tuple(replace(network, position="after_sao") for network in joint_set(luma=True).networks))
RA = "qp=32:bframes=2:b-adapt=0:keyint=6:min-keyint=6:open-gop=1:hash=1"


def bridge(*arguments: object) -> str:
    """What it prints; raises what it raises."""
    return CliRunner().invoke(cli.app, list(map(str, arguments)), catch_exceptions=False, env={"COLUMNS": "200"}).output


def refusal(*arguments: object) -> str:
    done = CliRunner().invoke(cli.app, list(map(str, arguments)), env={"COLUMNS": "200"})
    assert isinstance(done.exception, VrcnnError), done.output
    assert len(str(done.exception).splitlines()) == 1
    return str(done.exception)


def by_qp(data: bytes, models: ModelSet, path: Path, kind: str, size: str) -> list[Picture]:
    """The stream's pictures as the library filters each by its QP."""
    with Filter(path) as filter_:
        found = []
        for picture in decode(data):
            assert picture.coding
            number = models.index_for_qp(round(picture.coding.qp), "after_sao", kind, size)
            found.append(filter_.filter_picture(picture, index=number).cropped())
        return found


def read(path: Path) -> list[Picture]:
    with open_video(path) as video:
        return list(video)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le", "gray", "yuv444p"])
def test_named_by_qp(tmp_path: Path, pixel_format: str) -> None:
    data = hevc(RA, 9, 72, 56, pixel_format)
    source, out = write(tmp_path / "a.hevc", data), tmp_path / "b.hevc"
    said = bridge("announce", source, out)
    bits = 8 * (len(out.read_bytes()) - len(data))
    assert f"9 pictures, to be filtered by joint networks, fast, by QP, of set {POST.identity[:16]}: 2 messages, {bits} bits" in said
    assert without_messages(out.read_bytes()) == data
    # For every other decoder nothing has changed; hashes are verified on the way.
    assert media.equal(read(source), read(out))
    said = bridge("filter", out, tmp_path / "o.y4m")
    assert f"the stream names its filter: joint networks, fast, by QP, of set {POST.identity[:16]}" in said
    assert media.equal(read(tmp_path / "o.y4m"), by_qp(data, POST, builtin_path("joint_post"), "joint", "fast"))
    assert not media.equal(read(tmp_path / "o.y4m"), read(source))
    assert bridge("filter", source, tmp_path / "p.y4m").splitlines()[-1] == said.splitlines()[-1].replace("o.y4m", "p.y4m")
    assert (tmp_path / "o.y4m").read_bytes() == (tmp_path / "p.y4m").read_bytes(), "the same filter as without a name"


@pytest.mark.parametrize(
    ("options", "named", "used"),
    [
        (["--kind", "joint", "--network-size", "fast"], PostFilter("", "joint", "fast"), "network 1 (QP 27; joint, fast)"),
        (["--kind", "luma"], PostFilter("", "luma", "best"), "network 0 (QP 32; luma)"),
        (["--qp", "30", "--kind", "joint"], PostFilter("", index=2), "network 2 (QP 27; joint, best)"),
        (["--index", "4"], PostFilter("", index=4), "network 4 (QP 37; joint, best)"),
    ],
)
def test_a_set_of_one_s_own(tmp_path: Path, options: list[str], named: PostFilter, used: str) -> None:
    AFTER.save(tmp_path / "m.vrcnn")
    source, out = write(tmp_path / "a.hevc", hevc("qp=32:keyint=1:hash=1", 2)), tmp_path / "b.hevc"
    bridge("announce", source, out, "--model", tmp_path / "m.vrcnn", *options)
    assert replace(named, identity=AFTER.identity[:16]).uri.encode() in out.read_bytes()
    assert used in bridge("filter", out, tmp_path / "o.y4m", "--model", tmp_path / "m.vrcnn")
    needed = f"needs the model set {AFTER.identity[:16]}, which is not built in: give its .vrcnn file with --model"
    assert needed in refusal("filter", out, tmp_path / "n.y4m")
    assert "names its filter itself" in refusal("filter", out, tmp_path / "n.y4m", "--model", "joint_post")
    assert not (tmp_path / "n.y4m").exists()


@pytest.mark.parametrize(
    "options",
    [["--qp", "32"], ["--index", "1"], ["--scale", "7"], ["--kind", "joint"], ["--network-size", "fast"], ["--position", "after_sao"]],
)
def test_options_that_contradict_the_stream(tmp_path: Path, options: list[str]) -> None:
    source = write(tmp_path / "a.hevc", hevc("qp=32:keyint=1:hash=1", 2))
    bridge("announce", source, tmp_path / "b.hevc")
    said = refusal("filter", tmp_path / "b.hevc", tmp_path / "o.y4m", "--model", "joint_post", *options)
    assert f"names its filter itself (joint networks, fast, by QP, of set {POST.identity[:16]}): leave out {options[0]}, or give" in said
    trusted = [*options, "--model", "joint_post", "--trust-options"] + (["--kind", "joint"] if options[0] == "--scale" else [])
    if options[0] != "--scale":  # which is of luma networks
        assert "the stream names" not in bridge("filter", tmp_path / "b.hevc", tmp_path / "o.y4m", *trusted)
    bridge("filter", tmp_path / "b.hevc", tmp_path / "p.y4m", "--qp", "auto", "--position", "auto", "--scale", "8")


def test_pictures_that_nobody_names_a_filter_for(tmp_path: Path) -> None:
    data = hevc("qp=32:keyint=1:hash=1", 2)
    bridge("announce", write(tmp_path / "a.hevc", data), tmp_path / "b.hevc")
    both = write(tmp_path / "c.hevc", (tmp_path / "b.hevc").read_bytes() + data)
    said = CliRunner().invoke(cli.app, ["filter", str(both), str(tmp_path / "o.y4m")], env={"COLUMNS": "200"})
    assert "2 pictures for which the stream names no filter pass through" in said.output + said.stderr
    found = read(tmp_path / "o.y4m")
    assert media.equal(found[2:], list(decode(data)))
    assert not media.equal(found[:2], list(decode(data)))


def test_pictures_far_from_the_networks_are_said(tmp_path: Path) -> None:
    source = write(tmp_path / "a.hevc", hevc("qp=45:ipratio=1:keyint=1:hash=1", 2))
    assert "note: QP 45 is filtered by the network for QP 37, the nearest of the set" in bridge("announce", source, tmp_path / "b.hevc")
    assert "note:" not in bridge("announce", source, tmp_path / "c.hevc", "--qp", "37", "--trust-options")
    near = write(tmp_path / "d.hevc", hevc("qp=32:ipratio=1:keyint=1:hash=1", 2))
    assert "note:" not in bridge("announce", near, tmp_path / "e.hevc")


def test_damage_is_said_or_gone_over(tmp_path: Path) -> None:
    data = hevc("qp=32:keyint=1:hash=1", 2)
    bridge("announce", write(tmp_path / "a.hevc", data), tmp_path / "b.hevc")
    bad = write(tmp_path / "c.hevc", (tmp_path / "b.hevc").read_bytes().replace(b"/joint/", b"/jaint/", 1))
    said = "picture 0: the SEI message of its post-filter is damaged: nnpfc_uri names no network"
    assert said in refusal("filter", bad, tmp_path / "o.y4m")
    assert said in refusal("announce", bad, tmp_path / "d.hevc")
    done = CliRunner().invoke(cli.app, ["filter", str(bad), str(tmp_path / "o.y4m"), "--lenient"])
    assert done.exit_code == 3
    assert said in done.output + done.stderr
    missing = write(tmp_path / "e.hevc", (tmp_path / "b.hevc").read_bytes().replace(b"joint/fast", b"31" + b"\0" * 8))
    assert "names network 31 as its post-filter; the set has 0 to 3" in refusal("filter", missing, tmp_path / "p.y4m")
    luma = write(tmp_path / "f.hevc", (tmp_path / "b.hevc").read_bytes().replace(b"joint/fast", b"luma/best\0"))
    assert f"{luma} names a post-filter that is not there: the model set has no luma network" in refusal("filter", luma, tmp_path / "p.y4m")


def test_two_sets_in_a_stream(tmp_path: Path) -> None:
    AFTER.save(tmp_path / "m.vrcnn")
    source = write(tmp_path / "a.hevc", hevc("qp=32:keyint=1:hash=1", 1))
    bridge("announce", source, tmp_path / "b.hevc")
    bridge("announce", source, tmp_path / "c.hevc", "--model", tmp_path / "m.vrcnn", "--index", 1)
    both = write(tmp_path / "d.hevc", (tmp_path / "b.hevc").read_bytes() + (tmp_path / "c.hevc").read_bytes())
    assert "names several model sets" in refusal("filter", both, tmp_path / "o.y4m")


def test_what_cannot_be_announced(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.hevc", hevc("qp=32:keyint=1:hash=1", 2))
    off = write(tmp_path / "off.hevc", hevc(INTRA + ":hash=1", 2))
    out = tmp_path / "o.hevc"
    assert "has neither deblocking nor SAO in its loop" in refusal("announce", off, out)
    assert "are before_deblocking, not after_sao: give the --index of another" in refusal("announce", off, out, "--index", 1)
    assert "was coded at QP 29, not at 22" in refusal("announce", plain, out, "--qp", 22)
    assert "give one of them" in refusal("announce", plain, out, "--qp", 32, "--index", 1)
    assert "no network 30; it has 0 to 3" in refusal("announce", plain, out, "--index", 30)
    assert "networks in the loop" in refusal("announce", write(tmp_path / "v.hevc", carrying(hevc("qp=32:keyint=1"))), out)
    assert "without a container" in refusal("announce", plain, tmp_path / "o.mkv")
    assert "does not begin with a start code" in refusal("announce", contained(tmp_path / "c.mkv", 2), out)
    assert "cannot read" in refusal("announce", tmp_path / "none.hevc", out)
    assert not out.exists()
    bridge("announce", plain, out)
    assert "names a post-filter already" in refusal("announce", out, tmp_path / "p.hevc")
    assert "--force" in refusal("announce", plain, out)
    assert "a.hevc" in refusal("announce", plain, plain, "--force")
    deep = write(tmp_path / "deep.hevc", hevc("qp=32:keyint=1", 1, pixel_format="yuv420p12le"))
    AFTER.save(tmp_path / "m.vrcnn")
    said = refusal("announce", deep, tmp_path / "q.hevc", "--model", tmp_path / "m.vrcnn", "--kind", "luma")
    assert "picture 0 has luma of 12 bits, which the filter does not take" in said


def test_what_a_stream_lacks_is_said_before_options(tmp_path: Path) -> None:
    """None of its parameter sets, as in H.264: nothing is known of its filters, so that nothing follows from them."""
    data = hevc(INTRA + ":hash=1", 2)
    lacking = write(tmp_path / "a.hevc", join(part for part in nal.split(data) if part.type != 34))
    assert "picture 0: damaged HEVC stream: a slice refers to parameter sets" in refusal("announce", lacking, tmp_path / "o.hevc")
    looped = write(tmp_path / "b.hevc", carrying(hevc(INTRA, 2)))
    assert "networks in the loop" in refusal("announce", looped, tmp_path / "o.hevc")
    assert "networks in the loop" in refusal("announce", looped, tmp_path / "o.hevc", "--qp", 22)
    assert not (tmp_path / "o.hevc").exists()


def test_others_messages_stay(tmp_path: Path) -> None:
    other = message((NNPFC, b"\0\1\x16\x80tag:example.org,2024:x\0u\0"), (NNPFA, post_filter.activation(7)))
    data = with_messages(hevc("qp=32:keyint=1:hash=1", 2), 0, other)
    bridge("announce", write(tmp_path / "a.hevc", data), tmp_path / "b.hevc")
    assert other.data in [part.data for part in nal.split((tmp_path / "b.hevc").read_bytes())]
    bridge("filter", tmp_path / "b.hevc", tmp_path / "o.y4m")
    assert media.equal(read(tmp_path / "o.y4m"), by_qp(data, POST, builtin_path("joint_post"), "joint", "fast"))
