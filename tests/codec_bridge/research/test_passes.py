"""Gains by temporal layer and by passes of references: on arrays made by hand, and on coded clips where `make codecs` was run."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from codec_bridge.bitstream.sideinfo import side_information
from codec_bridge.cli.commands import app
from codec_bridge.cli.passes import table
from codec_bridge.codecs.dump import Dumped, dump
from codec_bridge.codecs.programs import file_hash
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import store
from codec_bridge.research import passes
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture, samples_md5
from tests.support import media, x265_runs
from vrcnn_int.errors import VrcnnError
from vrcnn_int.models import builtin_path
from vrcnn_int.network import PLANES

SHAPE = 8, 16


def motion(*uses: tuple[int, int, int, int]) -> NDArray[np.int32]:
    """Of all blocks of a picture: (list, POC difference, x, y) each."""
    found = np.zeros((SHAPE[0] // 4, SHAPE[1] // 4, 2, 3), np.int32)
    for each, *rest in uses:
        found[:, :, each] = rest
    return found


def dumped(number: int, poc: int, kind: str, vectors: NDArray[np.int32], sequence: int = 0, temporal_id: int = 0) -> Dumped:
    picture = Picture((np.zeros(SHAPE, np.uint8),), 8, "400")
    return Dumped(picture, kind, 32, temporal_id, (sequence, poc), number, vectors)


def test_references_are_found_by_their_vectors() -> None:
    held = np.arange(128, dtype=np.float32).reshape(SHAPE)
    y, x = np.mgrid[:8, :16]
    for (dx, dy), (right, down) in {
        (0, 0): (0, 0),
        (8, -4): (2, -1),
        (1, -1): (0, 0),
        (2, -2): (1, 0),
        (-3, 5): (-1, 1),
        (4000, -4000): (15, -7),
    }.items():
        expected = held[(y + down).clip(0, 7), (x + right).clip(0, 15)]
        np.testing.assert_array_equal(passes.referred(motion((0, -1, dx, dy)), {-1: held}, SHAPE), expected)
        np.testing.assert_array_equal(passes.referred(motion((1, 3, dx, dy)), {3: held, -1: held + 9}, SHAPE), expected)
    both = passes.referred(motion((0, -1, 0, 0), (1, 2, 0, 0)), {-1: held, 2: held + 1}, SHAPE)
    np.testing.assert_array_equal(both, held + 0.5)
    same = passes.referred(motion((0, -1, 0, 0), (1, -1, 4, 0)), {-1: held}, SHAPE)
    np.testing.assert_array_equal(same, (held + held[y, (x + 1).clip(0, 15)]) / 2)
    assert not passes.referred(motion((0, -2, 0, 0)), {-1: held}, SHAPE).any()  # one that the decoder made up
    np.testing.assert_array_equal(passes.referred(motion((0, -1, 0, 0), (1, 5, 0, 0)), {-1: held}, SHAPE), held / 2)
    assert not passes.referred(motion(), {-1: held, 0: held}, SHAPE).any()
    mixed = motion((0, -1, 0, 0))
    mixed[1, 2] = 0  # an intra block
    expected = held.copy()
    expected[4:8, 8:12] = 0
    np.testing.assert_array_equal(passes.referred(mixed, {-1: held}, SHAPE), expected)
    cropped = passes.referred(motion((0, -1, 0, 0)), {-1: held[:6, :14]}, (6, 14))
    np.testing.assert_array_equal(cropped, held[:6, :14])


def test_passes_add_up_along_references() -> None:
    half = np.zeros(SHAPE, np.bool_)
    half[:, :8] = True
    everywhere, nowhere = np.ones(SHAPE, np.bool_), np.zeros(SHAPE, np.bool_)
    stream = [
        dumped(0, 0, "I", motion()),
        dumped(1, 4, "P", motion((0, -4, 0, 0))),
        dumped(2, 2, "B", motion((0, -2, 0, 0), (1, 2, 0, 0))),
        dumped(3, 3, "B", motion((0, -1, 0, 0), (1, 1, 0, 0))),
        dumped(4, 0, "I", motion(), sequence=1),
        dumped(5, 4, "P", motion((0, -4, 0, 0)), sequence=1),
        dumped(6, 3, "P", motion((0, -1, 0, 0)), sequence=1),  # only the sequence before has such a picture
    ]
    found = list(passes.of_references(stream, [everywhere, half, nowhere, everywhere, nowhere, everywhere, nowhere]))
    for each, (left, right) in zip(found, [(0, 0), (1, 1), (1.5, 1), (1.75, 1), (0, 0), (0, 0), (0, 0)], strict=True):
        np.testing.assert_array_equal(each[:, :8], left)
        np.testing.assert_array_equal(each[:, 8:], right)
    assert not any(each.any() for each in passes.of_references(stream, [nowhere] * 7))


def test_bins() -> None:
    values = np.zeros(SHAPE, np.float32)
    values[0, :8] = 0, 0.125, 1, 1.5, 2, 4, 4.25, 99
    inter = motion((1, 3, 0, 0))
    assert passes.binned(inter, values, "B")[0, :8].tolist() == [2, 3, 3, 4, 4, 6, 7, 7]
    assert passes.BINS[2:4] == ("inter, 0", "inter, 0-1")
    assert len(passes.BINS) == 8
    inter[0, 1] = 0
    found = passes.binned(inter, np.zeros_like(values), "P")
    assert (found[:4, 4:8] == 1).all()
    assert (found == 1).sum() == 16
    assert not passes.binned(motion(), values, "I").any()


def test_layers() -> None:
    """As HM codes a group of eight: picture 6 also refers to 2, of its own layer; low delay has one layer."""
    used = {8: (0,), 4: (0, 8), 2: (0, 4, 8), 1: (0, 2, 4, 8), 3: (0, 2, 4, 8), 6: (0, 2, 4, 8), 5: (0, 4, 6, 8), 7: (4, 6, 8), 16: (8, 7)}
    stream = [dumped(0, 0, "I", motion())]
    for number, (poc, references) in enumerate(used.items(), 1):
        vectors = motion()
        for block, reference in enumerate(references):
            vectors[0, block, block % 2, 0] = reference - poc
        stream.append(dumped(number, poc, "B", vectors))
    assert passes.layers(stream) == ("references", [0, 0, 1, 2, 3, 3, 2, 3, 3, 0])
    stream[2] = dumped(2, 4, "B", motion(), temporal_id=2)
    assert passes.layers(stream) == ("nuh_temporal_id", [0, 0, 2, 0, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("bit_depth", [8, 10])
def test_sums_and_gains(bit_depth: int) -> None:
    original = np.array([[100, 100, 100, 100]], np.uint16)
    read, out = np.array([[104, 98, 108, 100]]), np.array([[102, 99, 104, 101]])
    label, filtered = np.array([[1, 1, 0, 1]], np.uint8), np.array([[True, False, True, True]])
    sums: passes.Sums = {}
    step = 4 ** (bit_depth - 8)
    for _ in range(2):
        passes.add(sums, "passes", "Cb", passes.BINS, label, [original, read, out, filtered], bit_depth)
    assert set(sums) == {("passes", passes.BINS[number], "Cb") for number in (0, 1)}
    first, second = passes.rows(sums)
    assert [first[name] for name in passes.COUNTS] == [2, 2, 128 / step, 32 / step, 128 / step, 32 / step]
    assert [second[name] for name in passes.COUNTS] == [6, 4, 32 / step, 10 / step, 40 / step, 12 / step]
    assert (first["label"], first["share"], first["filtered_share"]) == ("intra, I picture", 0.25, 1)
    assert (second["share"], second["filtered_share"]) == (0.75, pytest.approx(2 / 3))
    assert first["gain"] == first["gain_filtered"] == pytest.approx(10 * math.log10(4))
    assert second["gain"] == pytest.approx(10 * math.log10(40 / 12))
    assert second["gain_filtered"] == pytest.approx(10 * math.log10(3.2))
    passes.add(sums, "layer", "Y", ["2 B"], label * 0, [original, original, out, filtered & False], bit_depth)
    assert [(row["by"], row["plane"]) for row in passes.rows(sums)] == [("layer", "Y"), ("passes", "Cb"), ("passes", "Cb")]
    assert passes.rows(sums)[0]["gain"] is passes.rows(sums)[0]["gain_filtered"] is None


def test_a_table_has_every_row_in_order() -> None:
    """Also where chroma alone has samples of so many passes."""
    ones = np.ones(len(passes.COUNTS))
    sums = {("passes", passes.BINS[number], plane): ones for plane, number in (("Y", 0), ("Y", 6), ("Cb", 6), ("Cb", 2), ("Cr", 7))}
    sums |= {("layer", name, "Y"): ones for name in ("10 B", "2 B", "0 P", "0 I")}
    found = {"rows": {"32": passes.rows(sums), "37": [], "all": passes.rows(sums)}}
    shown = table(found, "passes")
    assert [*shown.columns[1].cells] == [passes.BINS[number] for number in (0, 2, 6, 7)] * 2
    assert [*shown.columns[2].cells] == ["50.0%", "", "50.0%", ""] * 2
    assert [*shown.columns[5].cells] == ["", "+0.000", "+0.000", ""] * 2
    assert [*table(found, "layer").columns[1].cells] == ["0 I", "0 P", "2 B", "10 B"] * 2


def test_one_qp_is_shown_once_and_chroma_only_where_it_was_filtered() -> None:
    """As with chroma that is not 4:2:0, all of whose inter blocks would stand in a row without luma."""
    ones, left = np.ones(len(passes.COUNTS)), np.array([1, 0, 0, 0, 2, 1])
    sums = {("passes", passes.BINS[3], "Y"): ones, ("passes", passes.BINS[2], "Cb"): left, ("passes", passes.BINS[2], "Cr"): left}
    shown = table({"rows": {"32": passes.rows(sums), "all": passes.rows(sums)}}, "passes")
    assert [*shown.columns[0].cells] == ["32"]
    assert [*shown.columns[1].cells] == [passes.BINS[3]]
    assert [column.header for column in shown.columns[2:]] == ["share of Y", "filtered of Y", "Y, where filtered", "Y, everywhere"]


def test_what_is_kept_of_a_stream_is_what_was_measured(tmp_path: Path) -> None:
    sums = {("passes", passes.BINS[2], "Cb"): np.array([3, 1, 0.1, 1 / 3, 2, 1e12]), ("layer", "0 I", "Y"): np.arange(6.0)}
    path, inputs = tmp_path / "kept" / "a.json", {"qp": 32}

    def load() -> passes.Measured | None:
        return store.kept(path, store.digest(inputs), passes.measured_in, "remove it")

    assert load() is None
    store.keep(path, {"inputs": inputs, **passes.content_of(passes.Measured("references", "avx2", sums))})
    found = load()
    assert found
    assert (found.layers, found.kernel, [*found.sums]) == ("references", "avx2", [*sums])
    assert all(found.sums[key].tolist() == total.tolist() for key, total in sums.items())
    for text in (path.read_text().replace("0.1,", "0.2,"), path.read_text().replace("32", "33"), "[1]", "{", "{}"):
        path.write_text(text)
        with pytest.raises(VrcnnError, match=r"a\.json is damaged .*; remove it"):
            load()


@pytest.mark.parametrize("words", [["passes"], ["pairs", "loop"]])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            "--position after_sao --model joint_inter",
            "after_sao; --model joint_post or joint_sao or joint_sao_best has such; this set is for --position before_deblocking",
        ),
        ("--model joint_post", "joint_inter or joint_inter_best or joint_intra has such; this set is for --position after_sao"),
        ("--network-size huge", "unknown network size 'huge'; there are fast and best"),
        ("--position there", "unknown position 'there'"),
    ],
)
def test_networks_that_there_are_not_are_refused_before_anything_is_coded(
    tmp_path: Path, words: list[str], options: str, said: str
) -> None:
    """In the words of all other commands; the programs here would fail."""
    write_y4m(tmp_path / "a.y4m", media.pictures(1, 72, 72), 25)
    for name in ("x265", "x265-10bit", "dec265"):
        (tmp_path / name).write_text("#!/bin/sh\necho it was run >&2; exit 1\n")
        (tmp_path / name).chmod(0o755)
    out = tmp_path / "out"
    done = CliRunner().invoke(app, [*words, str(tmp_path / "a.y4m"), "--codecs", str(tmp_path), "--out", str(out), *options.split()])
    assert said in str(done.exception)
    assert not out.exists()


@pytest.mark.parametrize("results", ["file", "file/inside", "/proc/x"])
def test_a_folder_for_results_that_cannot_be_is_refused_before_anything_is_coded(tmp_path: Path, results: str) -> None:
    write_y4m(tmp_path / "a.y4m", media.pictures(1, 72, 72), 25)
    (tmp_path / "file").write_text("mine")
    for name in ("x265", "x265-10bit", "dec265"):
        (tmp_path / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran; exit 1\n")
        (tmp_path / name).chmod(0o755)
    done = CliRunner().invoke(app, ["passes", f"{tmp_path}/a.y4m", "--codecs", str(tmp_path), "--results", str(tmp_path / results)])
    assert re.fullmatch("cannot write into [^ ]*/passes: (Not a directory|No such file or directory)", str(done.exception))
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def tools() -> x265_loop.Tools:
    return x265_runs.tools()


def test_a_still_clip_has_the_passes_of_its_pictures(tools: x265_loop.Tools) -> None:
    still = media.pictures(1, 136, 104) * 4
    words = ("--vrcnn", "--vrcnn-model", "joint_intra", "--no-vrcnn-map", "--ref", "1")
    data = x265_loop.encode(tools, still, 38, configuration="ldp", options=words).data
    stream = dump(tools.decoder, data, "before_deblocking", motion=True)
    side = side_information(data)
    assert side[0]
    assert side[0].mode == "all"
    filtered = [said.choices(136, 104) > 0 if said else np.zeros((104, 136), np.bool_) for said in side]
    expected = 0
    for each, here, found in zip(stream, filtered, passes.of_references(stream, filtered), strict=True):
        assert each.motion is not None
        assert each.slice_type == ("P" if expected else "I")
        inter = passes.binned(each.motion, found, each.slice_type) > 1
        assert not found[~inter].any()
        assert (inter.mean() > 0.9) == (expected > 0)
        assert (found[inter] == expected).all()
        expected += bool(here.all())
    assert expected > 0
    off = [np.zeros((104, 136), np.bool_)] * 4
    assert not any(found.any() for found in passes.of_references(stream, off))


def test_the_command(tools: x265_loop.Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows by layer and by passes are sums of the same samples, and what they sum is what was coded."""
    clip = media.pictures(6, 136, 100)
    write_y4m(tmp_path / "a.y4m", clip, 25)
    out = tmp_path / "table.json"
    kept = tmp_path / "kept"
    common = ["passes", str(tmp_path / "a.y4m"), "--model", "joint_intra", "--frames", "6", "--results", str(kept)]
    words = [*common, "--qp", "27,38", "--out", str(out)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "layers: references" in done.output
    found = json.loads(out.read_text())
    assert (found["layers"], found["configuration"], found["codec"], len(found["model"])) == (["references"], "ra", "x265-loop", 64)
    assert (found["network_size"], found["kernel"], found["position"]) == ("best", "auto", "before_deblocking")
    (told,) = found["clips"]
    expected = {"name": "a", "width": 136, "height": 100, "bit_depth": 8, "rate": "25", "pictures": 6, "md5": samples_md5(clip)}
    assert {key: told[key] for key in expected} == expected
    assert found["provenance"]["model"] == found["model"]
    assert len(found["provenance"]["kernels"]) == 1
    programs = found["provenance"]["programs"]["x265-loop"]
    assert programs["encoder"].startswith("x265 3.")
    hashes = {"encoder": tools.encoder, "decoder": tools.decoder, "dec265": tools.decoder}
    assert {role: programs["files"][role] for role in hashes} == {role: file_hash(path) for role, path in hashes.items()}
    assert "git_revision" in found["provenance"]
    assert list(found["rows"]) == ["27", "38", "all"]
    for qp, rows in found["rows"].items():
        for plane, size in (("Y", 136 * 100), ("Cb", 68 * 50), ("Cr", 68 * 50)):
            totals = []
            for by in passes.BY:
                some = [row for row in rows if (row["by"], row["plane"]) == (by, plane)]
                assert sum(row["share"] for row in some) == pytest.approx(1)
                totals.append([sum(row[name] for row in some) for name in passes.COUNTS])
            assert totals[0] == totals[1]
            assert totals[0][0] == size * 6 * (1 + (qp == "all"))
            assert 0 < totals[0][1] <= totals[0][0]
            if qp != "all":
                # The file: programs that were built before a set changed have another one of the name.
                model = ("--vrcnn", "--vrcnn-model", str(builtin_path("joint_intra")))
                coded = x265_loop.encode(tools, clip, int(qp), configuration="ra", options=model)
                read = dump(tools.decoder, coded.data, "before_deblocking", model[1:])
                number = PLANES.index(plane)
                step = 1 + (number > 0)
                rest = slice(clip[0].planes[number].shape[0])
                chosen = [said.chroma_choices if number else said.choices for said in side_information(coded.data) if said]
                inside = [choices(136, 104)[:100:step, ::step] > 0 for choices in chosen]
                assert totals[0][1] == sum(int(here.sum()) for here in inside)
                for at, pictures in ((4, [each.picture for each in read]), (5, coded.recon)):
                    errors = [a.planes[number][rest].astype(int) - b.planes[number] for a, b in zip(pictures, clip, strict=True)]
                    assert totals[0][at] == sum(int((error**2).sum()) for error in errors)
            (intra,) = [row for row in rows if row["label"] == "intra, I picture" and row["plane"] == plane]
            (first,) = [row for row in rows if row["label"] == "0 I" and row["plane"] == plane]
            assert [intra[name] for name in passes.COUNTS] == [first[name] for name in passes.COUNTS]
    for row in found["rows"]["all"]:
        parts = [each for qp in ("27", "38") for each in found["rows"][qp] if all(each[k] == row[k] for k in ("by", "label", "plane"))]
        assert [sum(each[name] for each in parts) for name in passes.COUNTS] == [row[name] for name in passes.COUNTS]
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, VrcnnError)  # a file of that name is there
    # With what is kept, and one QP more, only that is coded.
    files = sorted((kept / "passes").iterdir())
    assert len(files) == 2
    qps: list[int] = []
    of_clip = passes.of_clip
    monkeypatch.setattr(passes, "of_clip", lambda *of: qps.append(of[-1].qp) or of_clip(*of))
    third = CliRunner().invoke(app, [*common, "--qp", "27,38,51", "--out", str(tmp_path / "three.json")])
    assert third.exit_code == 0, third.output
    assert qps == [51]
    three = json.loads((tmp_path / "three.json").read_text())
    assert [three["rows"][qp] for qp in ("27", "38")] == [found["rows"][qp] for qp in ("27", "38")]
    assert len(sorted((kept / "passes").iterdir())) == 3
    inside = CliRunner().invoke(app, [*common, "--out", str(kept / "passes/x.json")])
    assert "is where results are kept" in str(inside.exception)
    refused = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "other.json"), "--codec", "x265"])
    assert "x265 has no filter in a loop" in str(refused.exception)
    assert not (tmp_path / "other.json").exists()
