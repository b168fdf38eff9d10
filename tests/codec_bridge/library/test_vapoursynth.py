"""The VapourSynth plugin in a real vspipe: the samples of vrcnn_filter, and its faults in words.

VapourSynth is found by its program `vapoursynth` (of the Python package), on the path or in VRCNN_VAPOURSYNTH, the folder of its programs.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import picture
from tests.support.tool import tool

ROOT = Path(__file__).parents[3]
SCRIPT = """
import vapoursynth as vs
core = vs.core
core.std.LoadPlugin({plugin!r})
data = open({source!r}, "rb").read()
clip = core.std.BlankClip(format=vs.{format}, width={width}, height={height}, length={pictures})
size = len(data) // {pictures}

def read(n, f):
    out, at = f.copy(), n * size
    for plane in range(out.format.num_planes):
        rows = memoryview(out[plane])
        height, width = rows.shape
        line = width * rows.itemsize
        for y in range(height):
            row = memoryview(data)[at : at + line].cast("B").cast(rows.format)
            for x in range(width):
                rows[y, x] = row[x]
            at += line
    return out

clip = clip.std.ModifyFrame(clip, read)
{before}
clip = core.vrcnn.Filter(clip, {arguments})
clip.set_output()
"""


@pytest.fixture(scope="session")
def vapoursynth() -> Path:
    """The folder of VapourSynth's programs."""
    given = os.environ.get("VRCNN_VAPOURSYNTH")
    found = Path(given) / "vspipe" if given else Path(shutil.which("vspipe") or "")
    if not found.is_file():
        pytest.skip("VapourSynth (vspipe) is needed: pip install vapoursynth, VRCNN_VAPOURSYNTH=folder of its programs")
    return found.parent


