"""Result documents: what the JSON file of ``bdrate`` holds. A value that is not known, or that does not exist, is None."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypedDict

from codec_bridge.figures.row import Count, Row, names
from vrcnn_int import network
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line, write_text
from vrcnn_int.io.documents import DocumentError, checked, read_json

SCHEMA = 1
"""Of the documents described here."""

RESULT_FILE = "result.json"
"""The document's name in a results folder."""

PLANES = ("y", "u", "v", "yuv")
LABELS = dict(zip(PLANES, (*network.PLANES, "YUV"), strict=True))

Gains = list[tuple[int, float]]
"""(QP, dB): luma PSNR above the anchor's at the same QP, by rising QP."""


@dataclass(kw_only=True)
class BdFigures:
    """Two curves compared. bd_rate: percent, negative is better. bd_psnr: dB."""

    bd_rate_y: float | None = None
    bd_rate_u: float | None = None
    bd_rate_v: float | None = None
    bd_rate_yuv: float | None = None
    bd_psnr_y: float | None = None
    bd_psnr_u: float | None = None
    bd_psnr_v: float | None = None
    bd_psnr_yuv: float | None = None

    def bd_rate(self, plane: str) -> float | None:
        """Of one of PLANES."""
        rate: float | None = getattr(self, f"bd_rate_{plane}")
        return rate


@dataclass(kw_only=True)
class MoreBd:
    """Two curves of another quality than PSNR compared, or the mean of such over sequences.

    bd_rate: percent. bd_quality: in the metric's unit. note: why there is no figure, or what is doubtful.
    """

    bd_rate: float | None = None
    bd_quality: float | None = None
    sequences: Count = 1
    """That have this quality."""
    note: str | None = None


@dataclass(kw_only=True)
class Comparison(BdFigures):
    """A variant of a sequence with the anchor of the same codec and configuration; its figures are by the plan's method."""

    methods: dict[str, BdFigures]
    """By every method of interpolation."""
    gains_y: Gains = field(default_factory=list)
    overlap_y: float | None = None
    """Of the luma curves, percent."""
    has_chroma: bool = False
    encode_time: float | None = None
    """Percent of the anchor's, both summed over the sequence and the QPs; None for single pictures, whose times are noise."""
    decode_time: float | None = None
    """Percent of the anchor's, geometric mean over the QPs. The network's time after the decoder counts as decoding."""
    kmac_per_sample: float | None = None
    """Mean over the QPs."""
    error: str | None = None
    """Why there is no luma BD-rate: a flagged row of either curve, no overlap, PSNR that falls while the rate rises."""
    warnings: list[str] = field(default_factory=list)
    """Texts with their figures: overlap under 75 %, no chroma BD-rate, outliers."""
    more: dict[str, MoreBd] = field(default_factory=dict)
    """By metric (summary.MORE), those that both curves have; in files only where there is some."""

    @property
    def flagged(self) -> bool:
        """Whether there is an error or a warning."""
        return self.error is not None or bool(self.warnings)

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        return {**_without_nothing(asdict(self)), "flagged": self.flagged}


def _without_nothing(values: dict[str, Any]) -> dict[str, Any]:
    """Without ``more`` where that is empty."""
    return {name: value for name, value in values.items() if name != "more" or value}


@dataclass
class Compared:
    """All variants of a sequence but the anchor, and this, too, where it is compared with another codec's. apart: the plan leaves it out
    of classes and means."""

    sequence: str
    class_name: str
    codec: str
    configuration: str
    variants: dict[str, Comparison]
    apart: bool = False

    def in_group(self, class_name: str | None, codec: str, configuration: str) -> bool:
        """Whether it is in the means of a class (None: of all) of a codec and configuration."""
        own = (self.codec, self.configuration) == (codec, configuration) and class_name in (None, self.class_name)
        return own and not self.apart

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        variants = {name: comparison.to_json() for name, comparison in self.variants.items()}
        names = {"sequence": self.sequence, "class": self.class_name, "codec": self.codec, "configuration": self.configuration}
        return {**names, "apart": self.apart, "variants": variants}


