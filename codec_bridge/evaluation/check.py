"""Bit-consistency: oracle = C library = filtered decoder output, or the first layer, channel and sample that differ."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.filter import Filter
from codec_bridge.video.picture import Picture
from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError

UNIT = 64
"""Side of the squares in which the decoder's side is filtered: the other side filters whole pictures."""


class Inconsistency(VrcnnError):
    """Two implementations that must agree do not; the message says where first."""


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


def compare_sides(encoder_side: Picture, other_side: Picture, name: str, other: str = "decoder") -> None:
    """Raise Inconsistency, naming plane and sample, if two pictures that must be equal are not. other: the word for the second."""
    if len(encoder_side.planes) != len(other_side.planes):
        raise Inconsistency(f"{name}: {len(encoder_side.planes)} planes on the encoder's side, {len(other_side.planes)} on the {other}'s")
    for plane, left, right in zip("YUV", encoder_side.planes, other_side.planes, strict=False):
        if left.shape != right.shape:
            raise Inconsistency(f"{name}: plane {plane} is {left.shape} on the encoder's side, {right.shape} on the {other}'s")
        unequal = np.argwhere(left != right)
        if len(unequal):
            y, x = (int(i) for i in unequal[0])
            raise Inconsistency(
                f"{name}: encoder and {other} differ in plane {plane} at sample ({x}, {y}): "
                f"{left[y, x]} and {right[y, x]}; {len(unequal)} samples differ"
            )


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


def compare_coded(recon: Sequence[Picture], decoded: Sequence[Picture], verdicts: Sequence[tuple[int, str]]) -> int:
    """Raise Inconsistency unless every hash was OK and the decoder's output is the encoder's; returns the luma samples compared."""
    wrong = [f"POC {poc} ({verdict})" for poc, verdict in verdicts if verdict != "OK"]
    if wrong:
        raise Inconsistency(f"the decoder finds {len(wrong)} of {len(verdicts)} picture hashes missing or wrong: {', '.join(wrong[:3])}")
    if not len(recon) == len(decoded) == len(verdicts):
        raise Inconsistency(f"{len(recon)} pictures coded, {len(decoded)} decoded, {len(verdicts)} hashes verified")
    for number, (left, right) in enumerate(zip(recon, decoded, strict=True)):
        compare_sides(left, right, f"picture {number}")
    return sum(picture.planes[0].size for picture in recon)


def compare_decisions(decided: Sequence[str | None], side: Sequence[Sideinfo | None]) -> None:
    """Raise Inconsistency unless the stream says of each picture, in coding order, what its encoder printed."""
    found = [None if information is None else information.mode for information in side]
    if list(decided) != found:
        at = next((i for i, (a, b) in enumerate(zip(decided, found, strict=False)) if a != b), min(len(decided), len(found)))
        pair = [words[at] if at < len(words) else "no picture" for words in (decided, found)]
        raise Inconsistency(f"picture {at} in coding order: the encoder decided {pair[0]}, the stream says {pair[1]}")


def compare_modes(decided: Mapping[str, int], side: Sequence[Sideinfo | None]) -> None:
    """Raise Inconsistency unless the stream has as many pictures of each mode as its encoder printed."""
    found = Counter("none" if information is None else information.mode for information in side)
    if dict(found) != dict(decided):
        raise Inconsistency(f"the encoder decided {dict(decided)}, the stream says {dict(found)}")


def compare_model(side: Sequence[Sideinfo | None], identity: str) -> None:
    """Raise Inconsistency if the side information names another model set than ``identity`` (hexadecimal)."""
    named = {information.identity.hex() for information in side if information is not None and information.identity}
    others = sorted(named - {identity[:8]})
    if others:
        raise Inconsistency(
            f"the encoder filters with model set {', '.join(others)}, this evaluation is of {identity[:16]}: "
            "build the codec again with this libvrcnn, or give --model"
        )
