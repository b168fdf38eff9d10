"""Bit-consistency: oracle = C library = filtered decoder output, or the first layer, channel and sample that differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.codecs.gates import Inconsistency, compare_sides
from codec_bridge.filter import Filter
from codec_bridge.video.picture import Picture
from vrcnn_int import integer
from vrcnn_int.network import PLANES

THREADS = 3
"""Of the filter that filters by maps."""
UNIT = 64
"""Side of the squares in which the decoder's side is filtered: the other side filters whole pictures."""


@dataclass(frozen=True)
class Difference:
    """The first value in which two implementations differ: layer counted from 1, channel, row and column from 0."""

    layer: int
    channel: int
    y: int
    x: int
    expected: int
    found: int

    def __str__(self) -> str:
        return f"layer {self.layer}, channel {self.channel}, sample ({self.x}, {self.y}): {self.expected} expected, {self.found} found"


def first_difference(expected: NDArray[np.integer], found: NDArray[np.integer], layer: int) -> Difference | None:
    """Compare two arrays [C, H, W]; None if they are equal."""
    if expected.shape != found.shape:
        raise Inconsistency(f"layer {layer}: shape {expected.shape} expected, {found.shape} found")
    unequal = np.argwhere(expected != found)
    if not len(unequal):
        return None
    channel, y, x = (int(i) for i in unequal[0])
    return Difference(layer, channel, y, x, int(expected[channel, y, x]), int(found[channel, y, x]))


def locate(filter_: Filter, network: integer.IntegerNetwork, picture: Picture, index: int) -> Difference | None:
    """The first hidden layer, channel and sample in which the C library differs from the oracle on a picture; None if none does."""
    if network.kind == "luma":
        plane, depth = picture.planes[0], picture.bit_depth
        layers = integer.layer_outputs(network, plane, depth)
        found = (filter_.layer(plane, depth, index, i) for i in range(len(layers)))
    else:
        depths = (picture.bit_depth,) * 2
        layers = integer.joint_layer_outputs(network, picture.planes, depths, picture.chroma_format)
        found = (filter_.planes_layer(filtered_planes(network, picture), depths, index, i) for i in range(len(layers)))
    for i, (expected, values) in enumerate(zip(layers, found, strict=True)):
        difference = first_difference(expected, values, i + 1)
        if difference:
            return difference
    return None


def compare_oracle(filter_: Filter, network: integer.IntegerNetwork, index: int, picture: Picture, filtered: Picture, name: str) -> None:
    """Raise Inconsistency, naming the picture ``name``, if ``filtered`` (the C library's result for ``picture``) is not the oracle's."""
    weights = (integer.UNIT_SCALE,) * network.heads
    expected = integer.filter_planes(network, picture.planes, (picture.bit_depth,) * 2, picture.chroma_format, weights, weights)
    for plane, wanted, found in zip(PLANES, expected, filtered.planes, strict=False):
        last = first_difference(wanted[None], found[None], len(network.layers))
        if last:
            # A GPU shows no hidden layers: what differs there is seen in the last one only.
            where = last if filter_.kernel == "cuda" else locate(filter_, network, picture, index) or last
            of_plane = f", plane {plane}" if network.kind == "joint" else ""
            raise Inconsistency(f"{name}{of_plane}: kernel {filter_.kernel} differs from the oracle: {where}")


def regions(width: int, height: int, unit: int = UNIT) -> Iterator[tuple[int, int, int, int]]:
    """x, y, width, height of the units of a plane, in raster order."""
    for y in range(0, height, unit):
        for x in range(0, width, unit):
            yield x, y, min(unit, width - x), min(unit, height - y)


