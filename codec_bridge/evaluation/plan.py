"""What is to be evaluated: sequences x QPs x codecs x configurations x variants, from a TOML file or from the command line's options.

A plan file; everything but ``sequences`` has the default that is shown::

    sequences = ["ctc:D", "clips"]      # sets, names, folders, files; folders and files relative to the plan's folder
    qps = [22, 27, 32, 37]
    codecs = ["x265"]                   # of codecs.CODECS
    configurations = ["ai"]             # ai, ra, ldb, ldp; a table gives each codec its own: { x265 = ["ai"], hm = ["ai", "ra"] }
    variants = ["anchor", "none", "integer"]    # or such a table; each codec has a default of its own
    frames = "auto"                     # or so many pictures of each sequence
    model = "mine.vrcnn"                # default: the shipped set
    kernel = "auto"
    backend = "c"                       # or cuda: a GPU filters for the variant integer
    position = "before_deblocking"      # or after_sao
    preset = "medium"                   # of x265
    apart = ["clip_from_a_lossy_source"]    # sequences that are measured, but not in classes and means; default: none
    method = "pchip"                    # of the curves: pchip, cubic, akima
    check = false                       # also compare filtered pictures with the oracle
    transfer = "shared"                 # or upload: workers get samples and model, and send their results back
    keep_streams = false
    stream_cache = "streams"            # folder that keeps streams without a network for other evaluations; default: none
    search_path = ["/video/ctc"]        # default: environment variable VRCNN_SEQUENCES
    size = "416x240"                    # of .yuv files outside the catalogues, with
    format = "yuv420p"

    [programs]                          # folders; default: what --hm, --anchor-hm and --codecs default to
    hm = "HM"
    anchor_hm = "HM-unchanged"
    codecs = "build/codecs/bin"

    [slurm]                             # arguments of dask_jobqueue.SLURMCluster, and how many jobs of that kind
    jobs = 8
    cores = 4
    memory = "16GB"
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codec_bridge import codecs
from codec_bridge.evaluation.settings import BY_BACKEND, Settings, check_settings
from codec_bridge.figures.bd_rate import METHODS, MIN_POINTS
from codec_bridge.video.catalogue import Sequence, resolve
from vrcnn_int.errors import VrcnnError

TRANSFERS = ("shared", "upload")


class PlanError(VrcnnError):
    """The plan cannot be carried out; the message names the key and, where there is one, the file."""


@dataclass(frozen=True)
class Plan:
    """Sequences, and one Settings for each codec and configuration. apart: names of sequences that are in no mean. file: the plan file's
    name, "" without one. What contradicts itself is refused at once, what is not there by ``check``."""

    sequences: tuple[Sequence, ...]
    runs: tuple[Settings, ...]
    method: str = "pchip"
    transfer: str = "shared"
    keep_streams: bool = False
    slurm: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    apart: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sequences:
            raise PlanError("no sequences to evaluate")
        names = [sequence.name for sequence in self.sequences]
        for name in names:
            if names.count(name) > 1:
                raise PlanError(f"{names.count(name)} sequences are called {name}; give them in separate runs")
        for name in self.apart:
            if name not in names:
                raise PlanError(f"apart: there is no sequence {name!r} in the plan")
        if set(names) <= set(self.apart):
            raise PlanError("apart: every sequence is left out of the means")
        for settings in self.runs:
            if sum((other.codec, other.configuration) == (settings.codec, settings.configuration) for other in self.runs) > 1:
                raise PlanError(f"{settings.codec} {settings.configuration} is given twice")
        if not self.runs:
            raise PlanError("no codec, or no configuration, to evaluate")
        if self.method not in METHODS:
            raise PlanError(f"unknown method {self.method!r}; there are {', '.join(METHODS)}")
        if self.transfer == "upload" and any(settings.stream_cache for settings in self.runs):
            raise PlanError("stream_cache is a folder that workers share; it does not go with the transfer upload")
        if self.transfer not in TRANSFERS:
            raise PlanError(f"unknown transfer {self.transfer!r}; there are {', '.join(TRANSFERS)}")
        for settings in self.runs:
            settings.refuse()

    def check(self) -> None:
        """Raise VrcnnError for what the plan cannot be carried out with here: programs, model sets and libraries are looked for."""
        for settings in self.runs:
            check_settings(settings)

    def check_curves(self) -> None:
        """Raise PlanError where no BD-rate can come of it."""
        for settings in self.runs:
            if "anchor" not in settings.variants:
                raise PlanError("BD-rate needs the variant anchor to compare with")
            if len(settings.qps) < MIN_POINTS:
                raise PlanError(f"BD-rate needs at least four QPs, not {len(settings.qps)}")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """'416x240' -> (416, 240)."""
    if text is None:
        return None
    match = re.fullmatch("([0-9]{1,6})x([0-9]{1,6})", text)
    if not match:
        raise VrcnnError(f"{text[:40]!r} is not a size such as 416x240")
    return int(match[1]), int(match[2])


def load(path: Path) -> Plan:
    """Read a plan file, and check it. Raises PlanError, with the file's name and the key, for one that is no plan."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is not TOML: {error}") from None
    try:
        plan = _from_values(values, path.parent, path.name)
        plan.check()
        return plan
    except VrcnnError as error:
        raise PlanError(f"{path}: {error}") from None


