"""What a new user reads: counts and notes that are true, and advice that the command which gives it takes."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.cli import commands, filter
from codec_bridge.cli.evaluation import planes_of, say_checked
from codec_bridge.codecs import pyav
from codec_bridge.evaluation.settings import FAR, Settings, far_qps
from codec_bridge.figures.metrics import IDENTICAL
from codec_bridge.video.files import write_y4m
from codec_bridge.video.picture import Picture
from tests.support import media
from tests.support.models import joint_set
from vrcnn_int.cli import commands as own_commands
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.io import console
from vrcnn_int.models import builtin_path, set_names
from vrcnn_int.text import counted

MODELS = ModelSet.load(builtin_path())
POST = ModelSet.load(builtin_path("joint_post"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Streams of a picture at QP 29 and of two at QP 22, without filters in the loop, and their original."""
    path = tmp_path_factory.mktemp("streams")
    pictures = media.pictures(2, 64, 48)
    (path / "q22.hevc").write_bytes(pyav.encode(pictures, 22, filters=False).data)
    (path / "q29.hevc").write_bytes(pyav.encode(pictures[:1], 29, filters=False).data)
    write_y4m(path / "original.y4m", pictures, 25)
    ModelSet(tuple(network for network in MODELS.networks if network.qp == 37)).save(path / "q37.vrcnn")
    ModelSet(tuple(network for network in MODELS.networks if network.position == "after_sao")).save(path / "after.vrcnn")
    return path


@pytest.fixture(autouse=True)
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(folder)
    return


def bridge(words: str) -> str:
    """What it prints; raises what it raises."""
    return CliRunner().invoke(commands.app, shlex.split(words), catch_exceptions=False, env={"COLUMNS": "300"}).output


@pytest.mark.parametrize("options", ["", "--qp auto", "--qp 29", "--qp 27,31", "--qp 22,37 --trust-options"])
def test_a_stream_s_picture_is_checked_and_counted_once(options: str) -> None:
    assert "q29.hevc: bit-consistency: 1 coded picture, 3072 luma samples" in bridge(f"check q29.hevc {options}")


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("check q29.hevc --qp 37", "--qp auto"),
        ("filter q29.hevc o.y4m --force --qp 37", "--qp auto"),
        ("pairs make original.y4m q29.hevc --frames 1 --out p.npz --force --qp 37", "--qp auto"),
        ("check q29.hevc --position after_sao", "--position before_deblocking"),
        ("filter q29.hevc o.y4m --force --qp 29 --position after_sao", "--position before_deblocking"),
        ("pairs make original.y4m q29.hevc --frames 1 --out p.npz --force --qp 29 --position after_sao", "--position before_deblocking"),
        ("filter q29.hevc o.y4m --force --index 15", "--index 0"),
    ],
)
def test_advice_is_taken_by_the_command_that_gives_it(words: str, option: str) -> None:
    with pytest.raises(VrcnnError, match=f"give {option}.* or --trust-options"):
        bridge(words)
    name, value = option.split()
    for better in (re.sub(f"{name} \\S+", f"{name} {value}", words), f"{words} --trust-options"):
        assert bridge(better)


def test_a_network_of_the_other_position_is_no_advice_where_there_is_none() -> None:
    with pytest.raises(VrcnnError, match="give another --model: this set has no network that is before_deblocking, or --trust"):
        bridge("filter q29.hevc o.y4m --force --index 0 --model after.vrcnn")
    with pytest.raises(VrcnnError, match="give --index 0 to 11, or --trust-options"):
        bridge("filter q29.hevc o.y4m --force --index 12")


def test_the_closing_line_names_networks_their_qps_and_what_filtered() -> None:
    assert (
        f"wrote o.y4m: 1 picture, before_deblocking by network 3 (QP 37; luma) of set {MODELS.identity[:16]} (vrcnn_intra), by"
        in bridge("filter q29.hevc o.y4m --force --index 3")
    )
    output = bridge("filter q22.hevc o.y4m --force --qp auto --backend oracle")
    assert re.search(
        r"wrote o.y4m: 2 pictures, before_deblocking by network 0 \(QP 22; luma\) of set [0-9a-f]{16} \(.*\), by the oracle\n", output
    )
    # A video that says nothing of its coding, and sets that have a name, or none.
    for options, said in (
        ("--position after_sao", f"after_sao by network 1 (QP 27; joint, fast) of set {POST.identity[:16]} (joint_post), by the C"),
        ("--model q37.vrcnn", f"before_deblocking by network 0 (QP 37; luma) of set {ModelSet.load('q37.vrcnn').identity[:16]}, by the C"),
    ):
        assert f"wrote o.y4m: 2 pictures, {said}" in bridge(f"filter original.y4m o.y4m --force --qp 27 {options}")
    assert "by the C library" in bridge("filter q22.hevc o.y4m --force --qp auto")
    assert bridge("filter q22.hevc o.y4m --force") == bridge("filter q22.hevc o.y4m --force --qp auto")
    with pytest.raises(VrcnnError, match=r"original.y4m does not say at what QP it was coded, as HEVC and H.264 streams do: give --qp"):
        bridge("filter original.y4m o.y4m --force")
    with pytest.raises(VrcnnError, match="either --qp or --index"):
        bridge("filter q22.hevc o.y4m --force --qp auto --index 0")
    models = joint_set(luma=True)
    said = f"before_deblocking by networks 2, 4 (QP 27, 37; joint, best) of set {models.identity[:16]}"
    assert filter.networks_text(models, [2, 4]) == said


