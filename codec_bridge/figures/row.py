"""What is known of one variant of a sequence at one QP: the record that evaluations keep and reports show."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Self

from msgspec import Meta

from vrcnn_int.io.documents import DocumentError, checked, fields_of

VARIANTS = ("anchor", "none", "integer", "float", "picture", "map", "after", "choice")
"""In the order of reports. anchor: deblocking and SAO; none: both off. Offline, all-intra, integer and float are the networks on every
picture of the stream without filters; choice: each picture is the anchor's with its bits, or that of the stream without filters with its
bits, the integer networks in those units where they help, and the side information. In the loop the encoder decides: picture, for whole
pictures; map, for units of a picture. after: the same decision about the same networks on the anchor's decoded pictures, outside the loop,
its side information counted."""

Count = Annotated[int, Meta(ge=0)]
Size = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(ge=0)]
Level = Annotated[float, Meta(ge=-1000, le=1000)]
"""Of PSNR, in dB."""

INSIDE = ("picture", "map")
ALL_INTRA = ("integer", "float", "choice")
AFTER_DECODING = (*ALL_INTRA, "after")


def names(of: type) -> list[str]:
    """Of a dataclass's fields."""
    return [field.name for field in fields(of)]


@dataclass(frozen=True)
class Units:
    """What networks filtered of a whole picture; one unit if the picture has no map."""

    mode: str
    """off, all or map."""
    indices: list[Count]
    """Of the networks in the model set."""
    unit_size: Size
    """In luma samples, both ways."""
    choices: list[list[Count]]
    """Rows of units: 0 not filtered, n by ``indices[n - 1]``."""
    weights: list[list[int]] | None = None
    """Of each network's heads in this plane, in eighths of what they were trained for; rows of earlier files do not say."""

    def to_json(self) -> dict[str, Any]:
        """As rows hold it."""
        return {name: value for name, value in fields_of(self).items() if name != "weights" or value is not None}


@dataclass(frozen=True)
class Crop:
    """Grey PNG files in the results folder, samples at 8 bits: luma, below it U, below that V, each at the left. Rows of one sequence crop
    the same place: the anchor's and none's files are the other sides."""

    file: str
    """What this row measured, by its name in the results folder."""
    original: str
    picture: Count
    """Number of the picture."""
    x: Count
    y: Count
    width: Size
    height: Size
    units: Units | None
    """Of luma, in variants map, choice and after."""
    chroma_format: str = "400"
    """What the files have; rows of earlier files have luma alone."""
    chroma_units: Units | None = None
    """Of chroma, likewise, where networks filter it."""

    def to_json(self) -> dict[str, Any]:
        """As rows hold it."""
        units = {name: some and some.to_json() for name, some in (("units", self.units), ("chroma_units", self.chroma_units))}
        values = {**fields_of(self), **units}
        return values if self.chroma_format != "400" else {name: values[name] for name in values if not name.startswith("chroma_")}


@dataclass(frozen=True, kw_only=True)
class MoreLevels:
    """What is measured where it is asked for, means over the pictures: SSIM and MS-SSIM by plane, and VMAF, 0 to 100. None: not asked for,
    or there is none."""

    ssim_u: float | None = None
    ssim_v: float | None = None
    ms_ssim_y: float | None = None
    ms_ssim_u: float | None = None
    ms_ssim_v: float | None = None
    vmaf: float | None = None
    measured_by: str
    """Implementations, with versions and models."""


@dataclass(frozen=True)
class Figures:
    """What was measured. Seconds are wall time unless a name says cpu. None: not known, or there is none (chroma of 4:0:0)."""

    bits: Size
    """All that is paid: the stream without picture hash SEI, with side_information_bits."""
    side_information_bits: Count
    kbps: Annotated[float, Meta(gt=0)]
    psnr_y: Level
    """Mean of the pictures' PSNR at the internal bit depth; metrics.IDENTICAL where the plane of some picture equals its original."""
    psnr_u: Level | None
    psnr_v: Level | None
    psnr_yuv: Level | None
    """Weighs Y, U, V by 6:1:1."""
    ssim_y: float
    """Mean SSIM of luma."""
    encode_seconds: Seconds
    """In the encoder, with the filter that is inside it. The same for variants that share a stream, as decode_seconds."""
    encode_cpu_seconds: Seconds | None
    decode_seconds: Seconds
    decode_cpu_seconds: Seconds | None
    filter_seconds: Seconds
    """In the network: after the decoder, or inside the encoder with the decisions."""
    decode_filter_seconds: Seconds
    """In the network inside the decoder."""
    metric_seconds: Seconds
    filtered_share: Annotated[float, Meta(ge=0, le=1.000001)]
    """Of the luma samples, 0 to 1: by networks."""
    kmac_per_sample: Annotated[float, Meta(ge=0)]
    """Multiplications of the networks a luma sample, in thousands, filtered_share counted."""
    model: str | None
    """Identity of the set; None without networks."""
    kernel: str | None
    encoder: str
    """Its name and version."""
    command: str
    """The encoder's settings; the model set is named by its identity."""
    stream_md5: str
    checked_pictures: Count
    """Compared with the oracle, 0 where nobody asked for it."""
    checked_samples: Count
    more: MoreLevels | None = None
    """In files only where there is some."""

    def level(self, metric: str) -> float | None:
        """Of psnr_y, psnr_u, psnr_v, psnr_yuv, ssim_y, or a field of MoreLevels."""
        value: float | None = getattr(self, metric) if hasattr(self, metric) else getattr(self.more, metric, None)
        return value

    def psnr(self, plane: str) -> float | None:
        """Of y, u, v or yuv."""
        value: float | None = getattr(self, f"psnr_{plane}")
        return value


