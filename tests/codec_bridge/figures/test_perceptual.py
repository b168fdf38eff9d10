"""SSIM of chroma, MS-SSIM and VMAF: known values, what is not there, and what is said where FFmpeg lacks libvmaf."""

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from codec_bridge.figures import perceptual
from codec_bridge.figures.metrics import ssim
from codec_bridge.video.picture import Picture
from vrcnn_int.integer import Plane

pytest.importorskip("imageio_ffmpeg", reason="needs imageio-ffmpeg: pip install 'vrcnn-int[metrics]'")


def pictures(count: int, size: tuple[int, int] = (192, 256), depth: int = 8, noise: int = 0) -> list[Picture]:
    """Smooth pictures of 4:2:0 with noise of so many 8-bit levels either way."""
    random = np.random.default_rng(7)
    dtype = np.uint8 if depth == 8 else np.uint16

    def plane(height: int, width: int, shift: int) -> Plane:
        y, x = np.mgrid[:height, :width]
        samples = 128 + 60 * np.sin((x + shift) / 9) * np.cos(y / 11) + random.integers(-noise, noise + 1, (height, width))
        return (np.clip(samples, 0, 255) * (1 << depth - 8)).astype(dtype)

    height, width = size
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    return [
        Picture(tuple(plane(*shape, 3 * number + index) for index, shape in enumerate(shapes)), depth, "420") for number in range(count)
    ]


@pytest.mark.parametrize("depth", [8, 10])
def test_more_noise_is_less_quality_in_every_metric(depth: int) -> None:
    original = pictures(3, depth=depth)
    same, little, much = (perceptual.measure(perceptual.NAMES, pictures(3, depth=depth, noise=noise), original) for noise in (0, 4, 20))
    assert (same.ssim_u, same.ssim_v, same.ms_ssim_y) == (1, 1, pytest.approx(1))
    assert same.vmaf is not None
    assert same.vmaf > 95
    for metric in ("ssim_u", "ssim_v", "ms_ssim_y", "vmaf"):
        assert getattr(same, metric) > getattr(little, metric) > getattr(much, metric), metric
    assert (same.ms_ssim_u, same.ms_ssim_v) == (None, None), "128x96 samples are too few for five scales"
    noisy = pictures(3, depth=depth, noise=4)
    expected = np.mean([ssim(a.planes[1], b.planes[1], depth) for a, b in zip(noisy, original, strict=True)])
    assert little.ssim_u == pytest.approx(expected)


def test_ms_ssim_of_chroma_where_it_is_large_enough() -> None:
    size = (2 * perceptual.LEAST, 2 * perceptual.LEAST)
    found = perceptual.measure(("ms_ssim",), pictures(1, size, noise=6), pictures(1, size))
    levels = [found.ms_ssim_y, found.ms_ssim_u, found.ms_ssim_v]
    assert all(level is not None and 0.5 < level < 1 for level in levels)
    assert len(set(levels)) == 3, "each of its own plane"
    assert (found.vmaf, found.ssim_u) == (None, None), "not asked for"


def test_figures_are_means_over_pictures() -> None:
    """Of two, of which one equals its original."""
    original = pictures(2)
    mixed = [original[0], pictures(2, noise=20)[1]]
    both = perceptual.measure(("ms_ssim",), mixed, original).ms_ssim_y
    alone = perceptual.measure(("ms_ssim",), mixed[1:], original[1:]).ms_ssim_y
    assert both is not None
    assert alone is not None
    assert both == pytest.approx((1 + alone) / 2, abs=1e-5)