@pytest.mark.parametrize(
    "words", ["filter q22.hevc o.y4m --force --qp auto", "check q22.hevc", "filter original.y4m o.y4m --force --qp 22"]
)
def test_a_network_for_another_qp_is_said(words: str) -> None:
    note = "note: QP 22 is filtered by the network for QP 37, the nearest of the set\n"
    assert bridge(f"{words} --model q37.vrcnn").count(note) == 1
    assert "note" not in bridge(words)


def test_networks_of_a_stream_s_own_position_are_taken_or_named(tmp_path: Path) -> None:
    """Also by a set that has no others; where a set has none, those with networks of its kind are named, and no other position."""
    stream = tmp_path / "deblocked.hevc"
    stream.write_bytes(pyav.encode(media.pictures(1, 64, 48), 32).data)
    assert "1 coded picture" in bridge(f"check {stream} --model joint_post")
    only = "the model set has no joint network for position after_sao; --model joint_post or joint_sao or joint_sao_best has such$"
    with pytest.raises(VrcnnError, match=f"^{stream}: {only}"):
        bridge(f"check {stream} --model joint_best")
    with pytest.raises(VrcnnError, match=f"^{only}"):
        bridge(f"filter {stream} o.y4m --force --model joint_intra")
    with pytest.raises(VrcnnError, match=r"has such; this set is for --position after_sao$"):
        bridge("filter original.y4m o.y4m --force --qp 32 --model joint_post")
    assert bridge("filter original.y4m o.y4m --force --qp 32 --model joint_post --position after_sao")
    with pytest.raises(VrcnnError, match=r"has such; this set is for --position after_sao$"):
        bridge("check --sequences original.y4m --qp 32 --model joint_post")


def test_far_qps() -> None:
    assert FAR == 5
    assert far_qps([(32, 37), (42, 37), (27, 27)]) is None
    assert (
        far_qps([(31, 37), (43, 37), (22, 37), (22, 37)]) == "QPs 22, 31, 43 are filtered by the network for QP 37, the nearest of the set"
    )
    only = ModelSet(MODELS.networks[3:4])
    assert Settings().far_qps(only) == "QPs 22, 27 are filtered by the network for QP 37, the nearest of the set"
    assert replace(Settings(), variants=("anchor", "none")).far_qps(only) is None
    assert Settings().far_qps(MODELS) is None


def test_the_mean_gain_is_over_pictures_that_have_a_psnr() -> None:
    gains = filter.Gains()
    gains.add((30.0, 40.0, IDENTICAL), (30.5, 40.0, IDENTICAL))
    gains.add((31.0, 40.0, IDENTICAL), (31.1, IDENTICAL, IDENTICAL))
    assert gains.text() == "mean gain over 2 pictures: Y +0.300 dB, Cb +0.000 dB (of 1), Cr none: identical"
    output = bridge("filter q22.hevc o.y4m --force --qp auto --original original.y4m")
    each = [float(after) - float(before) for before, after in re.findall(r"Y ([\d.]+) -> ([\d.]+) dB", output)]
    (mean,) = re.findall(r"mean gain over 2 pictures: Y ([+-][\d.]+) dB", output)
    assert float(mean) == pytest.approx(sum(each) / 2, abs=0.002)
    assert "mean gain" not in bridge("filter q22.hevc o.y4m --force --qp auto")


