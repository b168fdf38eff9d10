"""Metrics beside PSNR and luma's SSIM, where they are asked for: SSIM of chroma, MS-SSIM and VMAF.

MS-SSIM and VMAF are libvmaf's, through an FFmpeg program that has it: that of the package imageio-ffmpeg (the extra ``metrics``), another
one that the environment variable IMAGEIO_FFMPEG_EXE names, or without the package the system's.
"""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import numpy as np

from codec_bridge.figures.metrics import Picture, ssim
from codec_bridge.figures.row import MoreLevels
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import Plane
from vrcnn_int.text import counted

NAMES = ("ssim", "ms_ssim", "vmaf")
"""What may be asked for. ssim: of U and V, too."""

MODEL = "vmaf_v0.6.1"
"""Of VMAF: libvmaf's default, for HD on a TV; it looks at luma alone. The first picture has no motion."""

LEAST = 176
"""Samples across and down that MS-SSIM's five scales need of a plane."""

LEAST_VMAF = 17
"""Those without which libvmaf's motion and VIF end in a fault of memory."""

_FEATURE = "float_ms_ssim"
_LAYOUTS = {8: "yuv420p", 10: "yuv420p10le"}
INSTALL = "pip install 'vrcnn-int[metrics]'"


class MetricError(VrcnnError):
    """A metric cannot be measured here."""


def measured_by(names: Iterable[str]) -> str:
    """What measures these, with versions and models: a part of results and of their keys.

    Raises MetricError for an unknown name, and where there is no FFmpeg with libvmaf that a metric needs.
    """
    wanted = refuse_names(names)
    said = {"ssim": lambda: f"SSIM: scikit-image {version('scikit-image')}", "ms_ssim": lambda: f"MS-SSIM: {_FEATURE} of {_libvmaf()}"}
    said |= {"vmaf": lambda: f"VMAF: {MODEL} of {_libvmaf()}"}
    return "; ".join(said[name]() for name in NAMES if name in wanted)


def measure(names: Iterable[str], pictures: Sequence[Picture], originals: Sequence[Picture]) -> MoreLevels:
    """Means over cropped pictures, in order, as many as originals and like them; None for what was not asked for or is not there.

    There is no MS-SSIM of a chroma plane under 176x176 samples. Raises MetricError as ``measured_by`` does, for luma under that size, under
    17x17 for VMAF, for 9 bits, for other numbers of pictures than originals, and where a metric has no value.
    """
    wanted = refuse_names(names)
    if len(pictures) != len(originals):
        raise MetricError(f"cannot compare {counted(len(pictures), 'picture')} with {counted(len(originals), 'original')}")
    height, width = originals[0].cropped().planes[0].shape
    refuse_size(wanted, "the sequence", width, height)
    depth = originals[0].bit_depth
    tested, true = ([picture.cropped().planes for picture in some] for some in (pictures, originals))
    planes = [([one[index] for one in tested], [one[index] for one in true]) for index in range(len(true[0]))]
    found: dict[str, float] = {}
    for name, (some, others) in zip("yuv", planes, strict=False):
        if "ssim" in wanted and name != "y":
            found[f"ssim_{name}"] = float(np.mean([ssim(a, b, depth) for a, b in zip(some, others, strict=True)]))
        features = [_FEATURE] * ("ms_ssim" in wanted and (name == "y" or min(others[0].shape) >= LEAST))
        features += ["vmaf"] * ("vmaf" in wanted and name == "y")
        if features:
            scores = _scores(features, some, others, depth)
            found |= {"vmaf" if feature == "vmaf" else f"ms_ssim_{name}": score for feature, score in zip(features, scores, strict=True)}
    return MoreLevels(measured_by=measured_by(wanted), **found)


def refuse_names(names: Iterable[str]) -> set[str]:
    """These, each once. Raises MetricError for one that there is not."""
    wanted = set(names)
    for name in sorted(wanted - set(NAMES)):
        raise MetricError(f"unknown metric {name!r:.60}; there are {', '.join(NAMES)}")
    return wanted