def population(entries: Iterable[Compared], variant: str, unflagged: bool = False) -> tuple[int, int]:
    """How many sequences a variant's mean is over, and its means of chroma. unflagged: over those that are not flagged."""
    some = [entry.variants[variant] for entry in entries if variant in entry.variants]
    some = [comparison for comparison in some if not (unflagged and comparison.flagged)]
    # A flagged sequence is not known to have chroma or not: its luma has no figure either.
    return len(some), sum(comparison.has_chroma or comparison.error is not None for comparison in some)


@dataclass(kw_only=True)
class Mean(BdFigures):
    """Over sequences. None if one of those that have the plane has no figure: a mean without it would mislead."""

    sequences: Count
    """How many."""
    encode_time: float | None
    decode_time: float | None
    kmac_per_sample: float | None
    gains_y: Gains = field(default_factory=list)
    more: dict[str, MoreBd] = field(default_factory=dict)
    """Over the sequences that have the metric."""
    unflagged: "Mean | None" = None
    """The same over the sequences that are not flagged; None if there is none, and in itself."""

    def of_all(self) -> "Mean":
        """Without ``unflagged``."""
        return replace(self, unflagged=None)

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        return {**self._flat(), "unflagged": self.unflagged and self.unflagged._flat()}

    def _flat(self) -> dict[str, Any]:
        values = _without_nothing(asdict(self))
        return {"sequences": self.sequences, **{name: value for name, value in values.items() if name != "unflagged"}}


@dataclass
class Means:
    """Of each variant, over the sequences of a codec and configuration that are not apart: all, or those of a class."""

    class_name: str | None
    codec: str
    configuration: str
    variants: dict[str, Mean]

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        names = {"class": self.class_name, "codec": self.codec, "configuration": self.configuration}
        own = {name: text for name, text in names.items() if text is not None}
        return {**own, "variants": {name: mean.to_json() for name, mean in self.variants.items()}}


@dataclass(frozen=True)
class Flag:
    """What is wrong (severity error: figures are missing) or doubtful (warning)."""

    severity: str
    sequence: str
    codec: str
    configuration: str
    variant: str
    qp: int | None
    """None: the whole curve."""
    text: str

    def __str__(self) -> str:
        qp = "" if self.qp is None else f", QP {self.qp}"
        return f"{self.sequence}, {self.codec} {self.configuration}, {self.variant}{qp}: {self.text}"


@dataclass(frozen=True)
class Summary:
    """What rows say when they are compared. flags: errors first."""

    sequences: list[Compared]
    classes: list[Means]
    means: list[Means]
    flags: list[Flag]

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        return {
            "sequences": [entry.to_json() for entry in self.sequences],
            "classes": [entry.to_json() for entry in self.classes],
            "means": [entry.to_json() for entry in self.means],
            "flags": [asdict(flag) for flag in self.flags],
        }


@dataclass(frozen=True)
class Document:
    """Rows, what they say, and how they came to be. Nothing in it names a path of the machine."""

    provenance: Mapping[str, Any]
    """Of `provenance()`, with ``model`` (identity), ``kernels``, ``programs`` ({codec: {"encoder": name and version, "files": {library or
    program: SHA-256}}}) and ``timing``: {"wall_seconds", "workers", "busy_seconds" (sum over the jobs of this run of what they spent in
    encoder, decoder, filter and metrics), "overhead_percent" (100 - 100 busy / (workers wall); None if no job was run), "jobs": {"done",
    "failed", "cached"}}."""
    plan: Mapping[str, Any]
    """{"sequences": [{"name", "class", "width", "height", "bit_depth", "rate" ("30000/1001"), "pictures", "md5" (of the coded samples;
    None if they could not be read)}], "runs": [{"codec", "configuration", "variants"}], "qps", "frames" (None: by size), "model",
    "kernel", "position", "preset", "method", "check", "apart": names of sequences that are in no mean; but for luma networks of the
    size best also "kind" and "network_size"; "against" where all codecs are compared with the anchor of one}."""
    rows: list[Row]
    """One for each sequence, codec, configuration, variant and QP of the plan, in this order."""
    summary: Summary

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        own = {"schema": SCHEMA, "provenance": self.provenance, "plan": self.plan, "rows": [row.to_json() for row in self.rows]}
        return {**own, **self.summary.to_json()}

    @classmethod
    def from_json(cls, values: Any, name: str = "the result document") -> Self:
        """What ``to_json`` gave. name: that a DocumentError says, with the key, where it is something else, or of another schema."""
        if not isinstance(values, dict):
            raise DocumentError(f"{name} is not a result document: bdrate writes them with --json and --results")
        if values.get("schema") != SCHEMA:
            raise DocumentError(f"{name} has schema {values.get('schema')!r:.40}; this version makes reports of {SCHEMA}")
        checked(values, _File, name)
        if not values["rows"]:
            raise DocumentError(f"{name} has no rows")
        rows = [Row.from_json(row, name, f"rows[{number}].") for number, row in enumerate(values["rows"])]
        _refuse_doubled(rows, name)
        return cls(values["provenance"], values["plan"], rows, _summary(values, name))


