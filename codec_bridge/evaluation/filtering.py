"""A decoded video, filtered picture by picture, and measured beside its original."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from codec_bridge.evaluation.settings import EvaluationError, FilterPlane, float_filter
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.video.files import Video
from codec_bridge.video.picture import Picture, VideoError
from vrcnn_int.integer import UNIT_SCALE, ModelSet

Show = Callable[[int, tuple[float, ...], tuple[float, ...]], None]
"""Told a picture's number and the PSNR (dB) of its planes before and after."""


def plane_filter(
    model: Path | None, models: ModelSet, number: int, scale: int = UNIT_SCALE, backend: str = "c", kernel: str = "auto", threads: int = 1
) -> FilterPlane:
    """A network of a model set, and what computes it, as a function of plane and bit depth.

    model: the set's file, None for the shipped one. scale: output scale in eighths. backend: one of filter.BACKENDS, or float: torch,
    not bit-exact. Raises EvaluationError for a backend that there is not or that has no output scale, FilterError where it cannot run here.
    """
    if backend not in (*BACKENDS, "float"):
        raise EvaluationError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)} and float")
    if backend == "float":
        if scale != UNIT_SCALE:
            raise EvaluationError("the float network has no output scale")
        return float_filter(model, models, number)
    filter_ = Filter(model, kernel, backend, threads)
    return lambda plane, bit_depth: filter_.filter_plane(plane, bit_depth, number, scale)


def filtered(video: Iterable[Picture], apply: FilterPlane) -> Iterator[tuple[Picture, Picture]]:
    """(picture, the same with its luma filtered), both cropped after filtering."""
    for picture in video:
        yield picture.cropped(), picture.with_luma(apply(picture.planes[0], picture.bit_depth)).cropped()


def measured(pictures: Iterable[tuple[Picture, Picture]], video: Video, original: Video, show: Show) -> Iterator[tuple[Picture, Picture]]:
    """The same (before, after), their PSNR shown on the way. Raises VideoError where the original ends before the video."""
    truths = iter(original)
    for number, (before, after) in enumerate(pictures):
        truth = next(truths, None)
        if truth is None:
            raise VideoError(f"{original.path} ends after {number} pictures, {video.path} goes on")
        show(number, picture_psnr(before, truth), picture_psnr(after, truth))
        yield before, after
