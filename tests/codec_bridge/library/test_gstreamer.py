"""The element vrcnnfilter in real GStreamer pipelines: the samples of vrcnn_filter, changes while playing, faults in words.

Needed: gst-launch-1.0, gst-inspect-1.0, and the headers of GStreamer and of its base plugins, found by pkg-config.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import picture
from tests.support.tool import tool

ROOT = Path(__file__).parents[3]
PICTURES = 3
PACKAGES = ("gstreamer-1.0", "gstreamer-base-1.0", "gstreamer-video-1.0", "gstreamer-controller-1.0")
Launch = Callable[..., "subprocess.CompletedProcess[str]"]

# Runs a pipeline whose element f is given the words (property=value) of a picture before that comes; --control: a controller has qp.
PLAYER = """#include <gst/controller/controller.h>
#include <gst/gst.h>
#include <string.h>

static char **words;
static int at;

static GstPadProbeReturn set_words(GstPad *pad, GstPadProbeInfo *info, gpointer element)
{
    char **pairs = g_strsplit(words[at++], ",", 0);
    for (int i = 0; pairs[i] && *pairs[i]; i++) {
        char **pair = g_strsplit(pairs[i], "=", 2);
        gst_util_set_object_arg(element, pair[0], pair[1]);
        g_strfreev(pair);
    }
    g_strfreev(pairs);
    return GST_PAD_PROBE_OK;
}

int main(int argc, char **argv)
{
    gst_init(&argc, &argv);
    GstElement *pipeline = gst_parse_launch(argv[1], NULL), *f = gst_bin_get_by_name(GST_BIN(pipeline), "f");
    words = argv + 2;
    if (!strcmp(*words, "--control")) {
        GstControlSource *qps = gst_interpolation_control_source_new();
        g_object_set(qps, "mode", GST_INTERPOLATION_MODE_NONE, NULL);
        for (int i = 1; words[i]; i++)
            gst_timed_value_control_source_set(GST_TIMED_VALUE_CONTROL_SOURCE(qps), (i - 1) * GST_SECOND / 25, atof(words[i]));
        gst_object_add_control_binding(GST_OBJECT(f), gst_direct_control_binding_new_absolute(GST_OBJECT(f), "qp", qps));
    } else {
        GstPad *pad = gst_element_get_static_pad(f, "sink");
        gst_pad_add_probe(pad, GST_PAD_PROBE_TYPE_BUFFER, set_words, f, NULL);
        gst_object_unref(pad);
    }
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message = gst_bus_timed_pop_filtered(bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_ERROR | GST_MESSAGE_EOS);
    const int failed = GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR;
    if (failed) {
        GError *error;
        gst_message_parse_error(message, &error, NULL);
        g_printerr("%s\\n", error->message);
        g_error_free(error);
    }
    gst_message_unref(message);
    gst_object_unref(bus);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(f);
    gst_object_unref(pipeline);
    return failed;
}
"""


@pytest.fixture(scope="session")
def plugins(prefix: Path) -> Path:
    """The plugin's folder. Built where the library was, so that this does not compile it again."""
    missing = [name for name in ("gst-launch-1.0", "gst-inspect-1.0", "pkg-config") if not shutil.which(name)]
    if not missing and subprocess.run(["pkg-config", "--exists", *PACKAGES]).returncode:
        missing = list(PACKAGES)
    if missing:
        packages = "gstreamer1.0-tools gstreamer1.0-plugins-base libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev pkg-config"
        pytest.skip(f"GStreamer ({', '.join(missing)}) is needed: apt-get install {packages}")
    build = prefix.parent / "build"
    subprocess.run(["make", "-s", "-C", str(ROOT / "c"), "gstreamer", f"BUILD={build}"], check=True, capture_output=True, text=True)
    return build / "gstreamer"


@pytest.fixture
def environment(plugins: Path, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "GST_PLUGIN_PATH": str(plugins), "GST_REGISTRY": str(tmp_path / "registry.bin"), "LC_ALL": "C"}