def _from_values(values: dict[str, Any], folder: Path, name: str) -> Plan:
    take = _Taker(values)
    words = take.texts("sequences", [])
    if not words:
        raise PlanError("sequences: name at least one set, sequence, folder or file")
    qps, names = take.numbers("qps", [22, 27, 32, 37]), take.texts("codecs", [codecs.DEFAULT])
    for codec in names:
        if codec not in codecs.CODECS:
            raise PlanError(f"codecs: there is no {codec!r}; there are {', '.join(codecs.CODECS)}")
    configurations = take.by_codec("configurations", names, {codec: ["ai"] for codec in names})
    variants = take.by_codec("variants", names, {codec: list(codecs.find(codec).default_variants) for codec in names})
    frames = take.value("frames", (str, int), "auto")
    if frames != "auto" and (not isinstance(frames, int) or frames < 1):
        raise PlanError(f'frames: {frames!r} is neither "auto" nor a number of pictures')
    model = take.path("model", folder)
    kernel, position = take.value("kernel", str, "auto"), take.value("position", str, "before_deblocking")
    preset, backend = take.value("preset", str, "medium"), take.value("backend", str, "c")
    check, keep_streams = take.value("check", bool, False), take.value("keep_streams", bool, False)
    method, transfer = take.value("method", str, "pchip"), take.value("transfer", str, "shared")
    size, pixel_format = parse_size(take.value("size", str, None)), take.value("format", str, None)
    search_path = [folder / path for path in take.texts("search_path", [])] or None
    stream_cache = take.path("stream_cache", folder)
    slurm, apart = take.value("slurm", dict, {}), tuple(take.texts("apart", []))
    programs = _Taker(take.value("programs", dict, {}), "programs.")
    places = {key: programs.path(key, folder) for codec in codecs.every() for key in codec.settings}
    programs.finish()
    take.finish()
    sequences = [
        sequence
        for word in words
        for sequence in resolve(folder / word if (folder / word).exists() else word, search_path, size=size, pixel_format=pixel_format)
    ]
    number = None if frames == "auto" else frames
    # Codecs without such variants have no use for the backend; if none has, the first run's refusal says so.
    served = [codec for codec in names if set(variants[codec]) & set(BY_BACKEND)] or names
    runs = [
        Settings(
            codec,
            tuple(qps),
            tuple(variants[codec]),
            number,
            model,
            kernel,
            position,
            preset,
            check,
            configuration,
            {key: path for key, path in places.items() if path},
            stream_cache,
            backend if codec in served else "c",
        )
        for codec in names
        for configuration in configurations[codec]
    ]
    return Plan(tuple(sequences), tuple(runs), method, transfer, keep_streams, slurm, name, apart)


class _Taker:
    """Takes values out of a table of the plan, each of the kind that it must be; what is left at the end was misspelt."""

    def __init__(self, values: dict[str, Any], prefix: str = "") -> None:
        self.values, self.prefix = dict(values), prefix
        self.known: list[str] = []

    def value(self, key: str, kind: Any, default: Any) -> Any:
        self.known.append(key)
        found = self.values.pop(key, default)
        if found is not default and (not isinstance(found, kind) or (isinstance(found, bool) and kind is not bool)):
            names = {str: "text", int: "a whole number", bool: "true or false", list: "a list", dict: "a table"}
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise PlanError(f"{self.prefix}{key}: {found!r} is not {' or '.join(names[one] for one in kinds)}")
        return found

    def _list(self, key: str, kind: type, default: list[Any]) -> list[Any]:
        found: list[Any] = self.value(key, list, default)
        for item in found:
            if not isinstance(item, kind) or isinstance(item, bool):
                raise PlanError(f"{self.prefix}{key}: {item!r} is not {'text' if kind is str else 'a whole number'}")
        return found

    def texts(self, key: str, default: list[str]) -> list[str]:
        return self._list(key, str, default)

    def numbers(self, key: str, default: list[int]) -> list[int]:
        return self._list(key, int, default)

    def by_codec(self, key: str, codecs: list[str], default: dict[str, list[str]]) -> dict[str, list[str]]:
        if not isinstance(self.values.get(key), dict):
            return dict.fromkeys(codecs, self.texts(key, [])) if key in self.values else default
        inner = _Taker(self.values.pop(key), f"{key}.")
        self.known.append(key)
        found = {codec: inner.texts(codec, default[codec]) for codec in codecs}
        inner.finish()
        return found

    def path(self, key: str, folder: Path) -> Path | None:
        found = self.value(key, str, None)
        return None if found is None else folder / found

    def finish(self) -> None:
        if self.values:
            raise PlanError(f"unknown key {self.prefix}{next(iter(self.values))}; there are {', '.join(self.known)}")
