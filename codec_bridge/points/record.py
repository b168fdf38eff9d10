"""One measured point, as every format gives it, and what may be asked of the columns of a table."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vrcnn_int.errors import VrcnnError

METRICS = {
    "psnr_y": "PSNR Y (dB)",
    "psnr_u": "PSNR U (dB)",
    "psnr_v": "PSNR V (dB)",
    "psnr_yuv": "PSNR YUV (dB)",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ssim_u": "SSIM U",
    "ssim_v": "SSIM V",
    "ssim_db": "SSIM (dB)",
    "ms_ssim": "MS-SSIM",
    "ms_ssim_u": "MS-SSIM U",
    "ms_ssim_v": "MS-SSIM V",
    "ms_ssim_db": "MS-SSIM (dB)",
    "vmaf": "VMAF",
    "vmaf_neg": "VMAF NEG",
}
"""Qualities that are known by name, in the order of tables, and what tables call them."""

TIMES = ("bit/s", "kbit/s", "Mbit/s", "byte/s", "kbyte/s", "Mbyte/s")
SIZES = ("bits", "bytes")

OF_PICTURES = "x264's mean over pictures, of the error in all planes"
OF_ERROR = "of the mean error in all planes"
WEIGHED = "of Y, U and V weighed 6:1:1"
MEAN_OF_PICTURES = "a mean of the pictures' PSNR"
OF_MEAN_ERROR = "FFmpeg's, of the mean error of all pictures"
BLOCKS, GAUSSIAN = "of 8x8 blocks", "of Gaussian windows"
"""What is meant by PSNR and SSIM, in words."""
PLANES = ("psnr_y", "psnr_u", "psnr_v")
SCALES = {"bit/s": 1e-3, "kbit/s": 1.0, "Mbit/s": 1e3, "byte/s": 8e-3, "kbyte/s": 8.0, "Mbyte/s": 8e3, "bits": 1.0, "bytes": 8.0}
"""Of units of rates: to kbit/s, and of sizes to bits."""

_QP = re.compile(r"(?:^|[-_. ])(?:qp?|crf)[-_ ]?\d+(?=$|[-_. ])", re.I)


class PointsError(VrcnnError):
    """A file has no RD points, or points that no curve can be made of; the message names it."""


class NoTitlesError(PointsError):
    """A table has no line of titles with a rate and a quality: it is about something else."""


class NoRatesError(PointsError):
    """Rows have no rate. at: (row, column) of where it should be, from 0; whole: the table has none, nobody filled it in."""

    def __init__(self, message: str, at: Sequence[tuple[int, int]], whole: bool) -> None:
        super().__init__(message)
        self.at, self.whole = at, whole


@dataclass(frozen=True)
class Record:
    """A point. rate: in ``unit`` (kbit/s or bits; "" where the file does not say). qualities: by metric, higher is better.

    sequence, class_name, configuration: "" where the file does not say. label: of the curve, where one file has several.
    pictures: that were coded, None where the file does not say.
    defined: what a metric is with this program, where others mean something else by its name.
    """

    rate: float
    qualities: Mapping[str, float]
    unit: str = ""
    sequence: str = ""
    class_name: str = ""
    configuration: str = ""
    label: str = ""
    qp: float | None = None
    pictures: int | None = None
    defined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Columns:
    """Titles of a table's columns that the user named, by rate, sequence, class, configuration, label, qp or a metric.

    sheet: of a workbook; None: all that have points.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    sheet: str | None = None


@dataclass(frozen=True)
class Format:
    """A kind of file. name: in words. claims: whether a file is of it, told its name and what it begins with.

    read: its points. Raises PointsError for what claims to be of the format and is not.
    columns, sheets: whether it has such that can be named.
    """

    name: str
    claims: Callable[[Path, bytes], bool]
    read: Callable[[Path, bytes, Columns], list[Record]]
    columns: bool = False
    sheets: bool = False


@dataclass(frozen=True)
class Source:
    """A file that points are from. name: with the folder, where that was given, and no others. sha256: of the whole file."""

    name: str
    kind: Format
    sha256: str


def kilobits(rate: float, unit: str) -> tuple[float, str]:
    """A rate in kbit/s or a size in bits, and which; a rate of no unit as it is."""
    return (rate * SCALES[unit], "kbit/s" if unit in TIMES else "bits") if unit else (rate, "")


def sequence_of(path: str) -> str:
    """What a file's name says of its sequence: 'BasketballPass' of 'anchor/BasketballPass_416x240_50_QP32.log', nothing of '32.log'."""
    name = re.split(r"[\\/]", path)[-1].rpartition(".")[0] or re.split(r"[\\/]", path)[-1]
    name = _QP.sub("", name).strip("-_. ")
    return "" if name.isdecimal() else re.sub(r"_\d+x\d+(_\d+(fps|hz|p)?)?(_\d+bit|_10b)?(_420)?$", "", name, flags=re.I)
