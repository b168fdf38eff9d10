"""What a video says beside its samples: how they are shown. Y4M carries some of it; what a file cannot carry is said, not dropped."""

import re
from dataclasses import dataclass
from fractions import Fraction

LARGEST = (1 << 31) - 1
"""Of the numbers in a Y4M header."""
SITINGS = ("left", "center", "top left", "top", "bottom left", "bottom")
"""Where a 4:2:0 chroma sample lies among its luma samples, by chroma_sample_loc_type of HEVC."""
_Y4M_SITINGS = {"left": "mpeg2", "center": "jpeg", "top left": "paldv"}


@dataclass(frozen=True)
class Metadata:
    """None and empty where the file says nothing.

    aspect: of a sample, width by height. full_range: samples use all values. siting: one of SITINGS. interlaced: pictures are frames
    of two fields; fields: each picture is a field. rotation: in degrees. colours: primaries, transfer and matrix (Rec. ITU-T H.273), if
    one of them is stated. further: other streams of the file, in words. cropped: the container says that only a part of its pictures is to
    be shown. comments: of a Y4M header, X and what follows, but that on the range. matrix: for display, the 9 numbers of MP4.
    """

    aspect: Fraction | None = None
    full_range: bool | None = None
    siting: str = ""
    interlaced: bool = False
    fields: bool = False
    rotation: int = 0
    colours: tuple[int, ...] = ()
    further: tuple[str, ...] = ()
    cropped: bool = False
    comments: tuple[str, ...] = ()
    matrix: tuple[int, ...] = ()

    def lost(self, kind: str, chroma_format: str, bit_depth: int) -> list[str]:
        """What a file (kind: .yuv, .y4m, .mkv or .mp4) of such pictures cannot carry, in words; of containers, whatever they hold."""
        everywhere = self._lost_everywhere()
        if kind not in (".yuv", ".y4m"):
            return everywhere
        found = []
        if kind == ".yuv":
            if self.aspect not in (None, 1):
                found.append(f"the sample aspect ratio {self.aspect}")
            if self.full_range:
                found.append("the full range of its samples")
        if self.siting and chroma_format == "420" and (kind == ".yuv" or not _y4m_siting(self.siting, bit_depth)):
            found.append(f"the siting of chroma ({self.siting})")
        if self.colours:
            found.append("its colour description")
        if self.rotation:
            found.append(f"the rotation by {self.rotation} degrees")
        return [*found, *everywhere, *self.further]

    def _lost_everywhere(self) -> list[str]:
        found = []
        if self.cropped:
            found.append("the cropping that its container states (its pictures are written whole)")
        if self.interlaced:
            found.append("that its pictures are interlaced")
        if self.fields:
            found.append("that its pictures are single fields")
        return found


NOTHING = Metadata()


def _y4m_siting(siting: str, bit_depth: int) -> str:
    return _Y4M_SITINGS.get(siting, "") if bit_depth == 8 else ""


def y4m_rate(rate: Fraction) -> Fraction:
    """The nearest rate whose numbers Y4M can hold. Raises ValueError if that is off by more than a millionth, or there is none."""
    if max(rate.numerator, rate.denominator) <= LARGEST:
        return rate
    near = rate.limit_denominator(1001)  # the decimals of an NTSC rate mean that rate
    if abs(near / rate - 1) > Fraction(1, 10**9):
        near = rate.limit_denominator(max(1, int(LARGEST / max(rate, Fraction(1)))))
    if max(near.numerator, near.denominator) > LARGEST or abs(near / rate - 1) > Fraction(1, 10**6):
        raise ValueError(rate)
    return near


def y4m_header(size: tuple[int, int], chroma_format: str, bit_depth: int, rate: Fraction, metadata: Metadata) -> str:
    """The first line of a Y4M file, without its end. rate: pictures a second, 0 for unknown."""
    depth = "" if bit_depth == 8 else str(bit_depth)
    colour = f"mono{depth}" if chroma_format == "400" else chroma_format + ("p" + depth if depth else "")
    if chroma_format == "420":
        colour += _y4m_siting(metadata.siting, bit_depth)
    aspect = metadata.aspect or Fraction(0)
    if max(aspect.numerator, aspect.denominator) > LARGEST:
        aspect = Fraction(0)
    words = [f"YUV4MPEG2 W{size[0]} H{size[1]} F{rate.numerator}:{rate.denominator if rate else 0}"]
    words += [f"I{'?' if metadata.interlaced else 'p'}", f"A{aspect.numerator}:{aspect.denominator if aspect else 0}", f"C{colour}"]
    if metadata.full_range is not None:
        words.append(f"XCOLORRANGE={'FULL' if metadata.full_range else 'LIMITED'}")
    return " ".join([*words, *metadata.comments])


def y4m_metadata(fields: list[str], colour: str) -> Metadata:
    """What the fields of a Y4M file's first line say. colour: that of the colour space, without its C."""
    aspect: Fraction | None = None
    match = next((found for field in fields if (found := re.fullmatch(r"A([0-9]{1,10}):([0-9]{1,10})", field))), None)
    if match and int(match[1]) and int(match[2]):
        aspect = Fraction(int(match[1]), int(match[2]))
    ranges = {"XCOLORRANGE=FULL": True, "XCOLORRANGE=LIMITED": False}
    full_range = next((ranges[field] for field in fields if field in ranges), None)
    siting = next((name for name, word in _Y4M_SITINGS.items() if colour == f"420{word}"), "")
    comments = tuple(field for field in fields if field[0] == "X" and not field.startswith("XCOLORRANGE"))
    return Metadata(aspect, full_range, siting, comments=comments)
