"""Networks outside the loop: what they make of the decoded pictures of a stream, and what it costs to say so."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.sideinfo import Sideinfo, parse
from codec_bridge.codecs.base import ORDINARY
from codec_bridge.evaluation.settings import Settings, float_filter, open_filter
from codec_bridge.evaluation.streams import Streams, Verified
from codec_bridge.library.decider import Decider, Decision
from codec_bridge.video.picture import Picture
from vrcnn_int.integer import UNIT_SCALE, ModelSet, Plane

SIDE_INFORMATION_BITS = 16
"""Bits a picture that a stream filtered after decoding pays for side information: what codecs with the filter inside write where a network
filters everywhere as it was trained, 12 bits and padding in either version (c/SPECIFICATION.md, section 6.2)."""


@dataclass(frozen=True)
class Filtered:
    """What networks outside the loop made of a decoded stream. side_bits: of the side information. more_bits: paid beyond the stream: the
    side information that is not in it, and pictures that come from another stream."""

    pictures: list[Picture]
    side: list[Sideinfo | None]
    side_bits: int
    kernel: str | None
    more_bits: int


@dataclass(frozen=True)
class Offline:
    """The variants that filter after decoding, of the streams of one sequence at one QP."""

    streams: Streams
    settings: Settings
    models: ModelSet

    @property
    def index(self) -> int:
        """Of the network for the QP."""
        return self.settings.network_in(self.models, self.streams.request.qp)

    def integer(self, verified: Verified) -> Filtered:
        """The integer network on every picture."""
        with open_filter(self.settings, self.models) as filter_:
            unfiltered = verified.decoded.pictures
            pictures = [filter_.filter_picture(picture, index=self.index) for picture in unfiltered]
            return self._everywhere(pictures, filter_.kernel)

    def float_(self, verified: Verified) -> Filtered:
        """The float network on every picture."""
        run = float_filter(self.settings.model, self.models, self.index)
        return self._everywhere(list(map(run, verified.decoded.pictures)), None)

    def after(self, verified: Verified) -> Filtered:
        """The decision is the codec's, except that input and background of the networks are the decoded picture."""
        pictures: list[Picture] = []
        side: list[Sideinfo | None] = []
        bits = 0
        with self._decider(verified.decoded.pictures[0]) as decider:
            both = zip(verified.decoded.pictures, self.streams.originals, strict=True)
            for picture, original in both:
                truth = original.planes[0]
                decision = self._decide(decider, truth, picture, squared_error(picture, truth))
                bits += 8 * len(decision.data)
                side.append(parse(decision.data, False, picture.width, picture.height))
                pictures.append(picture if decision.luma is None else picture.with_luma(decision.luma))
        return Filtered(pictures, side, bits, None, bits)

    def choice(self, verified: Verified) -> Filtered:
        """The decision is the codec's, except that units without a network keep the samples without filters."""
        anchor, anchor_pictures = self.anchor()
        pictures: list[Picture] = []
        side: list[Sideinfo | None] = []
        side_bits = more_bits = 0
        sizes = (nal.picture_bits(stream.coded.data) for stream in (anchor, verified))
        coded = zip(*sizes, (segments[0].is_irap for segments in slices.pictures(verified.coded.data)), strict=True)
        unfiltered = verified.decoded.pictures
        ways = zip(unfiltered, anchor_pictures, self.streams.originals, coded, strict=True)
        with self._decider(verified.decoded.pictures[0]) as decider:
            for picture, ordinary, original, (with_filters, without, is_irap) in ways:
                truth = extended(original.planes[0], picture.width, picture.height)
                more = with_filters - without
                cost = squared_error(ordinary, truth) + self._lagrangian(picture.bit_depth) * more
                decision = self._decide(decider, truth, picture, cost, is_irap)
                size = len(decision.data)
                side_bits += 8 * size + 2 * (size + 1).bit_length() - 1  # with its length, ue(v), in every slice header
                more_bits += more if decision.luma is None else 0
                side.append(parse(decision.data, is_irap, picture.width, picture.height))
                pictures.append(ordinary if decision.luma is None else picture.with_luma(decision.luma))
        return Filtered(pictures, side, side_bits, None, side_bits + more_bits)

    def anchor(self) -> tuple[Verified, list[Picture]]:
        """The stream with the ordinary filters, and its pictures uncropped."""
        anchor = self.streams.verified(ORDINARY)
        return anchor, self.streams.uncropped(anchor)

    def _everywhere(self, pictures: list[Picture], kernel: str | None) -> Filtered:
        side = Sideinfo(None, "all", self.settings.position, (self.index,), UNIT_SCALE)
        bits = SIDE_INFORMATION_BITS * len(pictures)
        return Filtered(pictures, [side] * len(pictures), bits, kernel, bits)

    def _decider(self, like: Picture) -> Decider:
        return Decider(like.width, like.height, self.settings.model)

    def _decide(self, decider: Decider, truth: Plane, picture: Picture, cost: float, is_irap: bool = False) -> Decision:
        return decider.decide(
            truth,
            picture.planes[0],
            picture.planes[0],
            picture.bit_depth,
            qp=self.streams.request.qp,
            lam=self._lagrangian(picture.bit_depth),
            ordinary_cost=cost,
            position=self.settings.position,
            is_irap=is_irap,
        )

    def _lagrangian(self, bit_depth: int) -> float:
        return self.streams.codec.lagrangian(self.streams.request.qp, bit_depth)


FILTERS: dict[str, Callable[[Offline, Verified], Filtered]] = {
    "integer": Offline.integer,
    "float": Offline.float_,
    "choice": Offline.choice,
    "after": Offline.after,
}
"""What makes the pictures of the variants AFTER_DECODING."""


def squared_error(picture: Picture, truth: Plane) -> float:
    """Of the luma samples."""
    return float(np.square(picture.planes[0].astype(np.int64) - truth).sum())


def extended(plane: Plane, width: int, height: int) -> Plane:
    """A plane of the size that is coded, the last samples repeated, as encoders do it."""
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="edge")
