"""Codecs that a plan describes by command lines: evaluated, gated and kept like the others, and compared across codecs."""

import json
import math
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.cli.commands import app
from codec_bridge.codecs.base import Request
from codec_bridge.codecs.external.commands import Commands
from codec_bridge.evaluation.plan import PlanError, load
from codec_bridge.figures.bd_rate import bd_rate
from codec_bridge.figures.metrics import IDENTICAL
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.codec_bridge.evaluation.test_jobs import moving
from vrcnn_int.errors import VrcnnError

PROGRAM = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).parents[2] / 'support' / 'packing_codec.py'))}"
LOG = "PSNR Mean Y:(?P<psnr_y>[0-9.]+)\\ncoded (?P<pictures>[0-9]+) frames"


def codec(name: str, **more: Any) -> str:
    """A table of a plan."""
    values = {
        "name": name,
        "encode": f"{PROGRAM} encode {{input}} {{output}} {{recon}} {{qp}} {{width}} {{height}} {{chroma}}",
        "decode": f"{PROGRAM} decode {{input}} {{output}}",
        "version": f"{PROGRAM} version",
    } | more
    return "[[codec]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items() if value is not None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_y4m(tmp_path / "cat.y4m", moving(2), 25)
    return tmp_path


def plan(folder: Path, *tables: str, top: str = "") -> Path:
    (folder / "plan.toml").write_text("\n".join(['sequences = ["cat.y4m"]', "frames = 2", top, *tables]))
    return folder / "plan.toml"


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["bdrate", *map(str, words), "--workers", "1"], env={"COLUMNS": "160"})
    assert done.exit_code == code, done.output + repr(done.exception)
    return done.output


def evaluate(folder: Path, *words: object, code: int = 0) -> dict[str, Any]:
    run("--plan", folder / "plan.toml", "--allow-programs", "--json", folder / "r.json", *words, code=code)
    document: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return document