@pytest.fixture
def launch(environment: dict[str, str]) -> Launch:
    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(["gst-launch-1.0", "-q", *map(str, words)], env=environment, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture
def player(plugins: Path, environment: dict[str, str], tmp_path: Path) -> Launch:
    """PLAYER, compiled."""
    (tmp_path / "player.c").write_text(PLAYER)
    ask = ["pkg-config", "--cflags", "--libs", *PACKAGES]
    flags = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "player.c", "-o", "player", *flags], check=True, cwd=tmp_path)

    def run(*words: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([tmp_path / "player", *map(str, words)], env=environment, capture_output=True, text=True, timeout=60)

    return run


Shapes = list[tuple[int, int]]


def shapes_of(chroma_format: int, width: int, height: int) -> Shapes:
    """[height, width] of the planes."""
    chroma = (-(-height // 2) if chroma_format == 420 else height), (width if chroma_format == 444 else -(-width // 2))
    return [(height, width), *([] if chroma_format == 400 else [chroma] * 2)]


def samples(shapes: Shapes, bit_depth: int) -> list[np.ndarray]:
    """The planes of all pictures, one after the other."""
    rng = np.random.default_rng(6)
    return [picture(rng, "random", *shape, bit_depth) for _ in range(PICTURES) for shape in shapes]


def packed(planes: list[np.ndarray], is_420: bool) -> bytes:
    """As GStreamer lays planes out in memory: rows of whole four bytes, an even number of luma rows if there is 4:2:0 chroma."""
    out = b""
    for number, plane in enumerate(planes):
        rows = plane.shape[0] % 2 if is_420 and number % 3 == 0 else 0
        out += np.pad(plane, ((0, rows), (0, -plane.shape[1] % (4 // plane.itemsize)))).tobytes()
    return out


def unpacked(data: bytes, like: list[np.ndarray], is_420: bool) -> bytes:
    """What packed was made of."""
    out = b""
    for number, plane in enumerate(like):
        height = plane.shape[0] + (plane.shape[0] % 2 if is_420 and number % 3 == 0 else 0)
        width = plane.shape[1] + -plane.shape[1] % (4 // plane.itemsize)
        size = height * width * plane.itemsize
        read = np.frombuffer(data[:size], plane.dtype).reshape(height, width)
        out, data = out + read[: plane.shape[0], : plane.shape[1]].tobytes(), data[size:]
    assert not data
    return out


def source(path: Path, form: str, width: int, height: int, *more: str) -> list[str]:
    """The words of a pipeline that reads raw video."""
    fields = (f"format={form.lower().replace('_', '-')}", f"width={width}", f"height={height}", "framerate=25/1")
    return ["filesrc", f"location={path}", "!", "rawvideoparse", *fields, *more, "!"]


@pytest.mark.parametrize(
    ("form", "bit_depth", "chroma_format", "size", "options", "properties"),
    [
        ("I420", 8, 420, (50, 34), ["--qp", 28, "--position", "after_sao"], "qp=28"),
        ("I420", 8, 420, (49, 33), ["--qp", 28, "--position", "after_sao"], "qp=28 threads=2"),
        ("YV12", 8, 420, (49, 33), ["--qp", 33, "--model", "joint_intra"], "qp=33 model=joint_intra position=before_deblocking"),
        ("I420", 8, 420, (49, 33), ["--qp", 33, "--model", "joint_intra"], "qp=33 model=joint_intra position=before_deblocking kind=joint"),
        (
            "I420_10LE",
            10,
            420,
            (50, 34),
            ["--qp", 37, "--position", "after_sao", "--scale", 5],
            "qp=37 strength=5",
        ),
        ("I420_10LE", 10, 420, (50, 34), ["--qp", 27, "--model", "joint_intra"], "qp=27 model=joint_intra position=before_deblocking"),
        ("Y42B", 8, 422, (50, 34), ["--qp", 22, "--network-size", "fast"], "qp=22 position=before_deblocking size=fast kind=luma"),
        ("I422_10LE", 10, 422, (50, 34), ["--qp", 22, "--position", "after_sao"], "qp=22"),
        ("Y444", 8, 444, (50, 34), ["--qp", -3, "--position", "after_sao"], "qp=-3"),
        ("Y444_10LE", 10, 444, (50, 34), ["--qp", 32, "--position", "after_sao"], "qp=32"),
        ("I420", 8, 420, (50, 34), ["--qp", 28, "--position", "after_sao", "--kind", "luma"], "qp=28 kind=luma"),
        ("I420", 8, 420, (50, 34), ["--qp", 28], "qp=28 position=before_deblocking"),
        ("GRAY8", 8, 400, (50, 34), ["--qp", 32, "--position", "after_sao"], "qp=32"),
    ],
)
def test_the_samples_are_the_tools(
    launch: Launch,
    prefix: Path,
    tmp_path: Path,
    form: str,
    bit_depth: int,
    chroma_format: int,
    size: tuple[int, int],
    options: list[object],
    properties: str,
) -> None:
    planes = samples(shapes_of(chroma_format, *size), bit_depth)
    shown = [planes[i + {1: 1, 2: -1}.get(i % 3, 0)] for i in range(len(planes))] if form == "YV12" else planes  # Cr before Cb
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes))
    (tmp_path / "padded").write_bytes(packed(shown, chroma_format == 420))
    known = ["--size", f"{size[0]}x{size[1]}", "--bit-depth", bit_depth, "--format", chroma_format]
    done = tool(prefix, *known, *options, tmp_path / "in.yuv", tmp_path / "out.yuv")
    assert done.returncode == 0, done.stderr
    filtered = ["vrcnnfilter", *properties.split(), "!", "filesink", f"location={tmp_path / 'filtered'}"]
    result = launch(*source(tmp_path / "padded", form, *size), *filtered)
    assert (result.returncode, result.stderr) == (0, "")
    found = unpacked((tmp_path / "filtered").read_bytes(), shown, chroma_format == 420)
    if form == "YV12":
        found = b"".join(
            np.split(np.frombuffer(found, np.uint8), cuts_of(shown))[i + {1: 1, 2: -1}.get(i % 3, 0)] for i in range(len(shown))
        )
    assert found == (tmp_path / "out.yuv").read_bytes()
    assert found != (tmp_path / "in.yuv").read_bytes()


def cuts_of(planes: list[np.ndarray]) -> list[int]:
    """Where planes end, but the last one."""
    return [int(end) for end in np.cumsum([plane.size for plane in planes])[:-1]]


def expected(prefix: Path, folder: Path, planes: list[np.ndarray], options: list[list[object]]) -> bytes:
    """Pictures of 56x34 with options of their own, by vrcnn_filter."""
    out = b""
    for number, own in enumerate(options):
        (folder / "one.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes[3 * number : 3 * number + 3]))
        assert tool(prefix, "--size", "56x34", *own, folder / "one.yuv", folder / "out.yuv").returncode == 0
        out += (folder / "out.yuv").read_bytes()
    return out


def test_properties_change_while_it_plays(player: Launch, prefix: Path, tmp_path: Path) -> None:
    planes = samples(shapes_of(420, 56, 34), 8)
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes))
    pipeline = " ".join(
        [*source(tmp_path / "in.yuv", "I420", 56, 34), "vrcnnfilter", "name=f", "!", "filesink", f"location={tmp_path / 'f'}"]
    )
    result = player(pipeline, "qp=28", "qp=37,strength=5,threads=2", "qp=33,strength=8,model=joint_intra,position=before_deblocking")
    assert (result.returncode, result.stderr) == (0, "")
    after = ["--position", "after_sao", "--qp"]
    options = [[*after, 28], [*after, 37, "--scale", 5], ["--qp", 33, "--model", "joint_intra"]]
    assert (tmp_path / "f").read_bytes() == expected(prefix, tmp_path, planes, options)
    result = player(pipeline, "--control", 22, 37, 29)
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "f").read_bytes() == expected(prefix, tmp_path, planes, [[*after, qp] for qp in (22, 37, 29)])
    result = player(pipeline, "qp=28", "model=nowhere", "")
    assert result.returncode == 1
    assert result.stderr == "model=nowhere: there is no such file, nor such a built-in set\n"


def test_what_is_wrong_is_named(player: Launch, launch: Launch, plugins: Path, tmp_path: Path) -> None:
    """By the player: after an element's error gst-launch-1.0 waits for ever now and then, with GStreamer's own elements, too."""
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for plane in samples(shapes_of(420, 56, 34), 8)))
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "pipe")
    interlaced = ["interlaced=true"]
    cases = [
        ("", [], "no QP: set the property qp, such as qp=32, from -12 to 51"),
        ("qp=99", [], "no QP: set the property qp, such as qp=32, from -12 to 51"),
        ("qp=28", interlaced, "the video is interlaced: put the element deinterlace before"),
        ("qp=28 kind=joint position=before_deblocking", [], "there is no network of this kind"),
        ("qp=28 model=nowhere", [], "model=nowhere: there is no such file, nor such a built-in set"),
        (f"qp=28 model={tmp_path / 'empty'}", [], "the model is cut off"),
        (f"qp=28 model={tmp_path / 'pipe'}", [], "this is not a regular file"),
        (f"qp=28 model={tmp_path}", [], "this is not a regular file"),
        ("qp=28 model=joint_intra position=after_sao", [], "there is no network of this kind for this position"),
    ]
    out = tmp_path / "out.yuv"
    for properties, more, message in cases:
        element = ["vrcnnfilter", "name=f", *properties.split(), "!", "filesink", f"location={out}"]
        result = player(" ".join([*source(tmp_path / "in.yuv", "I420", 56, 34, *more), *element]), "", "", "")
        assert result.returncode == 1, (properties, result)
        assert message in result.stderr, (properties, result.stderr)
        assert not out.exists() or not out.read_bytes()
    result = launch("videotestsrc", "!", "vrcnnfilter", "size=large", "!", "fakesink")
    assert result.returncode in (1, 255)  # by version
    assert 'could not set property "size" in element "vrcnnfilter" to "large"' in result.stderr


def test_it_is_inspected(environment: dict[str, str]) -> None:
    done = subprocess.run(["gst-inspect-1.0", "vrcnnfilter"], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header = (ROOT / "c/include/vrcnn/vrcnn.h").read_text()
    version = ".".join(re.findall(r"define VRCNN_VERSION_\w+ (\d+)", header))
    assert re.search(rf"^  Version +{re.escape(version)}$", done.stdout, re.M)
    listed = done.stdout.split("Element Properties:")[1]
    assert set(re.findall(r"^  (\w+) +: ", listed, re.M)) == {
        "kind", "model", "name", "parent", "position", "qos", "qp", "size", "strength", "threads",
    }  # fmt: skip
