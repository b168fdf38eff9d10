"""What is computed of one sequence at one QP: code, decode, compare, filter, measure -> the figures of a row for each variant."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.codecs.base import Loop, Request
from codec_bridge.evaluation.measure import complexity, quality
from codec_bridge.evaluation.offline import FILTERS, Filtered, Offline
from codec_bridge.evaluation.replays import CHECKS, Replay
from codec_bridge.evaluation.settings import NETWORKS, Settings
from codec_bridge.evaluation.steps import Steps
from codec_bridge.evaluation.stream_cache import StreamCache
from codec_bridge.evaluation.streams import Streams, Verified
from codec_bridge.figures import perceptual
from codec_bridge.figures.row import ALL_INTRA, Figures
from codec_bridge.video.picture import Picture
from vrcnn_int.integer import ModelSet


@dataclass(frozen=True)
class Measured:
    """The figures of a row, the stream, the pictures that were measured (cropped), and the side information that made them."""

    figures: Figures
    stream: bytes
    pictures: list[Picture]
    side: list[Sideinfo | None]


class Work:
    """One sequence at one QP with one codec in one configuration. Each stream is coded when a variant first wants it, and once.

    originals: cropped. determined: what a stream without a network depends on beside the encoder's options, for the cache.
    Everything raises VrcnnError where a gate does not open.
    """

    def __init__(
        self,
        originals: list[Picture],
        qp: int,
        rate: Fraction,
        settings: Settings,
        models: ModelSet,
        steps: Steps,
        determined: Mapping[str, Any],
    ) -> None:
        self.originals, self.rate, self.settings, self.models, self.steps = originals, rate, settings, models, steps
        codec = settings.coder(settings.folders)
        request = Request(qp, originals[0], len(originals), settings.configuration, settings.preset, rate)
        cache = StreamCache(settings.stream_cache) if settings.stream_cache else None
        self.streams = Streams(codec, request, originals, steps, cache, determined)
        self.offline = Offline(self.streams, settings, models)

    def measure(self, variant: str) -> Measured:
        """Code what is needed for a variant, and measure it."""
        loop = self.settings.loop(variant, self.models.identity)
        verified = self.streams.verified(loop)
        if variant in ALL_INTRA:
            verified = replace(verified, decoded=replace(verified.decoded, pictures=self.streams.uncropped(verified)))
        filtered, filter_seconds = self._filtered(variant, verified)
        samples = self._checked(variant, loop, verified, filtered)
        pictures = [picture.cropped() for picture in filtered.pictures]
        before = self.steps.spent["metrics"]
        with self.steps.step("metrics"):
            means = quality(pictures, self.originals)
            more = perceptual.measure(self.settings.metrics, pictures, self.originals) if self.settings.metrics else None
        share, kmac = complexity(filtered.side, self.models, self.originals[0].width, self.originals[0].height)
        coded, decoded, count = verified.coded, verified.decoded, len(pictures)
        bits = coded.bits + filtered.more_bits
        figures = Figures(
            bits=bits,
            side_information_bits=filtered.side_bits,
            kbps=float(bits * self.rate / count / 1000),
            encode_seconds=coded.seconds,
            encode_cpu_seconds=coded.cpu_seconds,
            decode_seconds=decoded.seconds,
            decode_cpu_seconds=decoded.cpu_seconds,
            filter_seconds=filter_seconds,
            decode_filter_seconds=decoded.filter_seconds,
            metric_seconds=self.steps.spent["metrics"] - before,
            filtered_share=share,
            kmac_per_sample=kmac,
            model=self.models.identity if variant in NETWORKS else None,
            kernel=filtered.kernel,
            encoder=coded.encoder,
            command=self._without_path(coded.command),
            stream_md5=hashlib.md5(coded.data).hexdigest(),
            checked_pictures=count if samples else 0,
            checked_samples=samples,
            more=more,
            **means,
        )
        return Measured(figures, coded.data, pictures, filtered.side)

    def _filtered(self, variant: str, verified: Verified) -> tuple[Filtered, float]:
        """The variant's pictures, and the seconds that filters took: outside the loop, or inside the encoder with its decisions."""
        coded, decoded = verified.coded, verified.decoded
        if variant not in FILTERS:
            return Filtered(decoded.pictures, decoded.side, decoded.side_bits, coded.kernel, 0), coded.filter_seconds
        before = self.steps.spent["filter"]
        with self.steps.step("filter"):
            filtered = FILTERS[variant](self.offline, verified)
        return filtered, self.steps.spent["filter"] - before

    def _checked(self, variant: str, loop: Loop, verified: Verified, filtered: Filtered) -> int:
        """Samples compared with the oracle, on request."""
        if not self.settings.check or variant not in CHECKS:
            return 0
        with self.steps.step("check"):
            return CHECKS[variant](Replay(self.offline, loop, verified, filtered.pictures, filtered.side))

    def _without_path(self, command: str) -> str:
        return command.replace(str(self.settings.model), self.models.identity) if self.settings.model else command
