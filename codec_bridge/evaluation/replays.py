"""Variants checked on request: their pictures are made again by the oracle, from other streams or another decode."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from codec_bridge.bitstream.sideinfo import Sideinfo, side_information
from codec_bridge.codecs.base import NO_SAO, OFF, ORDINARY, Coded, Loop
from codec_bridge.codecs.gates import compare_sides
from codec_bridge.evaluation import check
from codec_bridge.evaluation.offline import Offline
from codec_bridge.evaluation.settings import open_filter
from codec_bridge.evaluation.streams import Verified
from codec_bridge.filter import Filter
from codec_bridge.video.picture import Picture


@dataclass(frozen=True)
class Replay:
    """A variant's stream, the filters in its loop, and what was made of it: pictures as they came from the filter, side information."""

    offline: Offline
    loop: Loop
    verified: Verified
    pictures: list[Picture]
    side: list[Sideinfo | None]

    def everywhere(self) -> int:
        """One network on every picture: the oracle's samples, and those of a second decode filtered unit by unit, and by maps."""
        index, models = self.offline.index, self.offline.models
        streams = self.offline.streams
        again = streams.codec.decode_plain(self.verified.coded.data, len(self.pictures))
        settings = self.offline.settings
        with open_filter(settings, models) as one, open_filter(settings, models, check.THREADS) as other:
            sides = zip(self.verified.decoded.pictures, self.pictures, again, strict=True)
            return sum(
                check.check_picture((one, other), models.networks[index], index, *three, f"picture {number}")
                for number, three in enumerate(sides)
            )

    def choice(self) -> int:
        """Decisions made outside the loop: luma as a decoder makes it of the side information; chroma is not replayed."""
        _, anchor = self.offline.anchor()
        unfiltered = self.verified.decoded.pictures
        with Filter(self.offline.models, backend="oracle") as oracle:
            ways = zip(self.pictures, self.side, unfiltered, anchor, strict=True)
            for number, (picture, information, without, ordinary) in enumerate(ways):
                source = without if self.offline.settings.position == "before_deblocking" else ordinary
                expected = check.replay(oracle, information, source, source, ordinary)
                luma, again = (Picture(side.planes[:1], side.bit_depth, "400") for side in (picture, expected))
                compare_sides(luma, again, f"picture {number}", "offline replay")
        return sum(picture.planes[0].size for picture in self.pictures)

    def inside(self) -> int:
        """Decisions made in the loop. Only all-intra pictures can be made of streams without networks: others refer to filtered ones."""
        if self.offline.settings.configuration == "ai":
            coded, ways = self._streams_alike()
            with Filter(self.offline.models, backend="oracle") as oracle:
                recon = coded.recon
                sides = zip(side_information(coded.data), recon, *ways, strict=True)
                for number, (information, picture, *recons) in enumerate(sides):
                    expected = check.replay(oracle, information, *recons).cropped()
                    compare_sides(picture, expected, f"picture {number}", "offline replay")
        network = self.offline.models.networks[self.offline.index]
        return sum(plane.size for picture in self.verified.decoded.pictures for plane in check.filtered_planes(network, picture))

    def _streams_alike(self) -> tuple[Coded, list[list[Picture]]]:
        """A stream with networks, and pictures of such that are coded alike: without filters, deblocked, and with all ordinary filters."""
        streams = self.offline.streams
        coded, loops = self.verified.coded, [OFF, NO_SAO, ORDINARY]
        if streams.codec.sao_steers:
            coded, loops = streams.coded(replace(self.loop, sao=False)), [OFF, NO_SAO]
        ways = [streams.decode_plain(streams.coded(loop).data) for loop in loops]
        return coded, [*ways, ways[-1]][:3]


CHECKS: dict[str, Callable[[Replay], int]] = {
    "integer": Replay.everywhere,
    "choice": Replay.choice,
    "picture": Replay.inside,
    "map": Replay.inside,
}
"""By variant; each returns the samples compared, of the planes that networks filter, and raises gates.Inconsistency."""
