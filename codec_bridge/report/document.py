"""Result documents: what the JSON file of ``bdrate`` holds. A value that is not known, or that does not exist, is None."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from codec_bridge.figures.row import Row, named
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing

SCHEMA = 1
"""Of the documents described here."""

RESULT_FILE = "result.json"
"""The document's name in a results folder."""

PLANES = ("y", "u", "v", "yuv")

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
class Comparison(BdFigures):
    """A variant of a sequence with the anchor of the same codec and configuration; its figures are by the plan's method."""

    methods: dict[str, BdFigures]
    """By every method of interpolation."""
    gains_y: Gains = field(default_factory=list)
    overlap_y: float | None = None
    """Of the luma curves, percent."""
    has_chroma: bool = False
    encode_time: float | None = None
    """Percent of the anchor's, geometric mean over the QPs."""
    decode_time: float | None = None
    """The network's time after the decoder counts as decoding."""
    kmac_per_sample: float | None = None
    """Mean over the QPs."""
    error: str | None = None
    """Why there is no luma BD-rate: a flagged row of either curve, no overlap, PSNR that falls while the rate rises."""
    warnings: list[str] = field(default_factory=list)
    """Texts with their figures: overlap under 75 %, no chroma BD-rate, outliers."""

    @property
    def flagged(self) -> bool:
        """Whether there is an error or a warning."""
        return self.error is not None or bool(self.warnings)

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        return {**asdict(self), "flagged": self.flagged}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave. Raises LookupError, TypeError, ValueError or AttributeError for anything else."""
        methods = {name: BdFigures(**figures) for name, figures in values["methods"].items()}
        return cls(**named(cls, {**values, "methods": methods, "gains_y": _gains(values)}))


@dataclass
class Compared:
    """All variants of a sequence but the anchor. apart: the plan leaves it out of classes and means."""

    sequence: str
    class_name: str
    codec: str
    configuration: str
    apart: bool
    variants: dict[str, Comparison]

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        variants = {name: comparison.to_json() for name, comparison in self.variants.items()}
        names = {"sequence": self.sequence, "class": self.class_name, "codec": self.codec, "configuration": self.configuration}
        return {**names, "apart": self.apart, "variants": variants}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave. Raises LookupError, TypeError, ValueError or AttributeError for anything else."""
        variants = {name: Comparison.from_json(comparison) for name, comparison in values["variants"].items()}
        return cls(**named(cls, {**values, "class_name": values["class"], "apart": values.get("apart", False), "variants": variants}))


@dataclass(kw_only=True)
class Mean(BdFigures):
    """Over sequences. None if one of those that have the plane has no figure: a mean without it would mislead."""

    sequences: int
    """How many."""
    encode_time: float | None
    decode_time: float | None
    kmac_per_sample: float | None
    gains_y: Gains
    unflagged: "Mean | None" = None
    """The same over the sequences that are not flagged; None if there is none, and in itself."""

    def of_all(self) -> "Mean":
        """Without ``unflagged``."""
        return replace(self, unflagged=None)

    def to_json(self) -> dict[str, Any]:
        """As documents hold it."""
        return {**self._flat(), "unflagged": self.unflagged and self.unflagged._flat()}

    def _flat(self) -> dict[str, Any]:
        return {"sequences": self.sequences, **{name: value for name, value in asdict(self).items() if name != "unflagged"}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave. Raises LookupError, TypeError, ValueError or AttributeError for anything else."""
        unflagged = values.get("unflagged")
        return cls(**named(cls, {**values, "gains_y": _gains(values), "unflagged": unflagged and cls.from_json(unflagged)}))


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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave. Raises LookupError, TypeError, ValueError or AttributeError for anything else."""
        variants = {name: Mean.from_json(mean) for name, mean in values["variants"].items()}
        return cls(values.get("class"), values["codec"], values["configuration"], variants)


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

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave. Raises LookupError, TypeError, ValueError or AttributeError for anything else."""
        sequences = [Compared.from_json(entry) for entry in values["sequences"]]
        classes = [Means.from_json(entry) for entry in values["classes"]]
        means = [Means.from_json(entry) for entry in values["means"]]
        return cls(sequences, classes, means, [Flag(**named(Flag, flag)) for flag in values["flags"]])


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
    "kernel", "position", "preset", "method", "check", "apart": names of sequences that are in no mean}."""
    rows: list[Row]
    """One for each sequence, codec, configuration, variant and QP of the plan, in this order."""
    summary: Summary

    def to_json(self) -> dict[str, Any]:
        """What the file holds."""
        own = {"schema": SCHEMA, "provenance": self.provenance, "plan": self.plan, "rows": [row.to_json() for row in self.rows]}
        return {**own, **self.summary.to_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What ``to_json`` gave.

        Raises VrcnnError for a document of another schema, without rows or without one of its parts; LookupError, TypeError, ValueError
        or AttributeError where a part is not what it should be.
        """
        check_schema(values)
        return cls(values["provenance"], values["plan"], [Row.from_json(row) for row in values["rows"]], Summary.from_json(values))


def check_schema(values: Mapping[str, Any]) -> None:
    """Raise VrcnnError for a document that this version cannot report on."""
    if values.get("schema") != SCHEMA:
        raise VrcnnError(f"the result document has schema {values.get('schema')!r}; this version makes reports of {SCHEMA}")
    missing = [part for part in ("provenance", "plan", "rows", "sequences", "classes", "means", "flags") if part not in values]
    if missing:
        raise VrcnnError(f"the result document lacks {', '.join(missing)}")
    if not values["rows"]:
        raise VrcnnError("the result document has no rows")


def _gains(values: Mapping[str, Any]) -> Gains:
    return [(qp, gain) for qp, gain in values.get("gains_y", ())]


def read(path: Path) -> Document:
    """The document in a JSON file. Raises VrcnnError if it is none, or one that this version cannot report on."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise VrcnnError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise VrcnnError(f"{path} is not a JSON file: {error}") from None
    if not isinstance(values, dict):
        raise VrcnnError(f"{path} is not a result document: bdrate writes them with --json and --results")
    try:
        check_schema(values)
    except VrcnnError as error:
        raise VrcnnError(f"{path}: {error}") from None
    with rendering(path):
        return Document.from_json(values)


@contextmanager
def rendering(path: Path) -> Iterator[None]:
    """Around what makes reports of the document in a file: where a part of it is missing or of another kind, raise VrcnnError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise VrcnnError(f"{path} is damaged or was edited ({what}); let bdrate write it again") from error


def write_json(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file. Raises VrcnnError if it cannot be written, ValueError for numbers that JSON does not have."""
    text = json.dumps(values, indent=1, allow_nan=False)
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