def test_versions_and_model_are_said() -> None:
    said = perceptual.measured_by(("vmaf", "ms_ssim", "ssim"))
    assert [part.split(":")[0] for part in said.split("; ")] == ["SSIM", "MS-SSIM", "VMAF"]
    assert "vmaf_v0.6.1 of libvmaf " in said
    assert "(FFmpeg " in said
    assert perceptual.measured_by(()) == ""


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(perceptual.MetricError, match="unknown metric 'psnr'; there are ssim, ms_ssim, vmaf"):
        perceptual.measured_by(("psnr",))
    with pytest.raises(perceptual.MetricError, match="MS-SSIM needs pictures of at least 176x176 samples; clip has 352x168"):
        perceptual.refuse_size(("ms_ssim",), "clip", 352, 168)
    perceptual.refuse_size(("vmaf", "ssim"), "clip", 352, 168)
    nine = [Picture((np.zeros((192, 192), np.uint16),), 9, "400")]
    with pytest.raises(perceptual.MetricError, match="8 and 10 bits, not 9"):
        perceptual.measure(("vmaf",), nine, nine)


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> Any:
    """No imageio-ffmpeg here, nothing remembered."""

    def missing(_: str) -> Any:
        raise ImportError

    monkeypatch.setattr(perceptual, "import_module", missing)
    perceptual._libvmaf.cache_clear()
    yield monkeypatch
    perceptual._libvmaf.cache_clear()


def test_no_ffmpeg_is_one_line(without_package: pytest.MonkeyPatch) -> None:
    without_package.setattr(perceptual, "shutil", SimpleNamespace(which=lambda _: None))
    with pytest.raises(perceptual.MetricError, match=r"need FFmpeg with libvmaf: pip install 'vrcnn-int\[metrics\]'$"):
        perceptual.measured_by(("vmaf",))
    assert perceptual.measured_by(("ssim",)), "needs none"


def test_an_ffmpeg_without_libvmaf_is_one_line(without_package: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho \"[AVFilterGraph] No such filter: 'libvmaf'\" >&2\necho 'Error opening output' >&2\nexit 8\n")
    program.chmod(0o755)
    without_package.setattr(perceptual, "shutil", SimpleNamespace(which=lambda _: str(program)))
    with pytest.raises(perceptual.MetricError, match=r"vrcnn-int\[metrics\]' \(ffmpeg says: .*No such filter: 'libvmaf'\)$") as refused:
        perceptual.measured_by(("ms_ssim",))
    assert "\n" not in str(refused.value)
    assert subprocess.run([program], check=False, capture_output=True).returncode == 8


def test_an_ffmpeg_that_a_signal_ends_is_one_line(without_package: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nkill -ABRT $$\n")
    program.chmod(0o755)
    without_package.setattr(perceptual, "shutil", SimpleNamespace(which=lambda _: str(program)))
    with pytest.raises(perceptual.MetricError, match=r"vrcnn-int\[metrics\]' \(ffmpeg says: signal 6\)$"):
        perceptual.measured_by(("vmaf",))


def test_vmaf_of_tiny_pictures_is_refused_before_libvmaf_ends_in_a_signal() -> None:
    with pytest.raises(perceptual.MetricError, match="VMAF needs pictures of at least 17x17 samples; clip has 64x16"):
        perceptual.refuse_size(("vmaf",), "clip", 64, 16)
    with pytest.raises(perceptual.MetricError, match="VMAF needs pictures of at least 17x17 samples"):
        perceptual.measure(("vmaf",), pictures(1, (16, 64)), pictures(1, (16, 64)))
    assert perceptual.measure(("vmaf",), pictures(1, (18, 18)), pictures(1, (18, 18))).vmaf is not None


@pytest.mark.parametrize("metric", perceptual.NAMES)
@pytest.mark.parametrize("counts", [(1, 2), (2, 1)])
def test_clips_of_other_lengths_are_refused(metric: str, counts: tuple[int, int]) -> None:
    """libvmaf would compare the last picture twice."""
    with pytest.raises(perceptual.MetricError, match=f"cannot compare {counts[0]} picture"):
        perceptual.measure((metric,), pictures(counts[0]), pictures(counts[1]))


def test_no_value_is_said_by_name() -> None:
    """MS-SSIM of a negative: libvmaf writes null."""
    original = pictures(2)
    negative = [Picture(tuple(255 - plane for plane in picture.planes), 8, "420") for picture in original]
    with pytest.raises(perceptual.MetricError, match="float_ms_ssim of libvmaf has no value for picture 0"):
        perceptual.measure(("ms_ssim",), negative, original)
