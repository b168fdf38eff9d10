"""Decoding of HEVC access units with FFmpeg, and all that can be noticed of damage on the way: nothing comes out unverified unsaid.

FFmpeg verifies MD5 hashes only, puts pictures with lost references out, and takes a slice that is cut off for a whole one. So hashes are
compared here, what the headers say is checked before (bitstream.pictures), and pictures without hashes are decoded twice (second).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import pairwise
from math import gcd

import av

from codec_bridge.bitstream import hashes, nal
from codec_bridge.bitstream.announcement import announced
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import Unit
from codec_bridge.video.frames import picture_from_frame
from codec_bridge.video.in_loop import TAKEN_OUT, refuse_in_loop
from codec_bridge.video.picture import Picture, VideoError
from codec_bridge.video.second import SecondDecoder, context, packet, picture_sum
from vrcnn_int.text import counted

_ENDS = (nal.END_OF_SEQUENCE, nal.END_OF_BITSTREAM)


@dataclass
class Findings:
    """What was found while a stream was decoded.

    pictures: that came out. faults: a line for each picture with which something is wrong. unverified: pictures without a hash; skipped:
    leading pictures of a random access point at a beginning, which nobody can decode. gaps: pictures that seem to be missing.
    """

    pictures: int = 0
    faults: list[str] = field(default_factory=list)
    unverified: int = 0
    skipped: int = 0
    gaps: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What a user wants to know of a stream that was decoded to its end."""
        found = []
        if self.unverified:
            found.append(
                f"{self.unverified} of {counted(self.pictures, 'picture')} carr{'ies' if self.unverified == 1 else 'y'} no hash: "
                "only damage that a decoder notices is noticed in them"
            )
        if self.skipped:
            found.append(f"{self.skipped} leading pictures refer to what is before the stream's beginning, and are left out")
        return found + self.gaps


