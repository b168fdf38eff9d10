"""What the filter reads of inter pictures, written by dec265, and pair files of it.

Skips unless the programs of `make codecs` are there.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge import pairs as training_pairs
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import side_information
from codec_bridge.cli.commands import app
from codec_bridge.codecs import decoder
from codec_bridge.codecs.dump import check_motion, dump
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation.check import replay
from codec_bridge.filter import Filter
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import media, x265_runs
from vrcnn_int.io import pairs
from vrcnn_int.network import POSITIONS

JOINT = ("--vrcnn", "--vrcnn-model", "joint_intra")


@pytest.fixture(scope="module")
def tools() -> x265_loop.Tools:
    return x265_runs.tools()


@pytest.fixture(scope="module")
def clip() -> list[Picture]:
    return media.pictures(9, 136, 104)


def equal(a: Picture, b: Picture) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize(("position", "options"), [("after_sao", ()), ("before_deblocking", ("--no-deblock", "--no-sao"))])
@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("chroma_format", ["420", "400", "444"])
def test_without_filters_after_it_a_position_has_the_decoded_pictures(
    tools: x265_loop.Tools, position: str, options: tuple[str, ...], bit_depth: int, chroma_format: str
) -> None:
    pictures = media.pictures(9, 136, 104, bit_depth, chroma_format)
    coded = x265_loop.encode(tools, pictures, 34, configuration="ra", options=options)
    dumped = dump(tools.decoder, coded.data, position)
    assert [equal(each.picture, recon) for each, recon in zip(dumped, coded.recon, strict=True)] == [True] * 9
    kinds = "".join(each.slice_type for each in dumped)
    assert kinds[0] == "I"
    assert set(kinds) == set("IPB")
    stated = [picture.coding.qp for picture in decoder.decode(coded.data) if picture.coding]
    assert [each.qp for each in dumped] == stated
    assert len(set(stated)) > 1
    assert dumped[0].temporal_id == 0


def test_before_deblocking_are_other_samples(tools: x265_loop.Tools, clip: list[Picture]) -> None:
    data = x265_loop.encode(tools, clip, 38, configuration="ra").data
    before, after = (dump(tools.decoder, data, position) for position in POSITIONS)
    assert not any(equal(a.picture, b.picture) for a, b in zip(before, after, strict=True))


def test_the_network_makes_the_decoded_pictures_of_it(tools: x265_loop.Tools, clip: list[Picture]) -> None:
    """P pictures refer to filtered ones; whole pictures are filtered, so that no deblocked sample is in them."""
    coded = x265_loop.encode(tools, clip, 38, configuration="ldp", options=(*JOINT, "--no-vrcnn-map"))
    dumped = dump(tools.decoder, coded.data, "before_deblocking")
    compared = 0
    with Filter("joint_intra") as filter_:
        for each, side, recon in zip(dumped, side_information(coded.data), coded.recon, strict=True):
            assert side
            again = replay(filter_, side, each.picture, each.picture, each.picture)
            for mode, mine, theirs in zip((side.mode, side.chroma_mode, side.chroma_mode), again.planes, recon.planes, strict=True):
                if mode == "all":
                    np.testing.assert_array_equal(mine, theirs)
                    compared += each.slice_type == "P"
    assert compared >= 4


def test_pairs_of_a_loop(tools: x265_loop.Tools, clip: list[Picture], tmp_path: Path) -> None:
    """Each picture in the file of its type and band, beside its original; what was coded is not coded again."""
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, pictures in (("a", clip), ("b", media.pictures(3, 136, 72, seed=2))):
        write_y4m(clips / f"{name}.y4m", pictures, 25)
    words = ["pairs", "loop", str(clips), "--out", str(tmp_path / "out"), "--model", "joint_intra", "--codecs", str(tools.decoder.parent)]
    words += ["--qp", "27,37", "--frames", "7", "--bands", "27,37"]
    runner = CliRunner()
    done = runner.invoke(app, words)
    assert done.exit_code == 0, done.output
    files = {path.name: pairs.read(path) for path in (tmp_path / "out").glob("*.npz")}
    assert {name.split(".")[1] for name in files} == set("IPB")
    assert sum(len(file.recon) for file in files.values()) == 2 * (7 + 3)
    assert all(file.meta["position"] == "before_deblocking" and file.meta["codec"] == "x265-loop" for file in files.values())
    originals = {picture.planes[0].tobytes() for pictures in (clip[:7], media.pictures(3, 136, 72, seed=2)) for picture in pictures}
    for name, file in files.items():
        assert file.qp in (27, 37)
        assert training_pairs.loop_file(tmp_path, name.split(".")[1], file.qp).name == name
        assert {plane.tobytes() for plane in file.original} <= originals
        assert all(0 < error < 200 for error in file.coding_errors)
        assert len(file.recon_chroma) == len(file.recon)
    parts = sorted((tmp_path / "out/parts").rglob("*.npz"))
    assert len(parts) == 4
    times = [part.stat().st_mtime_ns for part in parts]
    parts[1].unlink()
    assert runner.invoke(app, words).exit_code == 1  # files of that name are there
    done = runner.invoke(app, [*words, "--force"])
    assert done.exit_code == 0, done.output
    assert [part.stat().st_mtime_ns == time for part, time in zip(parts, times, strict=True)] == [True, False, True, True]
    again = {path.name: pairs.read(path) for path in (tmp_path / "out").glob("*.npz")}
    assert {name: file.md5_for("joint") for name, file in again.items()} == {name: file.md5_for("joint") for name, file in files.items()}
    done = runner.invoke(app, [*words, "--force", "--network-size", "fast"])
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out/parts").rglob("*.npz"))) == 8  # what another network made is not taken for this one's
    # Another configuration has no B pictures: those of the first would stay beside its own.
    words += ["--configuration", "ldp"]
    done = runner.invoke(app, [*words, "--bands", "32"])
    assert " is of an earlier run, and would lie among this one's; give another folder, or --force to remove it" in str(done.exception)
    before = {path.name for path in (tmp_path / "out").glob("*.npz")}
    assert any(name.startswith("pairs.B") for name in before)
    done = runner.invoke(app, [*words, "--force"], env={"COLUMNS": "300"})
    assert done.exit_code == 0, done.output
    left = {path.name: pairs.read(path).meta["configuration"] for path in (tmp_path / "out").glob("*.npz")}
    assert {name.split(".")[1] for name in left} == {"I", "P"}
    assert set(left.values()) == {"ldp"}
    assert all(f"removed {tmp_path}/out/{name}, of an earlier run" in done.output for name in before - set(left))
    # A part is what was coded here, or is not read.
    (part, *_) = (tmp_path / "out/parts").glob("*-ldp-*/*.npz")
    part.write_bytes((tmp_path / "out/pairs.I.q27.npz").read_bytes())
    done = runner.invoke(app, [*words, "--force"])
    assert str(done.exception) == f"{part} is damaged, or not what was coded here: remove it, and its stream is coded again"


def test_loops_that_cannot_be(tools: x265_loop.Tools, tmp_path: Path) -> None:
    write_y4m(tmp_path / "a.y4m", media.pictures(2), 25)
    start = ["pairs", "loop", str(tmp_path / "a.y4m"), "--out", str(tmp_path / "out"), "--codecs", str(tools.decoder.parent)]
    for words, said in (
        (["--codec", "x265"], "x265 has no filter in a loop"),
        (["--configuration", "nothing"], "has no filter in a loop of configuration 'nothing'"),
        (["--qp", "99"], "'99' is not a list of QPs"),
        (["--bands", ""], "'' is not a list of QPs"),
        (["--model", str(tmp_path / "none.vrcnn")], "none.vrcnn"),
    ):
        done = CliRunner().invoke(app, [*start, *words])
        assert done.exit_code == 1
        assert said in str(done.exception) + done.output
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_dump_that_cannot_be_written_is_said(tools: x265_loop.Tools, clip: list[Picture], tmp_path: Path) -> None:
    stream = tmp_path / "stream.hevc"
    stream.write_bytes(x265_loop.encode(tools, clip[:2], 38).data)
    for words in (["--vrcnn-dump", str(tmp_path / "no/such/file")], ["--vrcnn-dump", str(tmp_path / "file"), "--vrcnn-dump-position", "2"]):
        done = subprocess.run([tools.decoder, "-q", "-c", *words, stream], capture_output=True, text=True)
        assert (done.returncode, done.stderr.strip()) == (10, "VRCNN: cannot write the dump of pictures")
    full = subprocess.run([tools.decoder, "-q", "-c", "--vrcnn-dump", "/dev/full", stream], capture_output=True, text=True)
    assert "VRCNN: cannot write the dump of pictures" in full.stderr


def shifted(picture: Picture, count: int, columns: int, rows: int) -> list[Picture]:
    """A picture again and again, each time so many luma samples further to the right and down."""
    found = []
    for i in range(count):
        steps = [(i * rows // part, i * columns // part) for part in (1, 2, 2)]
        planes = (np.roll(plane, step, (0, 1)) for plane, step in zip(picture.planes, steps, strict=True))
        found.append(Picture(tuple(planes), picture.bit_depth, picture.chroma_format))
    return found


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (4, 2), (-6, 0)])
def test_motion_is_where_the_samples_came_from(tools: x265_loop.Tools, clip: list[Picture], columns: int, rows: int) -> None:
    coded = x265_loop.encode(tools, shifted(clip[0], 4, columns, rows), 27, configuration="ldp", options=(*JOINT, "--ref", "1"))
    intra, *others = dump(tools.decoder, coded.data, "before_deblocking", motion=True)
    assert intra.motion is not None
    assert intra.motion.shape == (104 // 4, 136 // 4, 2, 3)
    assert not intra.motion.any()
    for each in others:
        assert each.motion is not None
        assert not each.motion[:, :, 1].any()  # of P pictures
        inter = each.motion[:, :, 0, 0] != 0
        assert inter.mean() > 0.7
        vectors = each.motion[inter][:, 0]
        assert set(vectors[:, 0]) == {-1}
        assert (vectors[:, 1:] == (-4 * columns, -4 * rows)).all(1).mean() > (0.99 if columns == 0 else 0.8)


def test_motion_of_b_pictures_and_threads(tools: x265_loop.Tools, clip: list[Picture]) -> None:
    """The form without motion stays as it is; with it samples are the same, and as many threads as there are change nothing."""
    data = x265_loop.encode(tools, clip, 32, configuration="ra", options=JOINT).data
    plain = dump(tools.decoder, data, "before_deblocking")
    alone, threaded = (dump(tools.decoder, data, "before_deblocking", options, motion=True) for options in ((), ("-t", "4")))
    assert all(each.motion is None for each in plain)
    places = {each.order for each in plain}
    later = 0
    for one, two, three in zip(plain, alone, threaded, strict=True):
        assert equal(one.picture, two.picture)
        assert equal(one.picture, three.picture)
        assert one.number == two.number == three.number
        assert two.motion is not None
        assert three.motion is not None
        np.testing.assert_array_equal(two.motion, three.motion)
        differences = set(np.unique(two.motion[:, :, :, 0])) - {0}
        assert {(two.order[0], two.order[1] + int(each)) for each in differences} <= places
        assert (two.slice_type == "I") == (not differences)
        assert two.slice_type == "B" or not two.motion[:, :, 1].any()
        later += any(each > 0 for each in differences)
        unused = two.motion[two.motion[:, :, :, 0] == 0]
        assert not unused.any()
    assert later >= 3
    decoded = sorted(alone, key=lambda each: each.number)
    assert [each.number for each in decoded] == list(range(9))
    for number, each in enumerate(decoded):
        assert each.motion is not None
        references = {each.order[1] + int(other) for other in np.unique(each.motion[:, :, :, 0]) if other}
        assert references <= {earlier.order[1] for earlier in decoded[:number]}


def test_a_decoder_without_motion_is_said(tools: x265_loop.Tools, tmp_path: Path) -> None:
    check_motion(tools.decoder)
    older = tmp_path / "dec265"
    older.write_text("#!/bin/sh\necho '      --vrcnn-dump FILE      write what the CNN filter reads'\n")
    older.chmod(0o755)
    with pytest.raises(CodecError, match="dec265 is older than this version and cannot write motion; build it again with: make codecs"):
        check_motion(older)