@pytest.fixture(scope="session")
def plugin(vapoursynth: Path, prefix: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where the library was, so that this does not compile it again."""
    build = prefix.parent / "build"
    environment = {**os.environ, "PATH": f"{vapoursynth}:{os.environ['PATH']}"}
    command = ["make", "-s", "-C", str(ROOT / "c"), "vapoursynth", f"BUILD={build}"]
    subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return build / "libvrcnn_vapoursynth.so"


def samples(folder: Path, bit_depth: int, chroma: tuple[int, int] | None, pictures: int = 3) -> Path:
    rng = np.random.default_rng(6)
    shapes = [(34, 50), *([chroma] * 2 if chroma else [])]
    planes = [picture(rng, "random", *shape, bit_depth) for _ in range(pictures) for shape in shapes]
    path = folder / "in.yuv"
    path.write_bytes(b"".join(plane.astype(plane.dtype.newbyteorder("<")).tobytes() for plane in planes))
    return path


def run(vapoursynth: Path, plugin: Path, source: Path, form: str, arguments: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
    script = source.parent / "script.vpy"
    fields = {"plugin": str(plugin), "source": str(source), "format": form, "width": 50, "height": 34, "pictures": 3}
    script.write_text(SCRIPT.format(**fields, arguments=arguments, before=before))
    environment = {**os.environ, "HOME": str(source.parent), "XDG_CONFIG_HOME": str(source.parent / "config")}
    subprocess.run([vapoursynth / "vapoursynth", "config"], env=environment, capture_output=True)
    return subprocess.run([vapoursynth / "vspipe", "--requests", "4", script, "-"], env=environment, capture_output=True)


@pytest.mark.parametrize(
    ("form", "bit_depth", "chroma", "options", "arguments"),
    [
        ("YUV420P8", 8, (17, 25), ["--qp", 28, "--position", "after_sao"], "qp=28"),
        (
            "YUV420P10",
            10,
            (17, 25),
            ["--qp", 37, "--position", "after_sao", "--scale", 5],
            "qp=37, strength=5, threads=2",
        ),
        ("YUV422P8", 8, (34, 25), ["--qp", 22, "--format", 422], "qp=22, position='before_deblocking', size='fast', kind='luma'"),
        ("YUV444P8", 8, (34, 50), ["--qp", 32, "--format", 444, "--position", "after_sao"], "qp=32"),
        ("GRAY8", 8, None, ["--qp", 32, "--format", 400, "--position", "after_sao"], "qp=32"),
        ("YUV420P8", 8, (17, 25), ["--qp", 33, "--model", "joint_intra"], "qp=33, model='joint_intra', position='before_deblocking'"),
        ("YUV420P12", 12, (17, 25), ["--qp", 37, "--position", "after_sao"], "qp=37"),
        ("YUV420P8", 8, (17, 25), ["--qp", 28, "--position", "after_sao", "--kind", "luma"], "qp=28, kind='luma'"),
    ],
)
def test_the_samples_are_the_tools(
    vapoursynth: Path,
    plugin: Path,
    prefix: Path,
    tmp_path: Path,
    form: str,
    bit_depth: int,
    chroma: tuple[int, int] | None,
    options: list[object],
    arguments: str,
) -> None:
    source = samples(tmp_path, bit_depth, chroma)
    done = tool(prefix, "--size", "50x34", "--bit-depth", bit_depth, *options, source, tmp_path / "out.yuv")
    assert done.returncode == 0, done.stderr
    result = run(vapoursynth, plugin, source, form, arguments)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (tmp_path / "out.yuv").read_bytes()
    assert result.stdout != source.read_bytes()


@pytest.mark.parametrize("value", ["28", "27.6"])
def test_each_frame_has_its_own_qp(vapoursynth: Path, plugin: Path, prefix: Path, tmp_path: Path, value: str) -> None:
    source = samples(tmp_path, 8, (17, 25))
    frame = 50 * 34 * 3 // 2
    expected = b""
    for number, qp in enumerate((28, 37, 37)):
        (tmp_path / "one.yuv").write_bytes(source.read_bytes()[number * frame : (number + 1) * frame])
        options = ["--size", "50x34", "--position", "after_sao", "--qp", qp]
        assert tool(prefix, *options, tmp_path / "one.yuv", tmp_path / "out.yuv").returncode == 0
        expected += (tmp_path / "out.yuv").read_bytes()
    before = f"clip = clip[0].std.SetFrameProps(QP={value}) + clip[1:].std.SetFrameProps(_QP=37)"
    result = run(vapoursynth, plugin, source, "YUV420P8", "", before)
    assert result.returncode == 0, result.stderr
    assert result.stdout == expected


def test_what_is_wrong_is_named(vapoursynth: Path, plugin: Path, tmp_path: Path) -> None:
    source = samples(tmp_path, 8, (17, 25))
    os.mkfifo(tmp_path / "pipe")
    cases = [
        ("YUV420P8", "", "", "no QP: give qp="),
        ("YUV420P8", "", "clip = clip.std.SetFrameProps(QP=52)", "no QP: give qp="),
        ("YUV420P8", "qp=28", "clip = clip.std.SetFieldBased(1)", "is interlaced (_FieldBased)"),
        ("YUV420P8", "qp=52", "", "qp: must be from -12 to 51"),
        ("YUV420P8", "qp=28, strength=11", "", "strength: must be from 1 to 10"),
        ("YUV420P8", "qp=28, threads=0", "", "threads: must be from 1 to 64"),
        ("YUV420P8", "qp=28, size='large'", "", "size: must be fast or best"),
        ("YUV420P8", "qp=28, position='here'", "", "position: must be before_deblocking or after_sao"),
        ("YUV420P8", "qp=28, kind='both'", "", "kind: must be luma or joint"),
        ("YUV420P8", "qp=28, kind='joint', position='before_deblocking'", "", "there is no network of this kind"),
        ("YUV420P8", "qp=28, model='nowhere'", "", "there is no such file, nor such a built-in set"),
        ("YUV420P8", "qp=28, model='/dev/null'", "", "this is not a regular file"),
        ("YUV420P8", f"qp=28, model={str(tmp_path)!r}", "", "this is not a regular file"),
        ("YUV420P8", f"qp=28, model={str(tmp_path / 'pipe')!r}", "", "this is not a regular file"),
        ("YUV420P8", f"qp=28, model={str(source)!r}", "", "this is not a vrcnn-int model set"),
        ("YUV420P8", "qp=28, kind='luma'", "clip = clip.resize.Point(format=vs.YUV420P12)", "12 bits are filtered by joint networks only"),
        ("YUV420P8", "qp=28", "clip = clip.resize.Point(format=vs.RGB24, matrix_in=1)", "must be GRAY or YUV of 8 to 10 or 12 bits"),
        ("YUV420P8", "qp=28", "clip = core.std.Splice([clip, clip.std.CropRel(2)], mismatch=True)", "frames differ in format or size"),
    ]
    for form, arguments, before, message in cases:
        result = run(vapoursynth, plugin, source, form, arguments, before)
        assert result.returncode == 1, (arguments, before)
        assert message in result.stderr.decode(), (message, result.stderr)
