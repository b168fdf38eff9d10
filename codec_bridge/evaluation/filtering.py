"""A decoded video, filtered picture by picture, and measured beside its original."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.evaluation.settings import EvaluationError, FilterPicture, float_filter
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.video.files import Video
from codec_bridge.video.picture import Picture, VideoError
from vrcnn_int.integer import UNIT_SCALE, ModelSet
from vrcnn_int.network import PLANES
from vrcnn_int.text import counted

Networks = Callable[[int], FilterPicture]
"""A network of a model set by its number, as a function of pictures."""

Triple = tuple[Picture, Picture, Picture | None]
"""A picture before and after filtering, and its original."""

Show = Callable[[int, tuple[float, ...], tuple[float, ...]], None]
"""Told a picture's number and the PSNR (dB) of its planes before and after."""


def picture_filters(
    model: Path | None, models: ModelSet, scale: int = UNIT_SCALE, backend: str = "c", kernel: str = "auto", threads: int = 1
) -> Networks:
    """The networks of a model set, and what computes them.

    model: the set's file, None for the shipped one. scale: output scale in eighths. backend: one of filter.BACKENDS, or float: torch,
    not bit-exact. Raises EvaluationError for a backend that there is not or that has no output scale, FilterError where it cannot run here.
    """
    if backend not in (*BACKENDS, "float"):
        raise EvaluationError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)} and float")
    if backend == "float":
        if scale != UNIT_SCALE:
            raise EvaluationError("the float network has no output scale")
        networks = cache(lambda number: float_filter(model, models, number))
        networks(0)  # what is missing is missing for all of them
        return networks
    filter_ = Filter(model, kernel, backend, threads)
    return lambda number: lambda picture: filter_.filter_picture(picture, index=number, scale=scale)


def filtered(
    video: Iterable[Picture], networks: Sequence[Networks], choose: Callable[[Picture], int | None]
) -> Generator[tuple[Picture, Picture]]:
    """(picture, the same filtered by the network that ``choose`` gives for it, None: by none), both cropped after filtering, in order.

    networks: of one or more filters, each of which works on a picture at a time; at most one picture more than there are filters is held.
    With one filter a picture is given before the next one is read.
    """
    if len(networks) == 1:
        for picture in video:
            yield picture.cropped(), _apply(networks[0], choose(picture), picture).cropped()
        return
    free: SimpleQueue[Networks] = SimpleQueue()
    for some in networks:
        free.put(some)

    def apply(picture: Picture, number: int | None) -> tuple[Picture, Picture]:
        own = free.get()
        try:
            return picture.cropped(), _apply(own, number, picture).cropped()
        finally:
            free.put(own)

    running: deque[Future[tuple[Picture, Picture]]] = deque()
    pool = ThreadPoolExecutor(len(networks))
    try:
        for picture in video:
            running.append(pool.submit(apply, picture, choose(picture)))
            if len(running) > len(networks):
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _apply(networks: Networks, number: int | None, picture: Picture) -> Picture:
    return picture if number is None else networks(number)(picture)


def measured(
    pictures: Iterable[tuple[Picture, Picture]], video: Video, original: Video, show: Show, longer: Callable[[int], None] = lambda _: None
) -> Iterator[Triple]:
    """(before, after, original), their PSNR shown on the way; longer: told how many there were, if the original goes on.

    Raises VideoError where the original ends before the video, or has pictures of another size or format.
    """
    truths = iter(original)
    number = -1
    for number, (before, after) in enumerate(pictures):
        truth = next(truths, None)
        if truth is None:
            raise VideoError(f"{original.path} ends after {counted(number, 'picture')}, {video.path} goes on")
        layouts = [(some.width, some.height, some.pixel_format) for some in (before, truth)]
        if layouts[0] != layouts[1]:
            one, other = (f"{width}x{height} {pixel_format}" for width, height, pixel_format in layouts)
            raise VideoError(f"picture {number} of {video.path} is {one}, that of {original.path} is {other}")
        show(number, picture_psnr(before, truth), picture_psnr(after, truth))
        yield before, after, truth
    if next(truths, None) is not None:
        longer(number + 1)


def told_network(filter_: Filter, index: int, planes: int) -> dict[str, Any]:
    """What results say of a network, and what of so many planes it filters."""
    network = filter_.networks[index]
    return {
        "model": filter_.identity,
        "network": index,
        "network_qp": network.qp,
        "kind": network.kind,
        "network_size": network.size,
        "kernel": filter_.kernel,
        "planes": list(PLANES[: planes if network.kind == "joint" else 1]),
    }


def whole_pictures(filter_: Filter, index: int) -> Callable[[Sequence[NDArray[np.uint8]]], list[NDArray[np.uint8]]]:
    """A network, by its number, as a function of the planes of 8-bit pictures; a luma network leaves chroma as it is."""

    def whole(planes: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        if filter_.networks[index].kind == "luma":
            return [filter_.filter_plane(planes[0], 8, index).astype(np.uint8), *planes[1:]]
        return [plane.astype(np.uint8) for plane in filter_.filter_planes(planes, (8, 8), index)]

    return whole
