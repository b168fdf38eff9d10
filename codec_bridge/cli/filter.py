"""codec-bridge filter: a decoded video, filtered."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from codec_bridge.cli.options import Kernel, ModelFile, PixelFormat, Size
from codec_bridge.evaluation.filtering import filtered, measured, plane_filter
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import Settings, check_settings, load_models
from codec_bridge.video.files import Video, write_y4m, write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture
from vrcnn_int.console import console
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.network import POSITIONS

WRITTEN = (".yuv", ".y4m")


def filter_video(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Decoded video (.yuv, .y4m, containers) or an HEVC stream.")],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Filtered video: .yuv or .y4m.")],
    qp: Annotated[int | None, typer.Option(help="QP the video was coded at: chooses the network.", min=-12, max=51)] = None,
    index: Annotated[int | None, typer.Option(help="Network of the set, instead of --qp.", min=0)] = None,
    original: Annotated[Path | None, typer.Option(help="Original video: prints PSNR before and after, picture by picture.")] = None,
    backend: Annotated[str, typer.Option(help="c (the C library), cuda, oracle (numpy, slow) or float (torch; not bit-exact).")] = "c",
    scale: Annotated[int, typer.Option(help="Output scale c, in eighths.", min=1, max=10)] = 8,
    frames: Annotated[int | None, typer.Option(help="Filter at most so many pictures.", min=1)] = None,
    rate: Annotated[
        str | None, typer.Option(help="Pictures a second to write into .y4m, such as 30000/1001; default: the input's.")
    ] = None,
    model: ModelFile = None,
    kernel: Kernel = "auto",
    threads: Annotated[int, typer.Option(help="That work on a picture; any number gives the same bits.", min=1, max=64)] = 1,
    position: Annotated[str, typer.Option(help=f"With --qp: where the filter stands, {' or '.join(POSITIONS)}.")] = "before_deblocking",
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Filter a decoded video (luma; chroma passes through). HEVC streams are filtered uncropped, then cropped."""
    if (qp is None) == (index is None):
        raise VrcnnError("give either --qp or --index, to choose the network")
    if out.suffix.lower() not in WRITTEN:
        raise VrcnnError(f"the output is .yuv or .y4m, not {out.name!r}")
    settings = Settings(model=model, kernel=kernel, position=position)
    check_settings(settings)
    models = load_models(settings)
    number = choose_network(models, qp, index, position)
    pictures_a_second = parse_rate(rate)
    apply = plane_filter(model, models, number, scale, backend, kernel, threads)
    with open_any(source, size, pixel_format, pictures_a_second, frames, cropping=False) as video:
        pictures = filtered(video, apply)
        if original is not None:
            pictures = measured(pictures, video, open_any(original, size, pixel_format), say_psnr)
        count = write(out, (after for _, after in pictures), video.rate)
    console.print(
        f"wrote {out}: {count} pictures, network {number} of set {models.identity[:16]}, {backend}", soft_wrap=True, highlight=False
    )


def choose_network(models: ModelSet, qp: int | None, index: int | None, position: str) -> int:
    """The number of the network for a QP, or the number that was given. Raises VrcnnError if the set has no such network."""
    number = models.index_for_qp(qp, position) if qp is not None else index
    if number is None or number >= len(models.networks):
        raise VrcnnError(f"the model set has no network {number}; it has 0 to {len(models.networks) - 1}")
    return number


def parse_rate(text: str | None) -> Fraction | None:
    """'30000/1001' -> that fraction."""
    try:
        return Fraction(text) if text else None
    except (ValueError, ZeroDivisionError):
        raise VrcnnError(f"{text!r} is not a rate such as 30 or 30000/1001") from None


def open_any(
    path: Path, size: str | None, pixel_format: str | None, rate: Fraction | None = None, frames: int | None = None, cropping: bool = True
) -> Video:
    """A video whose size and format were given for the case that it does not say them itself."""
    raw = path.suffix.lower() == ".yuv"
    dimensions = parse_size(size)
    return open_video(path, dimensions if raw else None, pixel_format if raw else None, rate, frames, cropping)


def write(path: Path, pictures: Iterable[Picture], rate: Fraction | None) -> int:
    """Write pictures as the file's name wants it; returns how many."""
    return write_yuv(path, pictures) if path.suffix.lower() == ".yuv" else write_y4m(path, pictures, rate)


def say_psnr(number: int, before: tuple[float, ...], after: tuple[float, ...]) -> None:
    """One line on a picture."""
    figures = ", ".join(f"{plane} {a:.3f} -> {b:.3f} dB" for plane, a, b in zip("YUV", before, after, strict=False))
    console.print(f"picture {number}: {figures}", highlight=False, soft_wrap=True)
