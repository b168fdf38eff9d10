"""Both command lines end to end, as their user runs them; a user's mistakes are one line and a non-zero exit."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.bitstream import nal
from codec_bridge.codecs import decoder, pyav
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.video.files import write_y4m, write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from vrcnn_int.integer import ModelSet, filter_plane
from vrcnn_int.io import pairs
from vrcnn_int.models import builtin_path, float_path


def command(module: str, *arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"{module}.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "COLUMNS": "200", **environment},
    )


def bridge(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    return command("codec_bridge", *arguments, **more)


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """One clear line on standard error, a non-zero exit, no traceback."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two 100x60 pictures of a real photograph: coded as 104x64, so that cropping matters."""
    from skimage import data

    from codec_bridge.video.picture import picture_from_rgb

    whole = picture_from_rgb(data.chelsea())
    pictures = []
    for x in (60, 160):
        y, u, v = whole.planes
        planes = y[80:140, x : x + 100], u[40:70, x // 2 : x // 2 + 50], v[40:70, x // 2 : x // 2 + 50]
        pictures.append(Picture(tuple(np.ascontiguousarray(p) for p in planes), 8, "420"))
    path = tmp_path_factory.mktemp("clip") / "cat.y4m"
    write_y4m(path, pictures, 25)
    return path


@pytest.fixture(scope="module")
def stream(clip: Path) -> Path:
    with open_video(clip) as video:
        path = clip.with_suffix(".hevc")
        path.write_bytes(pyav.encode(list(video), 32, filters=False).data)
    return path


def test_bdrate_writes_rows_means_and_provenance(clip: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.json", "r.csv", "r.png")]
    result = bridge("bdrate", "--sequences", clip, "--check", "--json", files[0], "--csv", files[1], "--plot", files[2])
    assert result.returncode == 0, result.stderr
    assert "cat" in result.stdout
    assert "no sample differs" in result.stdout
    document = json.loads(files[0].read_text())
    mean = document["means"][0]["variants"]
    figures = [f"{mean[variant][f'bd_rate_{plane}']:+.2f}" for variant in ("none", "integer") for plane in "yuv"]
    assert [line.split()[1:] for line in result.stdout.splitlines() if line.split()[:1] == ["mean"]] == [figures]
    assert len(document["rows"]) == 12
    assert isinstance(mean["integer"]["bd_rate_y"], float)
    assert document["provenance"]["model"] == ModelSet.load(builtin_path()).identity
    assert document["provenance"]["programs"]["x265"]["encoder"].startswith("x265 ")
    assert str(tmp_path) not in files[0].read_text()
    assert str(clip.parent) not in files[0].read_text()
    by_variant = {(row["variant"], row["qp"]): row for row in document["rows"]}
    for qp in (22, 27, 32, 37):
        none, network = by_variant["none", qp], by_variant["integer", qp]
        assert network["bits"] == none["bits"] + 2 * 16
        assert network["psnr_u"] == none["psnr_u"]
        assert network["psnr_y"] > none["psnr_y"]
    with open_video(clip) as video:
        originals = list(video)
    models = ModelSet.load(builtin_path())
    for index, qp in enumerate((22, 27, 32, 37)):
        coded = {}
        for variant, filters in (("anchor", True), ("none", False)):
            encoded = pyav.encode(originals, qp, filters=filters)
            coded[variant] = list(decoder.decode(encoded.data))
            assert by_variant[variant, qp]["bits"] == encoded.bits
        recon = coded["none"]
        coded["integer"] = [p.with_luma(filter_plane(models.networks[index], p.planes[0], 8)) for p in recon]
        for variant, pictures in coded.items():
            means = np.mean([picture_psnr(p.cropped(), original) for p, original in zip(pictures, originals, strict=True)], axis=0)
            assert [by_variant[variant, qp][f"psnr_{plane}"] for plane in "yuv"] == pytest.approx(means.tolist())
        assert by_variant["anchor", qp]["bits"] != by_variant["none", qp]["bits"]
    with files[1].open() as file:
        assert len(list(csv.DictReader(file))) == 12
    assert files[2].read_bytes().startswith(b"\x89PNG")


def test_networks_after_sao_read_the_anchor_s_pictures(clip: Path, tmp_path: Path) -> None:
    arguments = ["--position", "after_sao", "--check", "--json", tmp_path / "r.json"]
    result = bridge("bdrate", "--sequences", clip, *arguments)
    assert result.returncode == 0, result.stderr
    rows = {(row["variant"], row["qp"]): row for row in json.loads((tmp_path / "r.json").read_text())["rows"]}
    for qp in (22, 27, 32, 37):
        assert rows["integer", qp]["bits"] == rows["anchor", qp]["bits"] + 2 * 16
        assert rows["integer", qp]["psnr_u"] == rows["anchor", qp]["psnr_u"] != rows["none", qp]["psnr_u"]


def test_bdrate_is_the_same_again_and_with_other_workers(clip: Path, tmp_path: Path) -> None:
    figures = []
    for workers in (1, 3):
        path = tmp_path / f"{workers}.json"
        assert bridge("bdrate", "--sequences", clip, "--json", path, "--workers", workers).returncode == 0
        document = json.loads(path.read_text())
        means = {variant: mean["bd_rate_y"] for variant, mean in document["means"][0]["variants"].items()}
        figures.append((means, [{k: v for k, v in row.items() if "seconds" not in k} for row in document["rows"]]))
    assert figures[0] == figures[1]


def test_float_variant(clip: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the float variant needs torch: pip install 'vrcnn-int[train]'")
    path = tmp_path / "r.json"
    result = bridge("bdrate", "--sequences", clip, "--variants", "anchor,integer,float", "--json", path)
    assert result.returncode == 0, result.stderr
    mean = json.loads(path.read_text())["means"][0]["variants"]
    assert abs(mean["integer"]["bd_rate_y"] - mean["float"]["bd_rate_y"]) < 1


def test_float_networks_of_another_set_are_refused(clip: Path, tmp_path: Path) -> None:
    models = ModelSet.load(builtin_path())
    ModelSet(models.networks[::-1]).save(tmp_path / "other.vrcnn")
    (tmp_path / "other.float.npz").write_bytes(float_path(builtin_path()).read_bytes())
    result = bridge("bdrate", "--sequences", clip, "--variants", "anchor,float", "--model", tmp_path / "other.vrcnn")
    refused(result, "other.float.npz belongs to model set")


def test_check_agrees_on_streams_and_sizes(clip: Path) -> None:
    result = bridge("check", "--sequences", clip, "--qp", "30")
    assert result.returncode == 0, result.stderr
    assert "2 coded pictures, 13312 luma samples" in result.stdout  # 104x64: uncropped


def test_check_reads_streams_and_catches_a_flipped_bit(stream: Path, clip: Path, tmp_path: Path) -> None:
    for options in ((), ("--qp", "auto"), ("--qp", "32"), ("--qp", "32,22")):
        result = bridge("check", stream, *options)
        assert result.returncode == 0, result.stderr
        assert "2 coded pictures, 13312 luma samples" in result.stdout
    refused(bridge("check", stream, "--qp", "22"), "--qp auto")
    refused(bridge("check", "--sequences", clip, "--qp", "auto"), "--qp auto is for streams")
    data = stream.read_bytes()
    coded = [part for part in nal.split(data) if part.type < 32 or part.type == nal.SUFFIX_SEI]
    assert len(coded) == 4
    for part in coded:  # the slice and the hash of both pictures
        damaged = bytearray(data)
        damaged[data.index(part.data) + len(part.data) // 2] ^= 4
        (tmp_path / "damaged.hevc").write_bytes(damaged)
        refused(bridge("check", tmp_path / "damaged.hevc", "--qp", "32"), "picture")
    refused(bridge("check", tmp_path / "missing.hevc"), "missing.hevc")


@pytest.mark.parametrize("backend", ["c", "oracle"])
def test_filter_gives_the_oracle_s_pictures(stream: Path, clip: Path, tmp_path: Path, backend: str) -> None:
    out = tmp_path / "filtered.y4m"
    result = bridge("filter", stream, out, "--qp", 32, "--original", clip, "--backend", backend)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("->") == 6
    network = ModelSet.load(builtin_path()).networks[2]
    with open_video(stream, cropping=False) as decoded, open_video(out) as filtered:
        for before, after in zip(decoded, filtered, strict=True):
            expected = before.with_luma(filter_plane(network, before.planes[0], 8)).cropped()
            for a, b in zip(expected.planes, after.planes, strict=True):
                np.testing.assert_array_equal(a, b)


def test_filter_10_bit_yuv(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    planes = tuple(rng.integers(0, 1024, shape).astype(np.uint16) for shape in ((30, 44), (15, 22), (15, 22)))
    write_yuv(tmp_path / "in.yuv", [Picture(planes, 10, "420")])
    arguments = ["--size", "44x30", "--format", "yuv420p10le", "--index", 1, "--scale", 5]
    result = bridge("filter", tmp_path / "in.yuv", tmp_path / "out.yuv", *arguments)
    assert result.returncode == 0, result.stderr
    with open_video(tmp_path / "out.yuv", (44, 30), "yuv420p10le") as video:
        (picture,) = video
    np.testing.assert_array_equal(picture.planes[0], filter_plane(ModelSet.load(builtin_path()).networks[1], planes[0], 10, 5))
    np.testing.assert_array_equal(picture.planes[1], planes[1])


def test_bad_input_is_one_line_and_leaves_no_file(clip: Path, stream: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "o.yuv"
    out.parent.mkdir()
    damaged = tmp_path / "damaged.vrcnn"
    data = bytearray(builtin_path().read_bytes())
    data[5000] ^= 1
    damaged.write_bytes(data)
    foreign = tmp_path / "foreign.vrcnn"
    foreign.write_bytes(b"\x7fELF" + bytes(1000))
    short = tmp_path / "short.yuv"
    short.write_bytes(bytes(44 * 30 * 3 // 2 + 7))
    flipped = tmp_path / "flipped.hevc"
    bits = bytearray(stream.read_bytes())
    bits[-60] ^= 16
    flipped.write_bytes(bits)
    refused(bridge("filter", tmp_path / "missing.mkv", out, "--qp", 32), "missing.mkv")
    refused(bridge("filter", short, out, "--qp", 32, "--size", "44x30", "--format", "yuv420p"), "short.yuv", "1987")
    refused(bridge("filter", short, out, "--qp", 32, "--size", "45x30", "--format", "yuv420p"), "45")
    refused(bridge("filter", short, out, "--qp", 32, "--size", "44x30", "--format", "yuv420p12le"), "yuv420p12le")
    refused(bridge("filter", short, out, "--qp", 32, "--size", "44by30"), "44by30")
    refused(bridge("filter", clip, out, "--qp", 32, "--model", damaged), "damaged.vrcnn", "damaged")
    refused(bridge("filter", clip, out, "--qp", 32, "--model", foreign), "foreign.vrcnn", "not a vrcnn-int model set")
    refused(bridge("filter", clip, out, "--qp", 32, "--kernel", "nonsense"), "nonsense", "scalar")
    refused(bridge("filter", clip, out, "--qp", 32, "--backend", "nonsense"), "nonsense")
    refused(bridge("filter", clip, out), "does not say at what QP", "give --qp")
    refused(bridge("filter", clip, out, "--index", 30), "no network 30")
    refused(bridge("filter", flipped, out, "--qp", 32), "flipped.hevc")
    refused(bridge("filter", clip, tmp_path / "o.avi", "--qp", 32), ".yuv, .y4m, .mkv or .mp4")
    refused(bridge("filter", clip, tmp_path / "no" / "folder" / "o.yuv", "--qp", 32), "cannot write")
    assert list(out.parent.iterdir()) == []
    refused(bridge("bdrate", "--sequences", clip, "--qp", "22,27,32"), "four QPs")
    refused(bridge("bdrate", "--sequences", clip, "--qp", "22,27,x"), "whole numbers")
    refused(bridge("bdrate", "--sequences", clip, "--variants", "integer"), "anchor")
    refused(bridge("bdrate", "--sequences", clip, "--variants", "anchor,best"), "best")
    refused(bridge("bdrate", "--sequences", clip, "--variants", "anchor,none,none"), "twice")
    refused(bridge("bdrate", "--sequences", clip, "--codec", "x266"), "x266")
    refused(bridge("bdrate", "--sequences", "ctc:B", VRCNN_SEQUENCES=str(tmp_path)), "VRCNN_SEQUENCES")
    refused(bridge("check", "--sequences", clip, "--model", damaged), "damaged.vrcnn")
    ModelSet(ModelSet.load(builtin_path()).networks[:1]).save(tmp_path / "before.vrcnn")
    refused(bridge("check", "--sequences", clip, "--position", "after_sao", "--model", tmp_path / "before.vrcnn"), "after_sao")


def test_usage_errors_and_help() -> None:
    result = bridge("filter")
    assert result.returncode == 2
    assert "Usage:" in result.stderr
    assert "Traceback" not in result.stderr
    result = bridge("bdrate", "--help")
    assert result.returncode == 0
    assert "--variants" in result.stdout


def test_pairs_are_the_coded_and_original_luma(clip: Path, stream: Path, tmp_path: Path) -> None:
    result = bridge("pairs", "make", clip, stream, "--out", tmp_path / "p.npz", "--qp", 32)
    assert result.returncode == 0, result.stderr
    found = pairs.read(tmp_path / "p.npz")
    assert found.meta["position"] == "before_deblocking"
    with open_video(clip) as original, open_video(stream) as recon:
        for a, b, left, right in zip(original, recon, found.original, found.recon, strict=True):
            np.testing.assert_array_equal(a.planes[0], left)
            np.testing.assert_array_equal(b.planes[0], right)
    with open_video(clip) as video:
        write_yuv(tmp_path / "one.yuv", list(video)[:1])
    wrong = bridge(
        "pairs", "make", clip, tmp_path / "one.yuv", "--out", tmp_path / "q.npz", "--qp", 32, "--size", "100x60", "--format", "yuv420p"
    )
    refused(wrong, "ends after 1 picture,")
    assert not (tmp_path / "q.npz").exists()


def test_pairs_from_a_folder_of_pictures(tmp_path: Path) -> None:
    from skimage import io

    from codec_bridge.video.picture import picture_from_rgb

    rng = np.random.default_rng(1)
    folder = tmp_path / "originals"
    folder.mkdir()
    pictures = []
    for name in ("a", "b"):
        array = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
        io.imsave(folder / f"{name}.png", array, check_contrast=False)
        pictures.append(picture_from_rgb(array))
    write_yuv(tmp_path / "recon.yuv", pictures[::-1])
    options = ["--out", tmp_path / "p.npz", "--qp", 27, "--size", "64x48", "--format", "yuv420p"]
    result = bridge("pairs", "make", folder, tmp_path / "recon.yuv", *options)
    assert result.returncode == 0, result.stderr
    found = pairs.read(tmp_path / "p.npz")
    np.testing.assert_array_equal(found.original[0], pictures[0].planes[0])
    np.testing.assert_array_equal(found.recon[0], pictures[1].planes[0])
    assert bridge("pairs", "make", folder, tmp_path / "recon.yuv", *options, "--frames", 1, "--force").returncode == 0
    assert len(pairs.read(tmp_path / "p.npz").recon) == 1


def test_evaluation_of_10_bit_and_of_luma_alone(clip: Path, tmp_path: Path) -> None:
    with open_video(clip) as video:
        eight = list(video)
    ten = [Picture(tuple(plane.astype(np.uint16) * 4 + 1 for plane in picture.planes), 10, "420") for picture in eight]
    write_y4m(tmp_path / "ten.y4m", ten, 25)
    write_y4m(tmp_path / "luma.y4m", [Picture(picture.planes[:1], 8, "400") for picture in eight], 25)
    for name in ("ten", "luma"):
        result = bridge("bdrate", "--sequences", tmp_path / f"{name}.y4m", "--check", "--json", tmp_path / "r.json", "--frames", 1)
        assert result.returncode == 0, result.stderr
        assert "4 coded pictures, 26624 luma samples" in result.stdout
        mean = json.loads((tmp_path / "r.json").read_text())["means"][0]["variants"]["integer"]
        assert (mean["bd_rate_u"] is None) == (name == "luma")


def test_training_commands_make_a_set_that_filters(clip: Path, stream: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch: pip install 'vrcnn-int[train]'")
    assert bridge("pairs", "make", clip, stream, "--out", tmp_path / "p.npz", "--qp", 32).returncode == 0
    settings = ["float_steps=3", "weight_steps=2", "bound_steps=2", "batch=2", "patch=24", "precision=fp32"]
    options = [word for setting in settings for word in ("--set", setting)]
    trained = command("vrcnn_int", "train", tmp_path / "p.npz", "--validate", tmp_path / "p.npz", "--out", tmp_path / "run", *options)
    assert trained.returncode == 0, trained.stderr
    assert "filtered" in trained.stdout
    made = command("vrcnn_int", "quantize", tmp_path / "run", "--out", tmp_path / "mine.vrcnn")
    assert made.returncode == 0, made.stderr
    header = tmp_path / "mine.h"
    exported = command("vrcnn_int", "export", tmp_path / "mine.vrcnn", "--header", header, "--binary", tmp_path / "again.vrcnn")
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "again.vrcnn").read_bytes() == (tmp_path / "mine.vrcnn").read_bytes()
    shown = command("vrcnn_int", "inspect", tmp_path / "mine.vrcnn")
    assert ModelSet.load(tmp_path / "mine.vrcnn").identity in shown.stdout
    assert "5x5, 64 -> 16" in shown.stdout
    checked = bridge("check", "--sequences", clip, "--qp", "32", "--model", tmp_path / "mine.vrcnn")
    assert checked.returncode == 0, checked.stderr
    refused(
        command("vrcnn_int", "train", tmp_path / "p.npz", "--validate", tmp_path / "p.npz", "--out", tmp_path, "--set", "stepps=3"),
        "stepps",
    )
    refused(command("vrcnn_int", "quantize", tmp_path, "--out", tmp_path / "x.vrcnn"), "training is not finished")
    refused(command("vrcnn_int", "quantize", tmp_path / "run/tuned.npz", "--out", tmp_path / "x.vrcnn"), "tuned network")
    assert command("vrcnn_int", "quantize", tmp_path / "run/float.npz", "--out", tmp_path / "x.vrcnn").returncode == 0
    refused(command("vrcnn_int", "export", tmp_path / "mine.vrcnn", "--header", tmp_path / "x.h", "--name", "1x"), "C identifier")


def test_inspect_shows_the_shipped_set() -> None:
    result = command("vrcnn_int", "inspect")
    assert result.returncode == 0, result.stderr
    assert ModelSet.load(builtin_path()).identity in result.stdout
    assert result.stdout.count("54.5 kMAC a sample") == len(ModelSet.load(builtin_path()).networks)


def test_shipped_sets_have_names(clip: Path, tmp_path: Path) -> None:
    result = command("vrcnn_int", "inspect", "joint_intra")
    assert result.returncode == 0, result.stderr
    assert ModelSet.load(builtin_path("joint_intra")).identity in result.stdout
    (tmp_path / "joint_intra").write_text("a file of that name")
    for model, works in (("joint_intra", True), ("./joint_intra", False), ("no_such_set", False)):
        result = command("codec_bridge", "filter", clip, "out.y4m", "--qp", 32, "--model", model, "--force", cwd=tmp_path)
        assert (result.returncode == 0) is works, result.stderr
        assert works or model.strip("./") in result.stderr


def test_names_with_brackets_and_dollars_are_printed_as_they_are(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "cl$ip_$x[red].y4m"
    source.write_bytes(clip.read_bytes())
    result = bridge("bdrate", "--sequences", source, "--frames", 1, "--plot", tmp_path / "r.png", "--csv", tmp_path / "[r].csv")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("cl$ip_$x[red]") >= 2
    assert "[r].csv" in result.stdout
    with (tmp_path / "[r].csv").open() as file:
        assert "x265" in next(csv.DictReader(file))["encoder"]


def test_mistakes_are_found_before_the_work(clip: Path, tmp_path: Path) -> None:
    def bdrate(*arguments: object) -> subprocess.CompletedProcess[str]:
        return bridge("bdrate", "--sequences", clip, *arguments)

    refused(bdrate("--method", "spline"), "spline", "pchip")
    refused(bdrate("--json", tmp_path), "is a folder")
    refused(bdrate("--json", tmp_path / "a", "--csv", tmp_path / "a"), "a file of its own")
    refused(bdrate("--plot", tmp_path / "a.jpg"), ".png")
    refused(bdrate("--json", clip / "a.json"), "cat.y4m")
    refused(bdrate("--position", "somewhere"), "unknown position")
    refused(bdrate("--sequences", clip), "2 sequences are called cat")
    refused(bridge("check", clip, "--sequences", clip), "either streams or --sequences")
    refused(bridge("check", clip), "cat.y4m")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing(stream: Path, tmp_path: Path) -> None:
    program = f"ulimit -f 4; exec {sys.executable} -m codec_bridge.cli filter {stream} {tmp_path / 'o.yuv'} --qp 32"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    refused(subprocess.run(["sh", "-c", program], capture_output=True, text=True, env=environment), "File too large")
    assert list(tmp_path.iterdir()) == []


def test_termination_leaves_no_temporary_file(tmp_path: Path) -> None:
    big = Picture((np.zeros((1080, 1920), np.uint8),), 8, "400")
    write_y4m(tmp_path / "in.y4m", [big] * 4, 25)
    process = subprocess.Popen(
        [sys.executable, "-m", "codec_bridge.cli", "filter", str(tmp_path / "in.y4m"), str(tmp_path / "o.yuv"), "--qp", "32"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    for _ in range(300):
        if len(list(tmp_path.iterdir())) > 1:
            break
        time.sleep(0.1)
    assert len(list(tmp_path.iterdir())) == 2
    process.terminate()
    assert process.wait(60) == 128 + signal.SIGTERM
    assert [path.name for path in tmp_path.iterdir()] == ["in.y4m"]


def interrupted(arguments: list[object], seconds: float, begun: Path) -> str:
    """Ctrl-C some seconds after a file appeared ends a command with the shells' exit code, and says so last on standard error."""
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, arguments)],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    for _ in range(600):
        if begun.exists():
            break
        time.sleep(0.1)
    time.sleep(seconds)
    assert process.poll() is None, "the command ended before it could be interrupted"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.strip().endswith("interrupted")
    assert "Traceback" not in errors
    return errors


def test_an_interrupted_evaluation_leaves_no_result(tmp_path: Path) -> None:
    kept, document = tmp_path / "results", tmp_path / "r.json"
    arguments = ["codec_bridge.cli", "bdrate", "--check", "--json", document, "--results", kept, "--workers", 1]
    errors = interrupted(arguments, 0, begun=kept / "jobs")
    assert f"results are kept in {kept}; the same command goes on from there" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["results"]


def test_interrupted_training_leaves_a_checkpoint(clip: Path, stream: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="training needs torch: pip install 'vrcnn-int[train]'")
    assert bridge("pairs", "make", clip, stream, "--out", tmp_path / "p.npz", "--qp", 32).returncode == 0
    pair_file, run = tmp_path / "p.npz", tmp_path / "run"
    arguments = ["vrcnn_int.cli", "train", pair_file, "--validate", pair_file, "--out", run, "--set", "patch=24"]
    interrupted(arguments, 2, begun=run / "settings.json")
    assert (run / "checkpoint.pt").is_file()
    assert not (run / "tuned.npz").exists()
