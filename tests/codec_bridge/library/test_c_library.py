"""The C library gives the oracle's bits; its tool and its installation work."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import pytest

from codec_bridge.filter import ErrorCode, Filter, kernels
from tests.codec_bridge.cli.test_command_lines import bridge
from tests.support.errors import refused_as
from tests.support.models import extreme_network, picture, random_network, shipped
from tests.support.tool import tool
from tests.tools.abi import version
from vrcnn_int import integer
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.proofs import prove

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[3]
MODEL = "vrcnn_int/models/vrcnn_intra.vrcnn"
KERNELS = [name for name, supported in kernels() if supported and name != "auto"]
CONTENTS = ("random", "narrow", "constant", "zero", "max", "checkerboard")
SIZES = [
    *((1, 1), (1, 2), (2, 1), (1, 70), (70, 1), (2, 2), (3, 5), (5, 3), (7, 7), (8, 15), (12, 17), (13, 13)),
    *((16, 16), (17, 31), (33, 15), (32, 48), (49, 20), (64, 64), (65, 63), (70, 69), (70, 70)),
]


@pytest.fixture(params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


_expected: dict[bytes, object] = {}


def oracle(function: Callable[..., T], network: IntegerNetwork, plane: np.ndarray, *arguments: int) -> T:
    """What the oracle says: asked once for all kernels, since it takes most of the time."""
    digest = hashlib.sha256(ModelSet((network,)).to_bytes() + plane.tobytes())
    digest.update(repr((function.__name__, plane.shape, plane.dtype, arguments)).encode())
    if digest.digest() not in _expected:
        _expected[digest.digest()] = function(network, plane, *arguments)
    return cast("T", _expected[digest.digest()])


def assert_same(network: IntegerNetwork, filter_: Filter, plane: np.ndarray, bit_depth: int, index: int, scale: int) -> None:
    expected = oracle(integer.filter_plane, network, plane, bit_depth, scale)
    result = filter_.filter_plane(plane, bit_depth, index, scale)
    assert result.dtype == plane.dtype
    np.testing.assert_array_equal(result, expected)


def compare(networks: tuple[IntegerNetwork, ...], kernel: str, height: int, width: int, rng: np.random.Generator) -> None:
    """Every network of a set on one picture, with everything else drawn at random: whole, a region, and every hidden layer."""
    with Filter(ModelSet(networks), kernel=kernel) as filter_:
        for index, network in enumerate(networks):
            bit_depth, scale = int(rng.integers(8, 11)), int(rng.integers(1, 11))
            plane = picture(rng, str(rng.choice(CONTENTS)), height, width, bit_depth)
            assert_same(network, filter_, plane, bit_depth, index, scale)
            x, y = int(rng.integers(width)), int(rng.integers(height))
            w, h = int(rng.integers(1, width - x + 1)), int(rng.integers(1, height - y + 1))
            expected = oracle(integer.filter_plane, network, plane, bit_depth, scale)[y : y + h, x : x + w]
            np.testing.assert_array_equal(filter_.filter_region(plane, bit_depth, index, x, y, w, h, scale), expected)
            for i, values in enumerate(oracle(integer.layer_outputs, network, plane, bit_depth)):
                np.testing.assert_array_equal(filter_.layer(plane, bit_depth, index, i), values)
                np.testing.assert_array_equal(filter_.layer(plane, bit_depth, index, i, x, y, w, h), values[:, y : y + h, x : x + w])


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("index", range(len(shipped().networks)))
def test_shipped_models(kernel: str, index: int, bit_depth: int) -> None:
    rng = np.random.default_rng([index, bit_depth])
    network = shipped().networks[index]
    with Filter(kernel=kernel) as filter_:
        for n, (height, width) in enumerate(SIZES):
            assert_same(network, filter_, picture(rng, "random", height, width, bit_depth), bit_depth, index, 1 + n % 10)
            content = CONTENTS[1 + n % (len(CONTENTS) - 1)]
            assert_same(network, filter_, picture(rng, content, height, width, bit_depth), bit_depth, index, 8)


@pytest.mark.parametrize("bit_depth", [8, 9, 10])
def test_every_scale(kernel: str, bit_depth: int) -> None:
    rng = np.random.default_rng(bit_depth)
    with Filter(kernel=kernel) as filter_:
        for index, network in enumerate(shipped().networks):
            plane = picture(rng, "random", 12, 19, bit_depth)
            for scale in range(1, 11):
                assert_same(network, filter_, plane, bit_depth, index, scale)


def test_real_picture(kernel: str) -> None:
    data = pytest.importorskip("skimage.data")
    camera = data.camera()[100:170, 180:280]
    with Filter(kernel=kernel) as filter_:
        for index, network in enumerate(shipped().networks):
            assert_same(network, filter_, camera, 8, index, 8)
            assert_same(network, filter_, camera.astype(np.uint16) * 4 + 1, 10, index, 8)


def test_cif_whole_and_in_regions(kernel: str) -> None:
    rng = np.random.default_rng(5)
    network = shipped().networks[1]
    smooth = np.add.outer(np.arange(288), np.arange(352)) // 4 + rng.integers(0, 40, (288, 352))
    plane = smooth.astype(np.uint8)
    with Filter(kernel=kernel) as filter_:
        assert_same(network, filter_, plane, 8, 1, 8)
        whole = filter_.filter_plane(plane, 8, 1)
        cut = np.zeros_like(plane)
        for y in range(0, 288, 61):
            for x in range(0, 352, 101):
                h, w = min(61, 288 - y), min(101, 352 - x)
                cut[y : y + h, x : x + w] = filter_.filter_region(plane, 8, 1, x, y, w, h)
        np.testing.assert_array_equal(cut, whole)


@pytest.mark.parametrize("seed", range(10))
def test_general_networks(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    networks = []
    for qp in (22, 37):
        layers: list[list[tuple[int, int]]] = []
        for _ in range(rng.integers(1, 6)):
            branches = int(rng.integers(1, 5))
            layers.append([(int(rng.choice([1, 3, 5])), 16 * int(rng.integers(1, 3))) for _ in range(branches)])
        networks.append(random_network(rng, [*layers, [(int(rng.choice([1, 3, 5])), 1)]], qp))
    compare(tuple(networks), kernel, int(rng.integers(1, 41)), int(rng.integers(1, 61)), rng)


def test_widest_and_deepest(kernel: str) -> None:
    rng = np.random.default_rng(0)
    compare((random_network(rng, [[(3, 64)] * 4, [(5, 256)], [(5, 1)]]),), kernel, 9, 21, rng)
    compare((random_network(rng, [*[[(5, 16)]] * 31, [(5, 1)]]),), kernel, 20, 35, rng)


@pytest.mark.parametrize("side", ["high", "low", "zero"])
@pytest.mark.parametrize("pattern", ["high", "low", "alternating"])
def test_extreme_networks(kernel: str, pattern: str, side: str) -> None:
    rng = np.random.default_rng(1)
    networks = tuple(extreme_network(pattern, side, shift, m) for shift in (0, 1, 15) for m in (1, 1000, 32767))
    for network in networks:
        prove(network)
    compare(networks, kernel, 14, 37, rng)


@pytest.mark.parametrize("threads", [2, 3, 7])
def test_threads_change_nothing(kernel: str, threads: int) -> None:
    rng = np.random.default_rng(threads)
    with Filter(kernel=kernel) as alone, Filter(kernel=kernel, threads=threads) as together:
        assert together.threads == threads
        for height, width in ((1, 1), (1, 900), (900, 1), (33, 700), (231, 130)):
            plane = picture(rng, "random", height, width, 8)
            np.testing.assert_array_equal(together.filter_plane(plane, 8, 2), alone.filter_plane(plane, 8, 2))
            np.testing.assert_array_equal(together.layer(plane, 8, 2, 1), alone.layer(plane, 8, 2, 1))


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_units(kernel: str, threads: int, bit_depth: int) -> None:
    rng = np.random.default_rng([threads, bit_depth])
    with Filter(kernel=kernel, threads=threads) as filter_:
        for n, (height, width) in enumerate([(1, 1), (64, 64), (65, 129), (200, 330), (130, 700), (513, 65)]):
            plane, other = (picture(rng, "random", height, width, bit_depth) for _ in range(2))
            size, choices = 64 << n % 2, 1 + n % 3
            indices = [int(i) for i in rng.permutation(4)[:choices]]
            # Whole planes are compared with the oracle above.
            whole = [filter_.filter_plane(plane, bit_depth, i, 5) for i in indices]
            shape = (-(-height // size), -(-width // size))
            for units in (rng.integers(0, choices + 1, shape), np.full(shape, choices), np.zeros(shape)):
                chosen = units.astype(np.uint8).repeat(size, 0).repeat(size, 1)[:height, :width]
                expected = np.choose(chosen, [other, *whole])
                result = filter_.filter_units(plane, bit_depth, indices, units.astype(np.uint8), size, 5, other)
                np.testing.assert_array_equal(result, expected)


def test_units_of_the_oracle_and_their_errors() -> None:
    rng = np.random.default_rng(3)
    plane = picture(rng, "random", 70, 130, 8)
    units = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)
    with Filter() as filter_, Filter(backend="oracle") as oracle:
        np.testing.assert_array_equal(filter_.filter_units(plane, 8, [3, 0], units, 64), oracle.filter_units(plane, 8, [3, 0], units, 64))
        for indices, map_, size in (
            ([], units, 64),
            ([0, 1, 2, 3], units, 64),
            ([0], units, 64),
            ([0, 1], units[:1], 64),
            ([0, 1], units.astype(np.int16), 64),
            ([0, 1], units, 32),
        ):
            with refused_as(ErrorCode.UNITS):
                filter_.filter_units(plane, 8, indices, map_, size)
        with refused_as(ErrorCode.INDEX):
            filter_.filter_units(plane, 8, [0, len(shipped().networks)], units, 64)
    for threads in (0, -1, 65):
        with refused_as(ErrorCode.THREADS):
            Filter(threads=threads)


def test_extension_declares_what_the_header_does() -> None:
    header = "".join((ROOT / "c" / name).read_text() for name in ("include/vrcnn/vrcnn.h", "include/vrcnn/vrcnn_codec.h", "bench/peak.h"))
    cdef = (ROOT / "codec_bridge/library/_vrcnn.cdef.txt").read_text()
    names = re.compile(r"\b(?:vrcnn_\w+(?=\()|VRCNN_(?:OK|ERROR|KERNEL|CPU|BEFORE|AFTER|MAX|ID|SCALE|MODE|SIDEINFO|SEI)\w*)")
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    assert set(names.findall(cdef)) == set(names.findall(code))
    assert len(set(names.findall(code))) > 50


# The tool.


@pytest.mark.parametrize(("chroma_format", "chroma"), [(400, 0), (420, 1 / 2), (422, 1), (444, 2)])
@pytest.mark.parametrize("bit_depth", [8, 10])
def test_tool_filters_luma_only(prefix: Path, tmp_path: Path, chroma_format: int, chroma: float, bit_depth: int) -> None:
    rng = np.random.default_rng(3)
    width, height, pictures = 26, 18, 3
    dtype = "u1" if bit_depth == 8 else "<u2"
    video = rng.integers(0, 1 << bit_depth, (pictures, int(width * height * (1 + chroma)))).astype(dtype)
    video.tofile(tmp_path / "in.yuv")
    network = random_network(rng, qp=30)
    ModelSet((random_network(rng, qp=20), network)).save(tmp_path / "set.vrcnn")
    arguments = ["--size", f"{width}x{height}", "--bit-depth", bit_depth, "--format", chroma_format, "--scale", 5]
    arguments += ["--model", tmp_path / "set.vrcnn", "--kernel", "scalar", tmp_path / "in.yuv", tmp_path / "out.yuv"]
    expected = video.copy()
    for i in range(pictures):
        luma = video[i, : width * height].reshape(height, width)
        expected[i, : width * height] = integer.filter_plane(network, luma, bit_depth, 5).reshape(-1)
    for choice in (["--index", 1], ["--qp", 29]):
        done = tool(prefix, *choice, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert (tmp_path / "out.yuv").read_bytes() == expected.tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.yuv", "out.yuv", "set.vrcnn"]


def test_tool_takes_the_networks_that_a_built_in_set_has(prefix: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    planes = [picture(rng, "random", *shape, 8) for shape in ((18, 26), (9, 13), (9, 13))]
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes))
    arguments = ["--size", "26x18", "--qp", 33, "--model", "joint_intra", tmp_path / "in.yuv", tmp_path / "out.yuv"]
    done = tool(prefix, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    with Filter("joint_intra") as filter_:
        expected = filter_.filter_planes(planes, (8, 8), filter_.index_for_qp(33, kind="joint"))
    assert (tmp_path / "out.yuv").read_bytes() == b"".join(plane.tobytes() for plane in expected)
    (tmp_path / "in.yuv").write_bytes(bytes(3 * 26 * 18))
    done = tool(prefix, "--format", 444, *arguments)
    assert done.returncode == 0
    assert "chroma is passed through" in done.stderr
    assert tool(prefix, "--version").stdout == f"vrcnn_filter {version()}\n"


@pytest.mark.parametrize(
    ("options", "model", "position"),
    [
        (("--qp", 33), "vrcnn_intra", "before_deblocking"),
        (("--qp", 33, "--position", "after_sao"), "joint_post", "after_sao"),
        (("--qp", 33, "--position", "after_sao", "--kind", "joint"), "joint_post", "after_sao"),
        (("--qp", 33, "--position", "after_sao", "--kind", "luma"), "vrcnn_intra", "after_sao"),
        (("--index", 2, "--position", "after_sao"), "vrcnn_intra", "before_deblocking"),
    ],
)
def test_tool_takes_the_set_that_codec_bridge_filter_takes(
    prefix: Path, tmp_path: Path, options: tuple[object, ...], model: str, position: str
) -> None:
    rng = np.random.default_rng(8)
    planes = [picture(rng, "random", *shape, 8) for shape in ((18, 26), (9, 13), (9, 13))]
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for plane in planes))
    arguments = [*options, "--size", "26x18", tmp_path / "in.yuv", tmp_path / "out.yuv"]
    done = tool(prefix, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    result = (tmp_path / "out.yuv").read_bytes()
    bridge("filter", *arguments, "--format", "yuv420p", "--force")
    assert result == (tmp_path / "out.yuv").read_bytes()
    with Filter(model) as filter_:
        index = 2 if "--index" in options else filter_.index_for_qp(33, position)
        count = 3 if model == "joint_post" else 1
        expected = [*filter_.filter_planes(planes[:count], (8, 8), index), *planes[count:]]
    assert result == b"".join(plane.tobytes() for plane in expected)


def test_tool_says_what_is_wrong(prefix: Path, tmp_path: Path) -> None:
    good, output = tmp_path / "in.yuv", tmp_path / "out.yuv"
    good.write_bytes(bytes(16 * 16 * 3 // 2 * 2))
    (tmp_path / "cut.yuv").write_bytes(bytes(16 * 16 * 3 // 2 * 2 - 1))
    (tmp_path / "empty.yuv").write_bytes(b"")
    (tmp_path / "high.yuv").write_bytes(b"\x00\x04" * (16 * 16 * 3 // 2))
    one_position = tmp_path / "before.vrcnn"
    ModelSet(shipped().networks[:1]).save(one_position)
    data = bytearray(shipped().to_bytes())
    (tmp_path / "short.vrcnn").write_bytes(data[:-1])
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.vrcnn").write_bytes(data)
    (tmp_path / "foreign.vrcnn").write_bytes(b"not a model")
    os.mkfifo(tmp_path / "pipe")
    base = ["--size", "16x16", "--qp", "32"]
    cases: list[tuple[list[object], str]] = [
        ([*base, tmp_path / "none.yuv", output], "none.yuv: No such file"),
        ([*base, tmp_path / "cut.yuv", output], "767 bytes are not a whole number of pictures of 384 bytes"),
        ([*base, tmp_path / "empty.yuv", output], "0 bytes are not a whole number of pictures"),
        ([*base, "--bit-depth", 10, tmp_path / "high.yuv", output], "is 1024, above 1023"),
        ([*base, "--model", tmp_path / "damaged.vrcnn", good, output], "damaged.vrcnn: the model is damaged"),
        ([*base, "--model", tmp_path / "short.vrcnn", good, output], "short.vrcnn: the model is cut off"),
        ([*base, "--model", tmp_path / "foreign.vrcnn", good, output], "foreign.vrcnn: this is not a vrcnn-int model set"),
        ([*base, "--model", tmp_path / "none.vrcnn", good, output], "none.vrcnn: No such file"),
        ([*base, "--model", "joint_bst", good, output], "no such file, nor such a built-in set; built in are joint_best, joint_inter, "),
        ([*base, "--model", tmp_path / "pipe", good, output], "pipe: not a regular file"),
        ([*base, "--kernel", "cuda", good, output], "--kernel cuda: this kernel is not available"),
        ([*base, "--kernel", "fast", good, output], "--kernel fast: there is no such kernel"),
        ([*base, "--threads", 0, good, output], "--threads 0: must be a whole number from 1 to 64"),
        ([*base, "--scale", 11, good, output], "--scale 11: must be a whole number from 1 to 10"),
        ([*base, "--layer", 3, good, output], "--layer 3: network 2 has hidden layers 0 to 2"),
        ([*base, "--bit-depth", 14, good, output], "--bit-depth 14"),
        ([*base, "--format", 421, good, output], "--format 421"),
        ([*base, "--model", one_position, "--position", "after_sao", good, output], "for this position"),
        ([*base, "--kind", "joint", good, output], "vrcnn_intra: there is no network of this kind for this position"),
        ([*base, "--model", "joint_intra", "--kind", "luma", good, output], "joint_intra: there is no network of this kind"),
        (
            [*base, "--model", "joint_best", "--position", "after_sao", good, output],
            "in the codec; of the built-in sets there is one in joint_post, joint_sao, joint_sao_best\n",
        ),
        ([*base, "--index", 1, good, output], "--qp or --index"),
        (["--size", "16x16", "--index", 31, good, output], "--index 31"),
        (["--size", "16x16", "--qp", "x", good, output], "--qp x"),
        (["--size", "15x16", "--qp", 32, good, output], "are not a whole number of pictures"),
        (["--size", "16", "--qp", 32, good, output], "--size 16"),
        (["--qp", 32, good, output], "--size WIDTHxHEIGHT is needed"),
        ([*base, good], "an output file"),
        ([*base, good, output, "more"], "more"),
        ([*base, "--nonsense", 1, good, output], "--nonsense"),
        ([*base, good, tmp_path / "missing/out.yuv"], "missing/out.yuv: cannot be written: No such file"),
        ([*base, good, tmp_path], f"{tmp_path.name}: exists and is not a regular file"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, message in cases:
        done = tool(prefix, *arguments)
        assert done.returncode == 1, arguments
        assert message in done.stderr
        assert done.stderr.startswith("vrcnn_filter: ")
        assert done.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
    output.write_bytes(b"kept")
    assert tool(prefix, *base, "--bit-depth", 10, tmp_path / "high.yuv", output).returncode == 1
    assert output.read_bytes() == b"kept"
    assert "usage:" in tool(prefix, "--help").stdout


def test_tool_lists_kernels_and_runs_each(prefix: Path, tmp_path: Path) -> None:
    listed = dict(line.split(maxsplit=1) for line in tool(prefix, "--kernels").stdout.splitlines())
    assert list(listed) == [name for name, _ in kernels()]
    assert [name for name, state in listed.items() if state == "available"] == KERNELS
    assert listed["auto"] in KERNELS
    np.random.default_rng(1).integers(0, 256, 140 * 70 * 2, np.uint8).tofile(tmp_path / "in.yuv")
    results = set()
    for name in ("auto", *KERNELS):
        for threads in (1, 3):
            arguments = ["--size", "140x70", "--format", 400, "--qp", 32, "--kernel", name, "--threads", threads]
            done = tool(prefix, *arguments, tmp_path / "in.yuv", tmp_path / "out.yuv")
            assert (done.returncode, done.stderr) == (0, "")
            results.add((tmp_path / "out.yuv").read_bytes())
    assert len(results) == 1


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """c/ of a copy of the sources, and the model beside it."""
    for folder in ("src", "include", "cuda"):
        shutil.copytree(ROOT / "c" / folder, tmp_path / "c" / folder)
    for file in ("c/Makefile", "c/kernel_flags.txt", MODEL):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path / "c"


def test_what_has_changed_is_compiled_again_however_the_output_folder_was_named(copy: Path) -> None:
    """The CUDA library's Makefile builds the C library too, and names the folder in full: a stale model must not stay in it."""
    build = copy / "build"

    def make(*arguments: str) -> str:
        return subprocess.run(["make", "CFLAGS=-O0", *arguments], check=True, capture_output=True, text=True, cwd=copy).stdout

    make("-C", "cuda", f"CORE_BUILD={build}", f"{build}/libvrcnn.a")
    for spelling in ((), ("BUILD=build",), (f"BUILD={build}",)):
        assert "src/builtin.c" not in make("-n", *spelling, "static")
        for changed in ("src/model.h", f"../{MODEL}", "Makefile"):
            assert "src/builtin.c" in make("-n", *spelling, "-W", changed, "static")
    model = copy.parent / MODEL
    model.write_bytes(model.read_bytes() + b"one more")
    make("static")
    assert b"one more" in (build / "libvrcnn.a").read_bytes()


def test_without_the_model_one_line_says_that_it_is_missing(copy: Path) -> None:
    (copy.parent / MODEL).unlink()
    done = subprocess.run(["make", "-C", str(copy), "-s", "lib"], capture_output=True, text=True)
    assert done.returncode
    assert f"../{MODEL} is not there" in done.stderr
    assert done.stderr.count("\n") == 1
