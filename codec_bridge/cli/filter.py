"""codec-bridge filter: a decoded video, filtered."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from codec_bridge.cli.options import Kernel, ModelFile, PixelFormat, Size
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import Settings, check_settings, float_filter, load_models
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.video.files import Video, write_y4m, write_yuv
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, VideoError
from vrcnn_int import integer
from vrcnn_int.console import console
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS


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
    if out.suffix.lower() not in (".yuv", ".y4m"):
        raise VrcnnError(f"the output is .yuv or .y4m, not {out.name!r}")
    settings = Settings(model=model, kernel=kernel, position=position)
    check_settings(settings)
    models = load_models(settings)
    number = models.index_for_qp(qp, position) if index is None else index  # type: ignore[arg-type]
    if number >= len(models.networks):
        raise VrcnnError(f"the model set has no network {number}; it has 0 to {len(models.networks) - 1}")
    try:
        given_rate = Fraction(rate) if rate else None
    except (ValueError, ZeroDivisionError):
        raise VrcnnError(f"{rate!r} is not a rate such as 30 or 30000/1001") from None

    if backend not in (*BACKENDS, "float"):
        raise VrcnnError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)} and float")
    if backend == "float":
        if scale != integer.UNIT_SCALE:
            raise VrcnnError("the float network has no output scale")
        apply = float_filter(model, models, number)
    else:
        filter_ = Filter(model, kernel, backend, threads)

        def apply(plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.integer]:
            return filter_.filter_plane(plane, bit_depth, number, scale)

    def results(video: Video, reference: Iterator[Picture] | None) -> Iterator[Picture]:
        for count, picture in enumerate(video):
            before, after = picture.cropped(), picture.with_luma(apply(picture.planes[0], picture.bit_depth)).cropped()
            if reference is not None:
                truth = next(reference, None)
                if truth is None:
                    raise VideoError(f"{original} ends after {count} pictures, {source} goes on")
                psnrs = zip("YUV", picture_psnr(before, truth), picture_psnr(after, truth), strict=False)
                figures = ", ".join(f"{plane} {a:.3f} -> {b:.3f} dB" for plane, a, b in psnrs)
                console.print(f"picture {count}: {figures}", highlight=False, soft_wrap=True)
            yield after

    raw = source.suffix.lower() == ".yuv"
    dimensions = parse_size(size)
    with open_video(source, dimensions if raw else None, pixel_format if raw else None, given_rate, frames, cropping=False) as video:
        reference = None
        if original is not None:
            is_yuv = original.suffix.lower() == ".yuv"
            reference = iter(open_video(original, dimensions if is_yuv else None, pixel_format if is_yuv else None))
        pictures = results(video, reference)
        count = write_yuv(out, pictures) if out.suffix.lower() == ".yuv" else write_y4m(out, pictures, video.rate)
    console.print(
        f"wrote {out}: {count} pictures, network {number} of set {models.identity[:16]}, {backend}", soft_wrap=True, highlight=False
    )
