"""A second decoding of pictures without hashes, which differs from the first wherever a decoder takes what the stream does not say.

FFmpeg takes a slice that is cut off for a whole one and reads on behind its end, and leaves what a lost slice segment should have
filled as it finds it in memory. So this decoder has other bytes behind every slice, and other samples in memory: a whole picture depends
on neither.
"""

import zlib
from functools import reduce

import av
import numpy as np

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Sps
from codec_bridge.bitstream.pictures import Unit
from codec_bridge.video.frames import picture_from_frame
from codec_bridge.video.picture import Picture

_BEYOND = bytes(1 + 77 * i % 251 for i in range(64))
"""Behind a slice that is whole, nobody reads these."""
_IN_FLIGHT = 3
"""Pictures that a decoder, and who takes its pictures, may have beside those of the decoded picture buffer."""


class SecondDecoder:
    """Decodes the same access units as the first decoder. lenient: as for hevc.Decoder.

    FFmpeg hands memory on from picture to picture. What a picture leaves behind is overwritten once no other refers to it; memory that
    was never used would be zero for both decoders, so that enough of it is used beforehand.
    """

    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient
        self._context: av.VideoCodecContext | None = None
        self._like: tuple[object, ...] = ()
        self._held: dict[int, av.VideoFrame] = {}
        self._referred: dict[int, int] = {}  # picture order counts, and whose they are

    def decode(self, unit: Unit | None, parts: list[nal.Nal], number: int) -> list[tuple[int, int]]:
        """Numbers and sums of the pictures that come out when these NAL units go in; None: at the end. -1 is the sum of what cannot be
        decoded."""
        found: list[tuple[int, int]] = []
        if unit and unit.sps and unit.is_irap and not unit.leading_skipped and _kind(unit.sps) != self._like:
            found += self._take(None, number)
            self._begin(unit.sps, parts)
        found += self._take(None if unit is None else packet(parts, number, _BEYOND), number)
        if unit and unit.sps and not unit.leading_skipped:
            self._referred = {poc: whose for poc, whose in self._referred.items() if poc in unit.references} | {unit.poc: unit.number}
        for other in self._held.keys() - self._referred.values():
            _overwrite(self._held.pop(other))
        return found

    def _take(self, data: "av.Packet[av.stream.Stream] | None", number: int) -> list[tuple[int, int]]:
        if self._context is None:
            return []
        try:
            frames = self._context.decode(data)
        except av.FFmpegError:
            return [(number, -1)]
        self._held |= {frame.pts: frame for frame in frames if frame.pts is not None}
        return [(frame.pts, picture_sum(picture_from_frame(frame))) for frame in frames if frame.pts is not None]

    def _begin(self, sps: Sps, parts: list[nal.Nal]) -> None:
        """A new decoder, since memory is handed on among pictures of one kind; all that it will need has been used."""
        self._like = _kind(sps)
        self._held, self._referred = {}, {}
        self._context = context(self._lenient)
        used = []
        for _ in range(sps.dpb + _IN_FLIGHT):
            try:
                used += [*self._context.decode(packet(parts, 0)), *self._context.decode(None)]
            except av.FFmpegError:
                break  # as the first decoder will say
            self._context.flush_buffers()
        self._context.flush_buffers()
        for frame in used:
            _overwrite(frame)


def context(lenient: bool) -> av.VideoCodecContext:
    """FFmpeg's HEVC decoder. lenient: what is damaged comes out, too."""
    decoder = av.CodecContext.create("hevc", "r")
    if not isinstance(decoder, av.VideoCodecContext):
        raise CodecError("FFmpeg has no HEVC decoder")
    decoder.thread_count = 1  # frame threads drop damaged pictures without an error
    decoder.options = {"apply_cropping": "0", **({"flags": "+output_corrupt"} if lenient else {"err_detect": "explode"})}
    return decoder


def packet(parts: list[nal.Nal], number: int, beyond: bytes = b"") -> "av.Packet[av.stream.Stream]":
    """NAL units, numbered by time stamps, so that a decoded picture finds its access unit whatever the output order is."""
    whole = av.Packet(b"".join(b"\0\0\0\1" + part.data + (beyond if part.is_slice else b"") for part in parts))
    whole.pts = whole.dts = number
    return whole


def picture_sum(picture: Picture) -> int:
    """Of all samples, to compare pictures by."""
    return reduce(lambda total, plane: zlib.crc32(plane.data, total), picture.planes, 0)


def _kind(sps: Sps) -> tuple[object, ...]:
    return sps.width, sps.height, sps.chroma_format, sps.bit_depth, sps.dpb


def _overwrite(frame: av.VideoFrame) -> None:
    """With samples that are in range at every bit depth, and like no picture's."""
    for plane in frame.planes:
        samples = np.frombuffer(memoryview(plane), np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
        samples[:] = np.resize(np.arange(251) * 77 % 251 + 1, samples.size)