def test_what_is_wrong_is_said_before_the_stream_is_described(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrcnn_int.extras.importlib.util.find_spec", lambda name: None if name == "torch" else find_spec(name))
    for options, why in (("--original nowhere.y4m", "no video file nowhere"), ("--backend float", "needs torch")):
        runner = CliRunner()
        result = runner.invoke(commands.app, ["filter", "q22.hevc", "new.y4m", "--qp", "auto", *options.split()])
        assert isinstance(result.exception, VrcnnError)
        assert why in str(result.exception)
        assert result.output == ""


def test_planes_that_there_are_not_are_not_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [planes_of("joint", True), planes_of("joint", False), planes_of("luma", True)] == ["luma and chroma", "luma", "luma"]
    joint_set().save(tmp_path / "joint.vrcnn")
    grey = [Picture(picture.planes[:1], 8, "400") for picture in media.pictures(1, 64, 48)]
    (tmp_path / "grey.hevc").write_bytes(pyav.encode(grey, 37, filters=False).data)
    write_y4m(tmp_path / "grey.y4m", grey, 25)
    model = f"--model {tmp_path}/joint.vrcnn"
    assert "1 coded picture, 3072 luma samples" in bridge(f"check {tmp_path}/grey.hevc {model}")
    assert "1 coded picture, 3072 luma samples" in bridge(f"check --sequences {tmp_path}/grey.y4m --qp 37 --workers 1 {model}")
    say_checked(1, 9, "c", "luma")
    assert "1 coded picture, 9 luma" in capsys.readouterr().out


def test_counts() -> None:
    assert [counted(number, "coded picture") for number in (0, 1, 2)] == ["0 coded pictures", "1 coded picture", "2 coded pictures"]


@pytest.mark.parametrize("words", ["filter original.y4m . --qp 30", "contact-sheet --out ."])
def test_a_folder_is_no_output(words: str) -> None:
    with pytest.raises(VrcnnError, match=r"cannot write \.: it is a folder; give a file name"):
        bridge(words)


def test_a_report_of_what_is_none(tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match=r"^the folder .* has no result.json: give one that bdrate --results kept"):
        bridge(f"report {tmp_path}")
    with pytest.raises(VrcnnError, match=r"^q29.hevc is not JSON: invalid character \(byte 0\)$"):
        bridge("report q29.hevc")


@pytest.mark.parametrize("words", ["hm install --hm nowhere", "x265 install --source nowhere", "libde265 install --source nowhere"])
def test_a_wrong_folder_is_said_before_a_missing_library(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(VrcnnError, match="there is no folder nowhere"):
        bridge(words)


READERS = [
    "check {}", "hm inspect {}", "filter {} new.y4m --qp 30", "filter original.y4m new.y4m --qp 30 --original {}", "report {}",
    "bdrate --plan {}", "bdrate --sequences {}", "pairs make {} q29.hevc --out new.npz --qp 29", "pairs pack {} --out new.npz",
    "filter original.y4m new.y4m --qp 30 --model {}",
]  # fmt: skip


@pytest.mark.parametrize("words", READERS)
@pytest.mark.parametrize("what", ["unreadable", "folder", "dangling"])
def test_an_input_that_cannot_be_read_is_one_line_and_code_1(
    tmp_path: Path, words: str, what: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "input.hevc"
    if what == "folder":
        path.mkdir()
    elif what == "dangling":
        path.symlink_to("nowhere")
    else:
        path.write_bytes(b"x")
        monkeypatch.setattr("os.access", lambda *arguments, **more: False)  # as permissions are to all but root
    monkeypatch.setattr("sys.argv", ["codec-bridge", *shlex.split(words.format(path))])
    assert console._code_of(commands.app) == 1
    out, errors = capfd.readouterr()
    assert out == ""
    assert re.fullmatch("error: .*\n", errors)
    assert not [found for found in Path().iterdir() if found.name.startswith("new.")]


@pytest.mark.parametrize(("app", "program"), [(commands.app, "codec-bridge"), (own_commands.app, "vrcnn-int")])
def test_version_and_help(app: object, program: str) -> None:
    from typer import Typer

    from vrcnn_int.version import __version__

    assert isinstance(app, Typer)
    assert CliRunner().invoke(app, ["--version"]).output == f"{program} {__version__}\n"
    assert "--version" in CliRunner().invoke(app, []).output
    for command in app.registered_commands:
        assert command.help
        for paragraph in command.help.split("\n\n"):
            assert "\n" not in paragraph
        assert command.help.split("\n\n")[0].endswith((".", ":")), command.help


def test_inspect_numbers_networks() -> None:
    output = CliRunner().invoke(own_commands.app, ["inspect"], env={"COLUMNS": "300"}).output
    assert re.findall(r"^network (\d+): QP (\d+), (\w+)", output, re.M) == [
        (str(number), str(network.qp), network.position) for number, network in enumerate(MODELS.networks)
    ]


@pytest.mark.parametrize("words", ["pairs rings a.npz", "pairs again a.npz --out b.npz", "filter a.y4m b.y4m", "passes a.y4m", "bdrate"])
def test_every_command_names_the_shipped_sets(words: str) -> None:
    done = CliRunner().invoke(commands.app, [*words.split(), "--model", "joint_bst"])
    assert f"shipped are {', '.join(set_names())}" in str(done.exception)
