"""The pictures of an HEVC stream, in decoding order: what the stream says of each, and what is missing, before anything is decoded.

Source: Rec. ITU-T H.265, clauses 7.4.2.2, 8.1.3, 8.3.1 and 8.3.2. Base layer only.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.parameter_sets import Sps
from codec_bridge.bitstream.post_filter import PostFilter, PostFilterError, PostFilterReader
from codec_bridge.bitstream.sideinfo import MAGIC
from codec_bridge.bitstream.slices import SliceReader, SliceSegment

IDR = (19, 20)
CRA = 21
_LEADING = range(6, 10)  # RADL and RASL
_RASL = (8, 9)


@dataclass(frozen=True)
class Coding:
    """What a stream says of how a picture was coded.

    qp: mean SliceQpY of its slices; single blocks may have others. deblocking, sao: whether one of its slices uses the filter on luma;
    None where the stream is of a codec whose headers are not read. post_filter: what it names to filter the decoded picture.
    """

    qp: float
    deblocking: bool | None
    sao: bool | None
    post_filter: PostFilter | None = None


@dataclass(frozen=True)
class Unit:
    """An access unit and what is known of its picture.

    number: of the picture in decoding order; units without a picture have that of the next. sps: the active one, None if the picture
    is lost or its headers cannot be read. shown: whether a decoder puts it out. leading_skipped: a RASL picture without the pictures
    before its IRAP picture, which is no picture for decoders. discards_earlier: pictures that are not out yet never come.
    carries_magic: an IRAP picture with side information. sets: the active parameter sets as NAL units without start codes, those first that
    others refer to. references: picture order counts of what it and later pictures may refer to, its own among them. problems: what is
    wrong.
    """

    nals: list[nal.Nal]
    number: int
    poc: int = 0
    nal_unit_type: int = 0
    sps: Sps | None = None
    coding: Coding | None = None
    hashes: tuple[bytes, ...] = ()
    shown: bool = True
    leading_skipped: bool = False
    discards_earlier: bool = False
    carries_magic: bool = False
    sets: tuple[bytes, ...] = ()
    references: frozenset[int] = frozenset()
    problems: tuple[str, ...] = ()

    @property
    def has_picture(self) -> bool:
        """Whether a slice segment of a picture is there."""
        return any(part.is_slice for part in self.nals)

    @property
    def time(self) -> Fraction | None:
        """In seconds, at which a container shows the picture."""
        return next((part.time for part in self.nals if part.is_slice), None)

    @property
    def is_irap(self) -> bool:
        """Whether decoding can start here."""
        return 16 <= self.nal_unit_type <= 23


class PictureReader:
    """Reads access units in decoding order."""

    def __init__(self) -> None:
        self._slices = SliceReader()
        self._post_filters = PostFilterReader()
        self._number = 0
        self._references: set[int] = set()
        self._previous_poc = 0  # of prevTid0Pic
        self._new_sequence = True
        self._skips_rasl = False
        self._hashed: bool | None = None

    def read(self, parts: list[nal.Nal]) -> Unit:
        """What an access unit says. Nothing is raised: what is wrong with it is in ``problems``."""
        problems: list[str] = []
        segments: list[SliceSegment] = []
        for part in parts:
            try:
                segment = self._slices.read(part)
                segments += [segment] if segment else []
            except CodecError as error:
                problems.append(str(error))
        hashes = self._hashes(parts, problems)
        number = self._number
        if not any(part.is_slice for part in parts):
            lost = hashes or any(part.type == nal.AUD and part.layer == 0 for part in parts)
            self._number += bool(lost)
            self._end(parts)
            return Unit(parts, number, problems=(*problems, "the picture has lost its slices") if lost else tuple(problems))
        self._number += 1
        if len({payload[:1] for payload in hashes}) < len(hashes):
            problems.append("two picture hashes stand behind it: the picture between them is lost")
            self._number += 1
        problems += _slice_problems(segments)
        headers = [segment.header for segment in segments if segment.header]
        if not headers:
            self._end(parts)
            return Unit(parts, number, hashes=hashes, problems=tuple(problems or ["its slice headers cannot be read"]))
        unit = self._picture(parts, number, segments, hashes, problems)
        self._end(parts)
        return unit

    def _picture(
        self, parts: list[nal.Nal], number: int, segments: list[SliceSegment], hashes: tuple[bytes, ...], problems: list[str]
    ) -> Unit:
        headers = [segment.header for segment in segments if segment.header]
        first, header = segments[0], headers[0]
        kind = first.nal_unit_type
        starts = first.is_irap and (self._new_sequence or kind != CRA)
        if self._new_sequence and not first.is_irap:
            problems.append("decoding cannot start with it: the stream begins, or goes on, without a random access point")
        if first.is_irap:
            self._skips_rasl = starts
            self._hashed = None
        skipped = kind in _RASL and self._skips_rasl
        poc = self._poc(parts, first, header.poc_lsb, starts)
        if not skipped:
            problems += self._missing(first, poc, starts)
        self._new_sequence = False
        if not hashes and self._hashed:
            problems.append("it lacks its hash, which the pictures before it have")
        self._hashed = bool(hashes) if self._hashed is None else self._hashed
        carries_magic = first.is_irap and first.first_in_picture and first.extension[:2] == MAGIC
        post_filter = None
        try:
            if not skipped:
                post_filter = self._post_filters.read(parts, kind, starts, header.qp, carries_magic)
        except PostFilterError as error:
            problems.append(str(error))
        return Unit(
            parts,
            number,
            poc,
            kind,
            first.sps,
            Coding(
                sum(some.qp for some in headers) / len(headers),
                any(some.deblocking for some in headers),
                any(some.sao for some in headers),
                post_filter,
            ),
            hashes,
            shown=header.output and not skipped and all(part.shown for part in parts if part.is_slice),
            leading_skipped=skipped,
            discards_earlier=starts and (first.discards_earlier or kind == CRA),
            carries_magic=carries_magic,
            sets=tuple(dict.fromkeys(data for segment in segments for data in segment.sets)),
            references=frozenset(self._references),
            problems=tuple(problems),
        )

    def _hashes(self, parts: list[nal.Nal], problems: list[str]) -> tuple[bytes, ...]:
        try:
            return tuple(nal.picture_hashes(parts))
        except CodecError as error:
            problems.append(str(error))
            return ()

    def _poc(self, parts: list[nal.Nal], first: SliceSegment, lsb: int, starts: bool) -> int:
        """PicOrderCntVal (clause 8.3.1)."""
        span = 1 << first.sps.poc_bits
        before = self._previous_poc
        msb = 0
        if not starts:
            msb = before - before % span
            if lsb - before % span >= span // 2:
                msb -= span
            elif before % span - lsb > span // 2:
                msb += span
        temporal_id = next(part.data[1] & 7 for part in parts if part.is_slice) - 1
        is_sub_layer_non_reference = first.nal_unit_type < 16 and first.nal_unit_type % 2 == 0
        if temporal_id == 0 and first.nal_unit_type not in _LEADING and not is_sub_layer_non_reference:
            self._previous_poc = msb + lsb
        return msb + lsb

    def _missing(self, first: SliceSegment, poc: int, starts: bool) -> list[str]:
        """What is wrong with the picture's references (clause 8.3.2). What is missing counts as there afterwards: decoders conceal it."""
        header = first.header
        if starts or first.nal_unit_type in IDR or header is None:
            self._references = {poc}
            return []
        span = 1 << first.sps.poc_bits
        kept: set[int] = set()
        missing = []
        for delta, used in header.references:
            there = poc + delta in self._references
            missing += [poc + delta] if used and not there else []
            if used or there:
                kept.add(poc + delta)
        for value, is_whole, used in header.long_term:
            found = [some for some in self._references if (some == poc + value if is_whole else some % span == value)]
            if used and not found:
                missing.append(poc + value if is_whole else value)
            kept.update(found or ([poc + value] if used and is_whole else []))
        self._references = kept | {poc}
        if not missing:
            return []
        listed = ", ".join(map(str, missing[:4]))
        return [f"it refers to {'a picture' if len(missing) == 1 else 'pictures'} that the stream does not have (POC {listed} from {poc})"]

    def _end(self, parts: list[nal.Nal]) -> None:
        if any(part.type in (nal.END_OF_SEQUENCE, nal.END_OF_BITSTREAM) and part.layer == 0 for part in parts):
            self._new_sequence = True


def _slice_problems(segments: list[SliceSegment]) -> list[str]:
    if segments and not segments[0].first_in_picture:
        return ["it has lost its first slice segment"]
    addresses = [segment.address for segment in segments]
    if any(one >= other for one, other in pairwise(addresses)):
        return ["its slice segments are out of order: a picture is lost"]
    # Clause 7.4.7.1: what is the same in all of a picture.
    headers = [segment.header for segment in segments if segment.header]
    said = {(header.output, header.poc_lsb, tuple(header.references), header.long_term) for header in headers}
    if len(said) > 1 or len({(segment.nal_unit_type, segment.discards_earlier, segment.sets) for segment in segments}) > 1:
        return ["its slice segments are of different pictures: others are lost between them"]
    return []


def read_units(nals: Iterable[nal.Nal]) -> Iterator[Unit]:
    """The access units of a stream."""
    reader = PictureReader()
    return map(reader.read, nal.group(nals))