class Decoder:
    """Decodes access units; pictures come out in output order, uncropped, with the part outside their own conformance window as crop.

    lenient: what is wrong is counted in ``findings`` and gone over, as players do; else the first fault raises CodecError, naming the
    picture. required: every picture must have a hash; ignored: hashes do not count.
    """

    def __init__(self, lenient: bool = False, required: bool = False, ignored: bool = False) -> None:
        self.findings = Findings()
        self._lenient, self._required, self._ignored = lenient, required, ignored
        self._context = context(lenient)
        self._second: SecondDecoder | None = None
        self._waiting: dict[int, Unit] = {}
        self._times: dict[int, Fraction | None] = {}
        self._before: list[nal.Nal] = []
        self._sent: set[bytes] = set()
        self._sums: dict[int, int] = {}
        self._discarding = -1
        self._faulty: set[int] = set()
        self._pocs: list[int] = []

    def decode(self, units: Iterable[Unit]) -> Iterator[Picture]:
        """The pictures. Raises CodecError for the first fault unless lenient; pictures are counted from 0 in decoding order."""
        last = 0
        for unit in units:
            last = unit.number
            yield from self._unit(unit)
        yield from self._frames(None, [], last)
        self._end_of_sequence()
        for number in sorted(self._waiting):
            if number >= self._discarding:
                self._fault(number, "does not come out of the decoder")

    def _unit(self, unit: Unit) -> Iterator[Picture]:
        refuse_in_loop(unit)
        if unit.is_irap and announced(unit.nals):
            self._fault(unit.number, f": {TAKEN_OUT}")
        for problem in unit.problems:
            self._fault(unit.number, f": {problem}")
        if not unit.has_picture:
            self._before += [part for part in unit.nals if part.type in _ENDS and part.layer == 0]
            return
        self._count(unit)
        if unit.discards_earlier:
            self._discarding = unit.number
        if unit.shown and unit.sps is not None:
            self._waiting[unit.number] = replace(unit, nals=[])
            self._times[unit.number] = unit.time
        yield from self._frames(unit, self._wanted(unit), unit.number)

    def _wanted(self, unit: Unit) -> list[nal.Nal]:
        """What a decoder needs of a unit: slices, ends of sequences, and, where they are new, the parameter sets that are active."""
        before, self._before = self._before, []
        if unit.sps is None:
            return [*before, *(part for part in unit.nals if part.layer == 0)]
        if unit.is_irap or not self._sent.issuperset(unit.sets):
            before += [nal.Nal(data, 0) for data in unit.sets]
            self._sent = set(unit.sets)
        return [*before, *(part for part in unit.nals if part.is_slice or (part.type in _ENDS and part.layer == 0))]

    def _count(self, unit: Unit) -> None:
        if unit.is_irap and unit.discards_earlier:
            self._end_of_sequence()
        if unit.leading_skipped:
            self.findings.skipped += 1
        elif not unit.hashes and not self._ignored:
            self.findings.unverified += 1
            if self._required:
                self._fault(unit.number, "has no picture hash, which checking it needs: code it with one (x265: --hash 1)")
            if unit.is_irap and self._second is None:
                self._second = SecondDecoder(self._lenient)
        if not unit.leading_skipped:
            self._pocs.append(unit.poc)

    def _frames(self, unit: Unit | None, parts: list[nal.Nal], number: int) -> Iterator[Picture]:
        """What comes out when these NAL units of a unit go in; None: at the end."""
        try:
            frames = self._context.decode(None if unit is None else packet(parts, number))
        except av.FFmpegError as error:
            self._fault(number, f"cannot be decoded: {error.strerror or error}")
            frames = []
        if self._second:
            # Before the first decoder's pictures are looked at.
            self._sums |= {which: total for which, total in self._second.decode(unit, parts, number) if which in self._waiting}
        for frame in frames:
            picture = self._picture(frame)
            if picture is not None:
                self.findings.pictures += 1
                yield picture

    def _picture(self, frame: av.VideoFrame) -> Picture | None:
        number = -1 if frame.pts is None else frame.pts
        unit, time = self._waiting.pop(number, None), self._times.pop(number, None)
        if unit is None or unit.sps is None:
            return None  # not shown, or of a unit whose headers are damaged
        try:
            picture = picture_from_frame(frame, unit.sps.window)
        except VideoError as error:
            raise CodecError(f"picture {number}: {error}") from None
        picture = replace(picture, coding=unit.coding, time=time)
        if frame.is_corrupt and not unit.problems:
            self._fault(number, "is damaged, as the decoder says")
        if unit.hashes and not self._ignored:
            self._verify(number, unit, picture)
        elif number in self._sums and self._sums.pop(number) != picture_sum(picture):
            self._fault(number, "is incomplete: a slice of it, or of a picture that it refers to, is lost, cut off or damaged")
        return picture

    def _verify(self, number: int, unit: Unit, picture: Picture) -> None:
        assert unit.sps is not None
        try:
            wrong = hashes.mismatch(unit.hashes, picture.planes, unit.sps.ctb)
        except CodecError as error:
            self._fault(number, f": {error}")
        else:
            if wrong:
                self._fault(number, f"does not match {wrong}")

    def _end_of_sequence(self) -> None:
        """Picture order counts that are left out between others are noticed: the stream may be whole, and may have lost pictures."""
        pocs = sorted(set(self._pocs))
        self._pocs = []
        steps = [other - one for one, other in pairwise(pocs)]
        step = reduce(gcd, steps, 0)
        gaps = [(poc, size) for poc, size in zip(pocs, steps, strict=False) if size > step]
        if gaps and len(steps) > 1:
            missing = sum(size // step - 1 for _, size in gaps)
            poc, size = gaps[0]
            self.findings.gaps.append(f"pictures may be missing ({missing}): picture order counts jump from {poc} to {poc + size}")

    def _fault(self, number: int, text: str) -> None:
        message = f"picture {number}{'' if text[0] == ':' else ' '}{text}"
        if not self._lenient:
            raise CodecError(message)
        if number not in self._faulty:
            self.findings.faults.append(message)
        self._faulty.add(number)