@dataclass(frozen=True)
class Row:
    """A variant of a sequence at a QP, with its figures or with the reason why it has none. Nothing in it names a path of the machine."""

    sequence: str
    class_name: str
    """Of the catalogue (A to F; colour, gray), or by size: "A (size)" to "E (size)"."""
    width: Size
    height: Size
    bit_depth: Annotated[int, Meta(ge=1, le=16)]
    pictures: Count
    qp: Annotated[int, Meta(ge=0, le=255)]
    """0 to 51 of HEVC, more of codecs with another scale."""
    variant: str
    """One of VARIANTS."""
    codec: str
    configuration: str
    md5: str | None
    """Of the originals' coded samples; None if they could not be read."""
    key: str
    """Of the job; its log file is logs/KEY.log in the results folder."""
    figures: Figures | None = None
    crop: Crop | None = None
    git_revision: str | None = None
    """Of the code that measured."""
    flag: str | None = None
    """None, or why this row has no figures: encoder or decoder failed, decoder's pictures are not the encoder's, a hash is wrong, pictures
    are missing."""

    def __post_init__(self) -> None:
        if self.figures and not self.pictures:
            raise ValueError("figures of 0 pictures")
        if self.variant not in VARIANTS:
            raise ValueError(f"unknown variant {self.variant!r}")

    @property
    def names(self) -> dict[str, Any]:
        """The part of the JSON form that does not depend on what was measured."""
        measured = {*names(Figures), "crop", "flag", "git_revision"}
        return {key: value for key, value in self.to_json().items() if key not in measured}

    def to_json(self) -> dict[str, Any]:
        """A flat object: the figures are None where there are none."""
        figures = fields_of(self.figures) if self.figures else dict.fromkeys(names(Figures))
        crop = self.crop.to_json() if self.crop else None
        values = {**fields_of(self), **figures, "class": self.class_name, "crop": crop}
        more = {"more": fields_of(self.figures.more)} if self.figures and self.figures.more else {}
        return {key: values[key] for key in KEYS} | more

    @classmethod
    def from_json(cls, values: Any, name: str = "a row", prefix: str = "") -> Self:
        """What ``to_json`` gave, other keys left out. name, prefix: what a DocumentError says of where the row is."""
        if isinstance(values, dict) and (missing := next((key for key in KEYS if key not in values), None)):
            raise DocumentError(f"{name}: {prefix}{missing} is missing")
        try:
            return checked(_shaped(values), cls, name, prefix=prefix)
        except DocumentError as error:
            # Files have the figures in the row itself.
            raise DocumentError(str(error).replace(f"{prefix}figures.", prefix).replace(f"{prefix}figures:", prefix)) from None


def _shaped(values: Any) -> Any:
    """A row of a file with the parts of a Row."""
    if not isinstance(values, dict):
        return values
    figures = None if values["bits"] is None else {key: values[key] for key in names(Figures) if key in values}
    return {**values, "figures": figures, "class_name": values["class"]}


KEYS = (
    *("sequence", "class", "width", "height", "bit_depth", "pictures", "qp", "variant", "codec", "configuration", "bits"),
    *("side_information_bits", "kbps", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "ssim_y", "encode_seconds", "encode_cpu_seconds"),
    *("decode_seconds", "decode_cpu_seconds", "filter_seconds", "decode_filter_seconds", "metric_seconds", "filtered_share"),
    *("kmac_per_sample", "model", "kernel", "encoder", "command", "md5", "stream_md5", "checked_pictures", "checked_samples"),
    *("key", "crop", "flag", "git_revision"),
)
"""Of a row in JSON and CSV files, in their order; what is in ``more`` comes after them."""
