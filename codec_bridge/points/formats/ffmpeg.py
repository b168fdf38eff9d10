"""Logs of FFmpeg, x264 and x265: what the encoder sums up with --psnr and --ssim, or what the filters psnr, ssim and libvmaf print."""

import re
from pathlib import Path

from codec_bridge.points.record import (
    BLOCKS,
    MEAN_OF_PICTURES,
    OF_ERROR,
    OF_MEAN_ERROR,
    OF_PICTURES,
    PLANES,
    WEIGHED,
    Columns,
    Format,
    PointsError,
    Record,
    sequence_of,
)

_N = r"(-?(?:inf|nan|\d+(?:\.\d+)?))"
_R = r"(\d+(?:\.\d+)?)"
_RUNS = re.compile(r"^(?:Input #0,|(?:yuv|y4m|raw)\s+\[info\]: \d+x\d+)", re.M)
_FROM = re.compile(r"^Input #\d+, .* from '(?P<path>.*)':$", re.M)
_COMMAND_QP = re.compile(r"Rate Control\s+: CQP-(?P<qp>\d+)")
_RATES = (
    re.compile(rf"^.*\bPSNR Mean Y:.*\bkb/s:{_R}[ \t]*$", re.M),  # x264's sum, alone or in FFmpeg
    re.compile(rf"^(?:\[libx265.*\] )?encoded \d+ frames.*?{_R} kb/s", re.M),
    re.compile(rf"\[libx264 @ [^]]*\] kb/s:{_R}"),
)
_MUXED = re.compile(rf"(?:time=(\S+) )?bitrate= *{_R}kbits/s")
_READ = re.compile(r"^\s+Duration: .*\bbitrate: (\d+) kb/s", re.M)
_PICTURES = re.compile(r"\bencoded (\d+) frames|^frame= *(\d+) ", re.M)
_SUMS = {
    # Not those of I, P and B alone, which stand before it.
    re.compile(rf"\]:? PSNR Mean Y:{_N} U:{_N} V:{_N} Avg:{_N} Global:{_N}"): ("psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "psnr"),
    re.compile(rf"Global PSNR: {_N}"): ("psnr",),
    re.compile(rf"SSIM Mean Y: ?{_N} \( ?{_N} ?d[bB]\)"): ("ssim", "ssim_db"),
}
_SSIM = {"ssim": BLOCKS, "ssim_db": BLOCKS}
_BY_X264 = {"psnr_yuv": OF_PICTURES, "psnr": OF_ERROR, **dict.fromkeys(PLANES, MEAN_OF_PICTURES)}
_BY_X265 = {"psnr": WEIGHED}
_BY_FILTERS = {"psnr": OF_ERROR, **dict.fromkeys(PLANES, OF_MEAN_ERROR)}
_FILTERS = {
    re.compile(rf"\bPSNR y:{_N} u:{_N} v:{_N} average:{_N}"): ("psnr_y", "psnr_u", "psnr_v", "psnr"),
    re.compile(rf"\bPSNR y:{_N} average:"): ("psnr_y",),
    re.compile(rf"\bSSIM Y:{_N} \({_N}\)"): ("ssim", "ssim_db"),
    re.compile(rf"\bVMAF score: {_N}"): ("vmaf",),
}


def _claims(path: Path, head: bytes) -> bool:
    return bool(re.search(rb"^(Input #0, |ffmpeg version |x26[45] \[info\]: )|\[info\]: \d+x\d+ fps ", head, re.M))


def _read(path: Path, content: bytes, columns: Columns) -> list[Record]:
    text = content.decode(errors="replace").replace("\r", "\n")
    starts = [match.start() for match in _RUNS.finditer(text)] or [0]
    return [_point(path, text[start:end]) for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _point(path: Path, text: str) -> Record:
    """Of one run. What filters measured comes before what the encoder said of itself."""
    measured = _figures(_FILTERS, text)
    qualities = measured or _figures(_SUMS, text)
    if not qualities:
        raise PointsError(f"{path} has no quality: give -psnr and -ssim to the encoder, or the filters psnr, ssim or libvmaf")
    sources = [match["path"] for match in _FROM.finditer(text)]
    qp, pictures = _COMMAND_QP.search(text), _PICTURES.findall(text)
    return Record(
        _rate(path, text),
        qualities,
        "kbit/s",
        # With two inputs the first is the stream, the second the original.
        sequence_of(sources[min(1, len(sources) - 1)] if sources else path.name),
        qp=float(qp["qp"]) if qp else None,
        defined=_SSIM | (_BY_FILTERS if measured else _BY_X264 if "PSNR Mean Y:" in text else _BY_X265),
        pictures=int("".join(pictures[-1])) if pictures else None,
    )


def _figures(patterns: dict[re.Pattern[str], tuple[str, ...]], text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for pattern, metrics in patterns.items():
        if last := list(pattern.finditer(text))[-1:]:
            found |= {metric: float(value) for metric, value in zip(metrics, last[0].groups(), strict=True) if metric not in found}
    return found


def _rate(path: Path, text: str) -> float:
    """The encoder's own, else what was written, else that of the stream that was read."""
    for pattern in _RATES:
        if found := pattern.findall(text):
            return float(found[-1])
    if muxed := _MUXED.findall(text):
        time, rate = muxed[-1]
        if not time.strip("0:."):
            raise PointsError(f"{path} does not say the rate of the stream: {rate} kbit/s is of no time, as of a few pictures")
        return float(rate)
    read = _READ.search(text)
    if not read:
        raise PointsError(f"{path} does not say the rate of the stream")
    return float(read[1])


FORMAT = Format("log of FFmpeg, x264 or x265", _claims, _read)
