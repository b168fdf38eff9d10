"""The streams of one sequence at one QP: each coded once, decoded, and behind the codec's gates before anything is measured.

The encoder ended well, the decoder put out as many pictures as were coded, every picture hash is right, and the decoder's pictures are the
encoder's reconstruction. (x265 through PyAV gives no reconstruction: there it is the decoder's output, verified by the MD5 that the
encoder wrote of its own.) What does not pass raises a VrcnnError, the same one every time.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from codec_bridge.codecs.base import Codec, Coded, Decoded, Loop, Request
from codec_bridge.codecs.gates import compare_sides
from codec_bridge.evaluation.steps import Steps
from codec_bridge.evaluation.store import digest
from codec_bridge.evaluation.stream_cache import StreamCache
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError


@dataclass(frozen=True)
class Verified:
    """A coded stream that passed the gates."""

    coded: Coded
    decoded: Decoded


class Streams:
    """By the filters in their loops. originals: cropped. request: what all have in common.

    cache: keeps streams without networks. determined: what they depend on beside the filters in the loop. Raises VrcnnError where a gate
    does not open.
    """

    def __init__(
        self,
        codec: Codec,
        request: Request,
        originals: list[Picture],
        steps: Steps,
        cache: StreamCache | None = None,
        determined: Mapping[str, Any] | None = None,
    ) -> None:
        self.codec, self.request, self.originals, self.steps = codec, request, originals, steps
        self._cache, self._determined = cache, determined or {}
        self._coded: dict[Loop, Coded] = {}
        self._verified: dict[Loop, Verified | VrcnnError] = {}

    def coded(self, loop: Loop) -> Coded:
        """A stream as the encoder gave it, before any gate."""
        if loop not in self._coded:
            self.steps.say("encode")
            coded = self.codec.code(replace(self.request, loop=loop), self.originals)
            self.steps.spent["encode"] += coded.seconds
            self._coded[loop] = coded
        return self._coded[loop]

    def verified(self, loop: Loop) -> Verified:
        """A stream that passed the gates."""
        if loop not in self._verified:
            try:
                self._verified[loop] = self._kept(loop) or self._pass(loop)
            except VrcnnError as error:
                self._verified[loop] = error
        result = self._verified[loop]
        if isinstance(result, VrcnnError):
            raise result
        return result

    def decode_plain(self, data: bytes) -> list[Picture]:
        """The pictures of a stream without networks, uncropped, each verified by its hash."""
        with self.steps.step("decode"):
            return list(self.codec.decode_plain(data, len(self.originals)))

    def uncropped(self, verified: Verified) -> list[Picture]:
        """The decoded pictures as a filter in the loop has them. Raises gates.Inconsistency if two decoders differ."""
        if not self.codec.cropped:
            return verified.decoded.pictures
        pictures = self.decode_plain(verified.coded.data)
        for number, sides in enumerate(zip(pictures, verified.decoded.pictures, strict=True)):
            compare_sides(sides[0].cropped(), sides[1], f"picture {number}", "codec's decoder")
        return pictures

    def _pass(self, loop: Loop) -> Verified:
        coded = self.coded(loop)
        self.steps.say("decode")
        decoded = self.codec.decode(replace(self.request, loop=loop), coded)
        self.steps.spent["decode"] += decoded.seconds
        if self._cache and not loop.network:
            self._cache.save(self._key(loop), coded)
        return Verified(coded, decoded)

    def _key(self, loop: Loop) -> str:
        return digest({**self._determined, "options": self.codec.loop_options(loop)})

    def _kept(self, loop: Loop) -> Verified | None:
        """A stream of the cache, decoded, every picture hash verified."""
        coded = self._cache.load(self._key(loop)) if self._cache and not loop.network else None
        if coded is None:
            return None
        start = time.perf_counter()
        with self.steps.step("decode"):
            pictures = list(self.codec.decode_kept(self.request, coded))
        seconds = time.perf_counter() - start
        return Verified(coded, Decoded([picture.cropped() for picture in pictures] if self.codec.cropped else pictures, seconds))