def test_a_plan_s_own_codecs_are_evaluated_and_compared(folder: Path) -> None:
    """Of two codecs with other QPs the second is compared with the first, as bd_rate says; the page draws both."""
    plan(folder, codec("fine", log=LOG), codec("coarse", qps=[24, 29, 34, 40], input="y4m", suffix=".z"), top='against = "fine"')
    document = evaluate(folder, "--results", folder / "results", "--html", folder / "page.html", "--markdown", folder / "t.md")
    rows = document["rows"]
    assert [row["flag"] for row in rows] == [None] * 8
    assert {(row["codec"], row["variant"], row["encoder"]) for row in rows} == {
        (n, "anchor", "packing codec 1.2") for n in ("fine", "coarse")
    }
    assert all(str(folder) not in json.dumps(row) for row in rows)
    assert rows[0]["command"].endswith(" packing_codec.py encode {input} {output} {recon} 22 80 64 420")
    files = document["provenance"]["programs"]["fine"]["files"]
    assert {"encoder", "decoder", "packing_codec.py"} <= set(files)
    anchor, test = ([(row["bits"], row["psnr_y"]) for row in rows if row["codec"] == name] for name in ("fine", "coarse"))
    by_codec = {entry["codec"]: entry["variants"] for entry in document["sequences"]}
    assert by_codec["fine"] == {}
    assert math.isclose(by_codec["coarse"]["anchor"]["bd_rate_y"], bd_rate(anchor, test).bd_rate)
    assert by_codec["coarse"]["anchor"]["gains_y"] == [], "equal QPs of two codecs are nothing alike"
    assert [mean["codec"] for mean in document["means"]] == ["coarse"]
    page = (folder / "page.html").read_text()
    assert "BD-rate against fine" in page
    assert "QP 22, 27, 32, 37; coarse 24, 29, 34, 40" in page
    assert 'aria-label="BD-rate by class, coarse, all intra"' in page
    assert 'aria-label="BD-rate by class, fine, all intra"' not in page, "nothing of it is compared"
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert data["reference"] == "anchor of fine"
    (curve,) = [curve for curve in data["curves"] if "coarse" in curve["label"]]
    assert [point["qp"] for point in curve["variants"]["anchor of fine"]] == [37, 32, 27, 22]
    assert [point["qp"] for point in curve["variants"]["anchor"]] == [40, 34, 29, 24]
    assert curve["gains"]["anchor"]["y"]
    assert "BD-rate against the anchor of fine in the same configuration" in (folder / "t.md").read_text()
    again = run("--plan", folder / "plan.toml", "--allow-programs", "--results", folder / "results")
    assert "0 jobs done, 8 done before" in again
    assert "model set" not in again
    said = [line.split() for line in again.splitlines()]
    assert [3 * ["as"], 3 * ["coded"], ["sequence", "pictures", "Y", "Cb", "Cr"]] in [said[at : at + 3] for at in range(len(said))]
    assert any(words[:2] == ["as", "coded"] and len(words) > 3 for words in said), "the table of costs, too"
    assert "(cat, as coded)" in again
    assert "anchor" not in " ".join(again.split()).replace("anchor of fine", "").replace("% of the anchor's", "")
    assert '<th class="text" scope="col">variant</th>' in page
    assert ">filter</th>" not in page
    assert "| as coded |" in (folder / "t.md").read_text()


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit code", "encoder of pack failed (exit code 3): error: no memory"),
        ("empty", "the encoder of pack wrote no stream"),
        ("pipe", "the encoder of pack wrote no stream: stream.bin is not a file"),
        ("endless", "the encoder of pack wrote no pictures: recon.yuv is not a file"),
        ("picture lost", "2 pictures coded, 1 decoded"),
        ("count", "the encoder of pack was given 2 pictures, its log has 1 and its reconstruction 2"),
        ("reconstruction", "picture 1: encoder and decoder differ in plane Cr"),
        ("psnr", "the encoder of pack says a luma PSNR of"),
    ],
)
def test_the_gates(fault: str, words: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that does not pass has no figures, and is run again when what was wrong is mended; the others are not."""
    plan(folder, codec("pack", log=LOG), top='stream_cache = "streams"')
    monkeypatch.setenv("PACKING_FAULT", fault)
    flags = {row["qp"]: row["flag"] for row in evaluate(folder, "--results", folder / "results", code=1)["rows"]}
    assert words in flags.pop(32)
    assert set(flags.values()) == {None}
    monkeypatch.delenv("PACKING_FAULT")
    monkeypatch.setenv("PACKING_RUNS", str(folder / "runs"))
    run("--plan", folder / "plan.toml", "--allow-programs", "--results", folder / "results")
    assert (folder / "runs").read_text() == "32\n"


def test_coding_without_loss_passes_the_gate_of_the_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides' PSNR is infinite; where one alone is, the pictures are others."""
    plan(folder, codec("pack", log="PSNR Mean Y:(?P<psnr_y>[0-9.]+|inf)"))
    monkeypatch.setenv("PACKING_FAULT", "lossless")
    rows = {row["qp"]: row for row in evaluate(folder)["rows"]}
    assert (rows[32]["flag"], rows[32]["psnr_y"]) == (None, IDENTICAL)
    monkeypatch.setenv("PACKING_FAULT", "inf")
    flag = {row["qp"]: row["flag"] for row in evaluate(folder, code=1)["rows"]}[32]
    assert re.search(r"says a luma PSNR of inf dB, the decoder's pictures have 3[\d.]+ dB: they are not its own", flag)


def test_the_log_alone_tells_that_the_pictures_are_the_encoder_s(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = f"{PROGRAM} encode {{input}} {{output}} /dev/null {{qp}} {{width}} {{height}} {{chroma}}"
    plan(folder, codec("pack", encode=encode, log="PSNR Mean Y:(?P<psnr_y>[0-9.]+)"))
    assert {row["flag"] for row in evaluate(folder)["rows"]} == {None}
    monkeypatch.setenv("PACKING_FAULT", "psnr")
    flag = {row["qp"]: row["flag"] for row in evaluate(folder, code=1)["rows"]}[32]
    assert re.search(r"says a luma PSNR of 3[\d.]+ dB, the decoder's pictures have 3[\d.]+ dB: they are not its own", flag)


def test_streams_are_kept_for_other_evaluations(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKING_RUNS", str(folder / "runs"))
    plan(folder, codec("pack"), top='stream_cache = "streams"')
    first = evaluate(folder)["rows"]
    again = evaluate(folder)["rows"]
    assert [(row["bits"], row["psnr_y"]) for row in again] == [(row["bits"], row["psnr_y"]) for row in first]
    assert len((folder / "runs").read_text().split()) == 4
    plan(folder, codec("pack", suffix=".zz"), top='stream_cache = "streams"')
    evaluate(folder)
    assert len((folder / "runs").read_text().split()) == 8, "another command line is another stream"


def test_every_group_of_a_log_pattern_is_compared(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where they are found in different places, and one that is in none is no gate that is open."""
    encode = f"{PROGRAM} encode {{input}} {{output}} /dev/null {{qp}} {{width}} {{height}} {{chroma}}"
    plan(folder, codec("pack", encode=encode, log="PSNR Mean Y:(?P<psnr_y>[0-9.]+)|coded (?P<pictures>[0-9]+) frames"))
    assert {row["flag"] for row in evaluate(folder)["rows"]} == {None}
    for fault, words in (("psnr", "says a luma PSNR of"), ("count", "was given 2 pictures, its log has 1")):
        monkeypatch.setenv("PACKING_FAULT", fault)
        assert words in {row["qp"]: row["flag"] for row in evaluate(folder, code=1)["rows"]}[32]
    plan(folder, codec("pack", encode=encode, log="coded (?P<pictures>[0-9]+) frames|SNR: (?P<psnr_y>[0-9.]+)"))
    assert "log has nothing like" in evaluate(folder, code=1)["rows"][0]["flag"]
    assert "which is to say psnr_y" in evaluate(folder, code=1)["rows"][0]["flag"]


def test_files_of_command_lines_are_part_of_the_key(folder: Path) -> None:
    """Files of one name in two folders, one called like a role, and one behind an option."""
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "same.cfg").write_text(name)
    (folder / "decoder").write_text("c")
    (folder / "d.cfg").write_text("d")
    words = f"{'x' * 300} a/same.cfg b/same.cfg decoder --config=d.cfg"
    commands = Commands("pack", f"{sys.executable} {words} {{input}} {{output}} {{qp}} {{recon}}", "cat {input} {output}", folder)
    assert {name: path.read_text() for name, path in commands.files.items()} == {
        "same.cfg": "a",
        "same.cfg (2)": "b",
        "decoder (2)": "c",
        "d.cfg": "d",
    }
    request = Request(22, moving(1)[0], 1)
    assert commands.template(commands.encode, request)[2:6] == ["same.cfg", "same.cfg", "decoder", "--config=d.cfg"]
    places = {name: folder / name for name in ("input", "output", "recon")}
    assert commands.command(commands.encode, request, places)[5] == f"--config={folder / 'd.cfg'}"


def test_braces_are_no_reconstruction(folder: Path) -> None:
    with pytest.raises(CodecError, match="nothing would tell"):
        Commands("pack", "pack {input} {output} {qp} {{recon}}", "pack {input} {output}", folder)


def test_gray_pictures(folder: Path) -> None:
    rng = np.random.default_rng(3)
    pictures = [Picture((rng.integers(0, 256, (32, 48)).astype(np.uint8),), 8, "400") for _ in range(2)]
    write_y4m(folder / "cat.y4m", pictures, 25)
    plan(folder, codec("pack", log=LOG))
    rows = evaluate(folder)["rows"]
    assert [row["flag"] for row in rows] == [None] * 4
    assert {row["psnr_u"] for row in rows} == {None}


def test_programs_run_only_when_they_may(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKING_RUNS", str(folder / "runs"))
    plan(folder, codec("pack"))
    for words in ((), ("--dry-run",)):
        done = CliRunner().invoke(app, ["bdrate", "--plan", str(folder / "plan.toml"), *words])
        assert isinstance(done.exception, PlanError)
        assert str(done.exception).endswith(
            "names what is to run here: codec pack: encode and 2 more; give --allow-programs if you trust it"
        )
        said = [line.strip().partition(" = ")[0] for line in done.output.splitlines()]
        assert said[1:4] == [f"codec pack: {key}" for key in ("encode", "decode", "version")], "a command a line"
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("table", "top", "words"),
    [
        (codec("x265"), "", "codec x265: there is such a codec already"),
        (codec("Pack"), "", "a name has small letters"),
        (codec("pack", encode="pack {input} {output}"), "", "encode lacks {qp}"),
        (codec("pack", decode="pack {input} -"), "", "decode lacks {output}"),
        (codec("pack", encode="pack {input} {output} {qp} {crf}"), "", "{crf} is unknown; there are {input}"),
        (codec("pack", encode="pack {input} {output} {qp:03d} {recon}"), "", "a placeholder is a name alone"),
        (codec("pack", encode="pack {input} {output} {qp.real} {recon}"), "", "{qp.real} is unknown"),
        (codec("pack", encode='pack "{input} {output} {qp} {recon}'), "", "encode: No closing quotation"),
        (codec("pack", decode="no-such-program {input} {output}"), "", "there is no program no-such-program"),
        (codec("pack", encode="pack {input} {output} {qp}"), "", "nothing would tell that the decoder has the encoder's pictures"),
        (codec("pack", log="PSNR ([0-9.]+)"), "", "log: name its groups"),
        (codec("pack", log="(?P<psnr_y>["), "", "codec pack: log: "),
        (codec("pack", input="mkv"), "", "input 'mkv' is neither yuv nor y4m"),
        (codec("pack", suffix="/../x"), "", "is not an ending"),
        (codec("pack", configuration="All intra"), "", "is not a word such as ai"),
        (codec("pack", qps=[22, 27, 32, 256]), "", "QP 256 is not in 0..255"),
        (codec("pack", qps=[22, 27, 32]), "", None),
        (codec("pack") + codec("pack"), "", "two tables have one name"),
        (codec("pack"), 'against = "hm"', "against: 'hm' is not among the plan's codecs"),
        (codec("pack") + codec("other", configuration="ra"), 'against = "pack"', "pack has no anchor in configuration ra, which other has"),
        (codec("pack", shell=True), "", "unknown key codec[0].shell"),
    ],
)
def test_tables_that_are_refused(table: str, top: str, words: str | None, folder: Path) -> None:
    path = plan(folder, table, top=top)
    if words is None:
        with pytest.raises(PlanError, match="at least four QPs"):
            load(path, lambda _: True).check_curves()
        return
    with pytest.raises(VrcnnError) as caught:
        load(path, lambda _: True)
    assert words in str(caught.value)


@pytest.mark.skipif(not (shutil.which("x264") and shutil.which("ffmpeg")), reason="needs x264 and FFmpeg: apt-get install x264 ffmpeg")
def test_x264(folder: Path) -> None:
    """A real encoder: its reconstruction and its log are those of another's decoder."""
    encode = "x264 --qp {qp} --psnr --tune psnr --threads 1 --input-res {width}x{height} --dump-yuv {recon} -o {output} {input}"
    decode = "ffmpeg -v error -i {input} -f rawvideo -pix_fmt {format} {output}"
    table = codec("x264", encode=encode, decode=decode, version="x264 --version", suffix=".264", log="PSNR Mean Y:(?P<psnr_y>[0-9.]+)")
    plan(folder, table, codec("pack"), top='against = "x264"')
    rows = evaluate(folder)["rows"]
    assert [row["flag"] for row in rows] == [None] * 8
    assert rows[0]["encoder"].startswith("x264 ")