def filter_by_regions(filter_: Filter, network: integer.IntegerNetwork, index: int, picture: Picture) -> Picture:
    """Filter a picture unit by unit, as a decoder that works on coding tree units would."""
    read, weights = filtered_planes(network, picture), (integer.UNIT_SCALE,) * network.heads
    out = [np.zeros_like(plane) for plane in read]
    for region in regions(picture.width, picture.height):
        x, y, width, height = region
        if network.kind == "luma":
            out[0][y : y + height, x : x + width] = filter_.filter_region(read[0], picture.bit_depth, index, *region)
            continue
        found = filter_.filter_planes_region(read, (picture.bit_depth,) * 2, index, *region, weights, weights)
        for number, part in enumerate(found):
            top, left = (y // 2, x // 2) if number else (y, x)
            out[number][top : top + part.shape[0], left : left + part.shape[1]] = part
    return picture.with_planes((*out, *picture.planes[len(out) :]))


def filter_by_maps(filter_: Filter, network: integer.IntegerNetwork, index: int, picture: Picture) -> Picture:
    """Filter every other unit of a picture, as on a chessboard, and then those that are left; of chroma the others first."""
    read, weights = filtered_planes(network, picture), (integer.UNIT_SCALE,) * network.heads
    rows, columns = (-(-size // UNIT) for size in (picture.height, picture.width))
    black = (np.indices((rows, columns)).sum(0) % 2).astype(np.uint8)
    out = read
    for first in (black, 1 - black):
        if network.kind == "luma":
            out = (filter_.filter_units(read[0], picture.bit_depth, [index], first, UNIT, background=out[0]),)
        else:
            chroma = 1 - first if len(read) > 1 else None
            out = filter_.filter_planes_units(read, (picture.bit_depth,) * 2, [(index, weights, weights)], first, chroma, UNIT, out)
    return picture.with_planes((*out, *picture.planes[len(out) :]))


def filtered_planes(network: integer.IntegerNetwork, picture: Picture) -> tuple[NDArray[np.integer], ...]:
    """The planes that a network reads, and changes."""
    return picture.planes if network.kind == "joint" and picture.chroma_format == "420" else picture.planes[:1]


def check_picture(
    filters: tuple[Filter, Filter],
    network: integer.IntegerNetwork,
    index: int,
    encoder_side: Picture,
    filtered: Picture,
    decoder_side: Picture,
    name: str,
) -> int:
    """Check one picture on both sides; returns the number of samples compared, of the planes that the network filters.

    ``encoder_side`` and ``decoder_side``: the reconstruction, decoded twice. ``filtered``: the C library's result for the first.
    It must be what the oracle gives, and what the second gives unit by unit, and by maps, in the second of the ``filters``, which has
    other threads. Raises Inconsistency.
    """
    compare_oracle(filters[0], network, index, encoder_side, filtered, name)
    compare_sides(filtered, filter_by_regions(filters[0], network, index, decoder_side), name)
    compare_sides(filtered, filter_by_maps(filters[1], network, index, decoder_side), f"{name}, by maps")
    return sum(plane.size for plane in filtered_planes(network, encoder_side))


def replay(filter_: Filter, side: Sideinfo | None, unfiltered: Picture, deblocked: Picture, anchor: Picture) -> Picture:
    """What a decoder makes of an all-intra picture, from its reconstructions with other filters (c/SPECIFICATION.md, section 8).

    ``unfiltered``, ``deblocked``, ``anchor``: uncropped, without in-loop filters, with deblocking, and with deblocking and SAO.
    """
    if side is None or not side.filters:
        return anchor
    source, background = (unfiltered, deblocked) if side.position == "before_deblocking" else (anchor, anchor)
    if side.version > 1:
        return _replay_planes(filter_, side, source, background, anchor)
    luma = source.planes[0]
    if side.units is None:
        return anchor.with_luma(filter_.filter_plane(luma, source.bit_depth, side.indices[0], side.scale))
    return anchor.with_luma(
        filter_.filter_units(luma, source.bit_depth, side.indices, side.units, side.unit_size, side.scale, background.planes[0])
    )


def _replay_planes(filter_: Filter, side: Sideinfo, source: Picture, background: Picture, anchor: Picture) -> Picture:
    count = 3 if source.chroma_format == "420" else 1
    size, luma, chroma = side.plane_units(source.width, source.height)
    filters = list(zip(side.indices, side.luma_weights, side.chroma_weights, strict=True))
    depths = (source.bit_depth,) * 2
    filtered = filter_.filter_planes_units(source.planes[:count], depths, filters, luma, chroma, size, background.planes[:count])
    modes = (side.mode, side.chroma_mode, side.chroma_mode)
    planes = [plane if mode == "off" else found for mode, found, plane in zip(modes, filtered, anchor.planes, strict=False)]
    return anchor.with_planes((*planes, *anchor.planes[count:]))