def refuse_size(names: Iterable[str], name: str, width: int, height: int) -> None:
    """Raise MetricError for a sequence that a metric cannot be measured of."""
    if "ms_ssim" in names and min(width, height) < LEAST:
        raise MetricError(f"MS-SSIM needs pictures of at least {LEAST}x{LEAST} samples; {name} has {width}x{height}")
    if "vmaf" in names and min(width, height) < LEAST_VMAF:
        raise MetricError(f"VMAF needs pictures of at least {LEAST_VMAF}x{LEAST_VMAF} samples; {name} has {width}x{height}")


@cache
def _libvmaf() -> str:
    """Names and versions of library and program. Raises MetricError if there is none."""
    grey = [np.full((LEAST, LEAST), 128, np.uint8)]
    report = _run([_FEATURE, "vmaf"], grey, grey, 8)
    first = _finished([_program(), "-version"]).stdout.splitlines()[0].split()
    return f"libvmaf {report['version']} (FFmpeg {first[2]})"


def _program() -> str:
    try:
        return str(import_module("imageio_ffmpeg").get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        found = shutil.which("ffmpeg")
    if found is None:
        raise MetricError(f"VMAF and MS-SSIM need FFmpeg with libvmaf: {INSTALL}")
    return found


def _scores(features: Sequence[str], pictures: Sequence[Plane], originals: Sequence[Plane], depth: int) -> list[float]:
    """The mean of each feature over planes."""
    report = _run(features, pictures, originals, depth)
    frames = [frame["metrics"] for frame in report["frames"]]
    if len(frames) != len(originals) or not all(feature in frame for frame in frames for feature in features):
        height, width = originals[0].shape
        raise MetricError(f"libvmaf measured {len(frames)} of {len(originals)} pictures of {width}x{height}, or not all of them")
    for feature in features:
        # Where a picture has nothing of its original, MS-SSIM is a broken power of a negative number, and JSON has no word for it.
        if (at := next((number for number, frame in enumerate(frames) if frame[feature] is None), None)) is not None:
            raise MetricError(f"{feature} of libvmaf has no value for picture {at}: too little is left of the original; measure without it")
    return [float(np.mean([frame[feature] for frame in frames])) for feature in features]


def _run(
    features: Sequence[str], pictures: Sequence[Plane], originals: Sequence[Plane], depth: int
) -> dict[str, list[dict[str, dict[str, float | None]]]]:
    """libvmaf's report on planes, as luma beside flat chroma: it takes no pictures of one plane."""
    if depth not in _LAYOUTS:
        raise MetricError(f"VMAF and MS-SSIM take pictures of {' and '.join(map(str, _LAYOUTS))} bits, not {depth}")
    height, width = originals[0].shape
    with tempfile.TemporaryDirectory(prefix="vrcnn-metrics-") as folder:
        names = [Path(folder) / name for name in ("tested.yuv", "original.yuv")]
        for path, planes in zip(names, (pictures, originals), strict=True):
            with path.open("wb") as file:
                for plane in planes:
                    chroma = np.full(2 * ((height + 1) // 2) * ((width + 1) // 2), 1 << depth - 1, plane.dtype)
                    file.write(plane.tobytes() + chroma.tobytes())
        like = ["-f", "rawvideo", "-pixel_format", _LAYOUTS[depth], "-video_size", f"{width}x{height}", "-framerate", "25"]
        inputs = [word for path in names for word in (*like, "-i", path.name)]
        options = "log_fmt=json:log_path=report.json:n_threads=1:model=version=" + MODEL
        options += f":feature=name={_FEATURE}" if _FEATURE in features else ""
        command = [_program(), "-nostdin", "-v", "error", *inputs, "-lavfi", f"[0:v][1:v]libvmaf={options}", "-f", "null", "-"]
        done = _finished(command, folder)
        report = Path(folder) / "report.json"
        if done.returncode or not report.exists():
            code = done.returncode
            lines = done.stderr.strip().splitlines() or [f"signal {-code}" if code < 0 else f"exit code {code}"]
            telling = next((line for line in lines if "No such filter" in line), lines[-1])
            raise MetricError(f"VMAF and MS-SSIM need FFmpeg with libvmaf: {INSTALL} ({Path(command[0]).name} says: {telling[:120]})")
        found: dict[str, list[dict[str, dict[str, float | None]]]] = json.loads(report.read_text())
        return found


def _finished(command: list[str], folder: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise MetricError(f"cannot run {command[0]}: {error.strerror}") from None