def _refuse_doubled(rows: list[Row], name: str) -> None:
    """Raises DocumentError where two rows are of the same sequence, codec, configuration, variant and QP."""
    first: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows):
        which = row.sequence, row.codec, row.configuration, row.variant, row.qp
        if which in first:
            said = f"{row.sequence[:60]}, {row.codec} {row.configuration}, {row.variant}, QP {row.qp}"
            raise DocumentError(f"{name}: rows[{first[which]}] and rows[{number}] are both of {said}")
        first[which] = number


def _summary(values: Mapping[str, Any], name: str) -> Summary:
    parts = {part: _renamed(values[part]) for part in names(Summary)}
    parts["means"] = [{"class_name": None, **entry} if isinstance(entry, dict) else entry for entry in parts["means"]]
    try:
        return checked(parts, Summary, name)
    except DocumentError as error:
        raise DocumentError(str(error).replace("class_name", "class")) from None


def _renamed(values: Any) -> Any:
    """With class_name instead of class, which is a word of Python's."""
    if isinstance(values, list):
        return [_renamed(value) for value in values]
    if isinstance(values, dict):
        return {"class_name" if key == "class" else key: _renamed(value) for key, value in values.items()}
    return values


class _Counts(TypedDict):
    done: int
    failed: int
    cached: int


class _Timing(TypedDict):
    wall_seconds: float
    workers: int
    overhead_percent: float | None
    jobs: _Counts


class _Provenance(TypedDict, total=False):
    model: str | None
    command_line: list[str]
    time: str | None
    timing: _Timing | None


_Sequence = TypedDict(
    "_Sequence",
    {"name": str, "class": str, "width": int, "height": int, "bit_depth": int, "pictures": int, "rate": str, "md5": str | None},
)


class _Plan(TypedDict):
    sequences: list[_Sequence]
    qps: list[int]
    method: str


class _File(TypedDict):
    """What reports want of a document beside rows and summary."""

    provenance: _Provenance
    plan: _Plan
    rows: list[Any]
    sequences: list[Any]
    classes: list[Any]
    means: list[Any]
    flags: list[Any]


def read(path: Path) -> Document:
    """The document in a JSON file. Raises VrcnnError if it is none, or one that this version cannot report on."""
    try:
        return Document.from_json(read_json(path), str(path))
    except FileNotFoundError as error:
        raise VrcnnError(f"cannot read {path}: {error.strerror}") from None


@contextmanager
def rendering(path: Path) -> Iterator[None]:
    """Around what makes reports of the document in a file: where its parts contradict each other, raise VrcnnError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        missing = isinstance(error, KeyError) and error.args
        what = f"it refers to {error.args[0]!r:.60}, which it does not have" if missing else one_line(error)[:200]
        raise VrcnnError(f"{path} is damaged or was edited ({what}); let bdrate write it again") from error


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file. Raises VrcnnError if it cannot be written, ValueError for numbers that JSON does not have."""
    text = json.dumps(values, indent=1, allow_nan=False)
    write_text(path, text + "\n")
