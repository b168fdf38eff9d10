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


def locate(filter_: Filter, network: integer.IntegerNetwork, plane: NDArray[np.integer], bit_depth: int, index: int) -> Difference | None:
    """The first hidden layer, channel and sample in which the C library differs from the oracle on this plane; None if none does."""
    for i, expected in enumerate(integer.layer_outputs(network, plane, bit_depth)):
        difference = first_difference(expected, filter_.layer(plane, bit_depth, index, i), i + 1)
        if difference:
            return difference
    return None


def compare_oracle(
    filter_: Filter,
    network: integer.IntegerNetwork,
    plane: NDArray[np.integer],
    bit_depth: int,
    index: int,
    filtered: NDArray[np.integer],
    name: str,
) -> None:
    """Raise Inconsistency, naming the picture ``name``, if ``filtered`` (the C library's result for ``plane``) is not the oracle's."""
    expected = integer.filter_plane(network, plane, bit_depth)
    last = first_difference(expected[None], filtered[None], len(network.layers))
    if last:
        # A GPU shows no hidden layers: what differs there is seen in the last one only.
        where = last if filter_.kernel == "cuda" else locate(filter_, network, plane, bit_depth, index) or last
        raise Inconsistency(f"{name}: kernel {filter_.kernel} differs from the oracle: {where}")


def regions(width: int, height: int, unit: int = UNIT) -> Iterator[tuple[int, int, int, int]]:
    """x, y, width, height of the units of a plane, in raster order."""
    for y in range(0, height, unit):
        for x in range(0, width, unit):
            yield x, y, min(unit, width - x), min(unit, height - y)


def filter_by_regions(filter_: Filter, plane: NDArray[np.integer], bit_depth: int, index: int) -> NDArray[np.integer]:
    """Filter a plane unit by unit, as a decoder that works on coding tree units would."""
    out = np.zeros_like(plane)
    for x, y, width, height in regions(plane.shape[1], plane.shape[0]):
        out[y : y + height, x : x + width] = filter_.filter_region(plane, bit_depth, index, x, y, width, height)
    return out


def check_picture(
    filter_: Filter, network: integer.IntegerNetwork, index: int, encoder_side: Picture, filtered: Picture, decoder_side: Picture, name: str
) -> int:
    """Check one picture on both sides; returns the number of luma samples compared.

    ``encoder_side`` and ``decoder_side``: the reconstruction, decoded twice. ``filtered``: the C library's result for the first.
    It must be what the oracle gives, and what the second gives unit by unit. Raises Inconsistency.
    """
    plane, depth = encoder_side.planes[0], encoder_side.bit_depth
    compare_oracle(filter_, network, plane, depth, index, filtered.planes[0], name)
    other = decoder_side.with_luma(filter_by_regions(filter_, decoder_side.planes[0], depth, index))
    compare_sides(filtered, other, name)
    return int(plane.size)


def replay(filter_: Filter, side: Sideinfo | None, unfiltered: Picture, deblocked: Picture, anchor: Picture) -> Picture:
    """What a decoder makes of an all-intra picture, from its reconstructions with other filters (c/SPECIFICATION.md, section 8).

    ``unfiltered``, ``deblocked``, ``anchor``: uncropped, without in-loop filters, with deblocking, and with deblocking and SAO.
    """
    if side is None or side.mode == "off":
        return anchor
    source, background = (unfiltered, deblocked) if side.position == "before_deblocking" else (anchor, anchor)
    luma = source.planes[0]
    if side.units is None:
        return anchor.with_luma(filter_.filter_plane(luma, source.bit_depth, side.indices[0], side.scale))
    return anchor.with_luma(
        filter_.filter_units(luma, source.bit_depth, side.indices, side.units, side.unit_size, side.scale, background.planes[0])
    )
