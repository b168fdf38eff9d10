"""What is to be evaluated: sequences x QPs x codecs x configurations x variants, from a TOML file or from the command line's options.

A plan file; everything but ``sequences`` has the default that is shown::

    sequences = ["ctc:D", "clips"]      # sets, names, folders, files; folders and files relative to the plan's folder
    qps = [22, 27, 32, 37]
    codecs = ["x265"]                   # of codecs.CODECS, and names of tables [[codec]]; default where there are such: these
    against = "hm"                      # codec whose anchor all others are compared with, in equal configurations; default: each its own
    configurations = ["ai"]             # ai, ra, ldb, ldp; a table gives each codec its own: { x265 = ["ai"], hm = ["ai", "ra"] }
    variants = ["anchor", "none", "integer"]    # or such a table; each codec has a default of its own
    frames = "auto"                     # or so many pictures of each sequence
    model = "mine.vrcnn"                # default: the shipped set
    kernel = "auto"
    backend = "c"                       # or cuda: a GPU filters for the variant integer
    kind = "luma"                       # or joint, for the variants integer and float; default: what the set has, luma if it has both
    network_size = "best"               # or fast; where the set has none of that size, the other serves
    position = "before_deblocking"      # or after_sao
    preset = "medium"                   # of x265
    apart = ["clip_from_a_lossy_source"]    # sequences that are measured, but not in classes and means; default: none
    method = "pchip"                    # of the curves: pchip, cubic, akima
    metrics = []                        # more than PSNR and luma's SSIM: ssim (of chroma), ms_ssim, vmaf; the last two need an extra:
                                        # pip install 'vrcnn-int[metrics]'
    check = false                       # also compare filtered pictures with the oracle
    transfer = "shared"                 # or upload: workers get samples and model, and send their results back
    keep_streams = false
    stream_cache = "streams"            # folder that keeps streams without a network for other evaluations; default: none
    search_path = ["/video/ctc"]        # default: environment variable VRCNN_SEQUENCES
    size = "416x240"                    # of .yuv files outside the catalogues, with
    format = "yuv420p"

    [programs]                          # folders; default: what --hm, --anchor-hm and --codecs default to; with --allow-programs only
    hm = "HM"
    anchor_hm = "HM-unchanged"
    codecs = "build/codecs/bin"

    [[codec]]                           # programs of others, as often as wanted; with --allow-programs only
    name = "x264"
    encode = "x264 --qp {qp} --tune psnr --fps {fps_num}/{fps_den} --input-res {width}x{height} --dump-yuv {recon} -o {output} {input}"
    decode = "ffmpeg -v error -i {input} -f rawvideo -pix_fmt {format} {output}"
    configuration = "ra"                # what these command lines code; default: ai
    qps = [20, 26, 32, 38]              # default: the plan's
    input = "yuv"                       # or y4m: what the encoder reads
    suffix = ".264"                     # of the stream's file; default: .bin
    version = "x264 --version"          # its first line names the encoder; default: the name
    log = "PSNR Mean Y:(?P<psnr_y>[0-9.]+)"     # in what the encoder prints: pictures and psnr_y; needed where it writes no {recon}

    [slurm]                             # arguments of dask_jobqueue.SLURMCluster, and how many jobs of that kind; others than those
                                        # of SLURM_PLAIN, which may name commands, with --allow-programs only
    jobs = 8
    cores = 4
    memory = "16GB"
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msgspec import Struct

from codec_bridge import codecs
from codec_bridge.codecs.external.commands import Commands
from codec_bridge.evaluation.settings import BY_BACKEND, MOST_FRAMES, Settings, check_settings
from codec_bridge.figures.bd_rate import METHODS, MIN_POINTS
from codec_bridge.figures.perceptual import refuse_size
from codec_bridge.video.catalogue import Sequence, resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.documents import DocumentError, checked, read_toml
from vrcnn_int.models import model_path, read_files
from vrcnn_int.text import named

Texts = tuple[str, ...]

TRANSFERS = ("shared", "upload")
MOST_JOBS = 10000

SLURM_PLAIN = (
    *("jobs", "cores", "memory", "processes", "queue", "account", "project", "walltime", "interface", "name", "job_cpu", "job_mem"),
    *("death_timeout", "protocol", "nanny", "n_workers"),
)
"""Arguments of a Slurm cluster that name no command, as long as they are numbers or a `_WORD`: they become part of a shell script."""
_WORD = re.compile("[A-Za-z0-9_./][A-Za-z0-9_.:@+=/,-]*")
"""One that a shell leaves as it is, and that no program takes for an option."""
_BYTES = re.compile("[0-9.]+ ?[A-Za-z]*")
"""An amount of memory, which becomes a number."""


class PlanError(VrcnnError):
    """The plan cannot be carried out; the message names the key and, where there is one, the file."""


@dataclass(frozen=True)
class Plan:
    """Sequences, and one Settings for each codec and configuration. apart: names of sequences that are in no mean. file: the plan file's
    name, "" without one. against: codec whose anchor all are compared with, "" for each its own.

    What contradicts itself is refused at once, what is not there by ``check``.
    """

    sequences: tuple[Sequence, ...]
    runs: tuple[Settings, ...]
    method: str = "pchip"
    transfer: str = "shared"
    keep_streams: bool = False
    slurm: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""
    apart: tuple[str, ...] = ()
    against: str = ""

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
        self._refuse_against()
        if self.method not in METHODS:
            raise PlanError(f"unknown method {self.method!r}; there are {', '.join(METHODS)}")
        if self.transfer == "upload" and any(settings.stream_cache for settings in self.runs):
            raise PlanError("stream_cache is a folder that workers share; it does not go with the transfer upload")
        if self.transfer not in TRANSFERS:
            raise PlanError(f"unknown transfer {self.transfer!r}; there are {', '.join(TRANSFERS)}")
        for settings in self.runs:
            settings.refuse()
            for sequence in self.sequences:
                refuse_size(settings.metrics, sequence.name, sequence.width, sequence.height)

    def _refuse_against(self) -> None:
        """Raises PlanError where a codec has nothing to be compared with."""
        if not self.against:
            return
        there = {settings.configuration for settings in self.runs if settings.codec == self.against and "anchor" in settings.variants}
        if self.against not in {settings.codec for settings in self.runs}:
            raise PlanError(f"against: {self.against!r:.60} is not among the plan's codecs")
        for settings in self.runs:
            if settings.configuration not in there:
                raise PlanError(
                    f"against: {self.against} has no anchor in configuration {settings.configuration}, which {settings.codec} has"
                )

    @property
    def inputs(self) -> list[Path]:
        """Files that are read: the sequences', the model sets' and the codecs', programs too. Raises CodecError for what is not there."""
        models = [path for settings in self.runs for path in read_files(settings.model)]
        programs = [path for settings in self.runs for path in settings.coder(settings.folders).files()]
        return [*(sequence.path for sequence in self.sequences), *models, *programs]

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


class CodecFile(Struct, forbid_unknown_fields=True, kw_only=True):
    """A table ``codec``, as it is described above."""

    name: str
    encode: str
    decode: str
    configuration: str = "ai"
    qps: tuple[int, ...] | None = None
    input: str = "yuv"
    suffix: str = ".bin"
    version: str | None = None
    log: str | None = None

    def commands(self, folder: Path) -> Commands:
        """Raises CodecError for what cannot be one. folder: of the plan."""
        if self.name in codecs.CODECS:
            raise PlanError(f"codec {self.name}: there is such a codec already; give yours another name")
        return Commands(
            self.name,
            self.encode,
            self.decode,
            folder,
            self.configuration,
            log=self.log,
            version=self.version,
            input=self.input,
            suffix=self.suffix,
        )


class PlanFile(Struct, forbid_unknown_fields=True, kw_only=True):
    """A plan file's keys, as they are described above."""

    sequences: tuple[str, ...] = ()
    qps: tuple[int, ...] = (22, 27, 32, 37)
    codecs: tuple[str, ...] | None = None
    codec: tuple[CodecFile, ...] = ()
    against: str = ""
    configurations: tuple[str, ...] | dict[str, tuple[str, ...]] = ("ai",)
    variants: tuple[str, ...] | dict[str, tuple[str, ...]] | None = None
    frames: str | int = "auto"
    model: str | None = None
    kernel: str = "auto"
    backend: str = "c"
    kind: str | None = None
    network_size: str = "best"
    position: str = "before_deblocking"
    preset: str = "medium"
    apart: tuple[str, ...] = ()
    method: str = "pchip"
    metrics: tuple[str, ...] = ()
    check: bool = False
    transfer: str = "shared"
    keep_streams: bool = False
    stream_cache: str | None = None
    search_path: tuple[str, ...] = ()
    size: str | None = None
    format: str | None = None
    programs: dict[str, str] = {}
    slurm: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Of the codecs."""
        return self.codecs if self.codecs is not None else tuple(own.name for own in self.codec) or (codecs.DEFAULT,)


def load(path: Path, allow_programs: Callable[[list[str]], bool] = lambda _: False) -> Plan:
    """Read a plan file, and check it. allow_programs: told what programs and commands the plan names, where it does; whether they may run.

    Raises PlanError, with the file's name and the key, for one that is no plan, or whose programs may not run.
    """
    try:
        file = checked(read_toml(path), PlanFile, str(path))
        named = _commands(file, path.parent)
        if named and not allow_programs(named):
            said = named[0] if len(named) == 1 else f"{named[0].partition(' = ')[0]} and {len(named) - 1} more"
            raise PlanError(f"{path} names what is to run here: {said}; give --allow-programs if you trust it")
        jobs = file.slurm.get("jobs", 1)
        if type(jobs) is not int or not 1 <= jobs <= MOST_JOBS:
            raise PlanError(f"{path}: slurm.jobs: {jobs!r:.60} is not a number of jobs, 1 to {MOST_JOBS}")
        plan = _from_file(file, path)
    except FileNotFoundError as error:
        raise PlanError(f"cannot read the plan {path}: {error.strerror}") from None
    except DocumentError as error:
        raise PlanError(str(error)) from None
    try:
        plan.check()
        return plan
    except VrcnnError as error:
        raise PlanError(f"{path}: {error}") from None


def _commands(file: PlanFile, folder: Path) -> list[str]:
    """What of a plan is run, or may be."""
    programs = [f"programs.{key} = {folder / place}" for key, place in file.programs.items()]
    lines = [(own.name, key, getattr(own, key)) for own in file.codec for key in ("encode", "decode", "version")]
    programs += [f"codec {name}: {key} = {line!r:.300}" for name, key, line in lines if line is not None]
    return programs + [f"slurm.{key} = {str(value)!r:.100}" for key, value in file.slurm.items() if not _is_plain(key, value)]


def _is_plain(key: str, value: Any) -> bool:
    """Whether an argument of Slurm is what it looks like, whatever script it becomes part of."""
    if key not in SLURM_PLAIN:
        return False
    # What TOML has as text, numbers, dates and times; the text of tables and lists is no word.
    return isinstance(value, int | float) or bool((_BYTES if key == "memory" else _WORD).fullmatch(str(value)))


def _from_file(file: PlanFile, path: Path) -> Plan:
    """Raises PlanError, with the file's name."""
    try:
        return Plan(
            tuple(_sequences(file, path.parent)),
            tuple(runs_of(file, path.parent)),
            file.method,
            file.transfer,
            file.keep_streams,
            file.slurm,
            named(path.name),
            file.apart,
            file.against,
        )
    except VrcnnError as error:
        raise PlanError(f"{path}: {error}") from None


def _sequences(file: PlanFile, folder: Path) -> list[Sequence]:
    if not file.sequences:
        raise PlanError("sequences: name at least one set, sequence, folder or file")
    search_path = [folder / place for place in file.search_path] or None
    size = parse_size(file.size)
    here = [folder / word if (folder / word).exists() else word for word in file.sequences]
    return [sequence for word in here for sequence in resolve(word, search_path, size=size, pixel_format=file.format)]


def runs_of(file: PlanFile, folder: Path) -> list[Settings]:
    """The settings of its codecs and configurations. Raises VrcnnError for what there is not; opens nothing."""
    own = {table.name: (table, table.commands(folder.resolve())) for table in file.codec}
    if len(own) < len(file.codec):
        raise PlanError("codec: two tables have one name")
    for codec in file.names:
        if codec not in codecs.CODECS and codec not in own:
            raise PlanError(f"codecs: there is no {codec!r}; there are {', '.join([*codecs.CODECS, *own])}")
    ours = tuple(codec for codec in file.names if codec not in own)
    configurations = _by_codec("configurations", file.configurations, ours, lambda _: ("ai",))
    variants = _by_codec("variants", file.variants or {}, ours, lambda codec: codecs.find(codec).default_variants)
    for name, (table, commands) in own.items():
        configurations[name], variants[name] = (table.configuration,), codecs.find(name, commands).default_variants
    _refuse_unknown("programs", file.programs, [key for codec in codecs.every() for key in codec.settings])
    if file.frames != "auto" and (not isinstance(file.frames, int) or not 1 <= file.frames <= MOST_FRAMES):
        raise PlanError(f'frames: {file.frames!r:.60} is neither "auto" nor a number of pictures')
    # Codecs without such variants have no use for the backend; if none has, the first run's refusal says so.
    served = [codec for codec in file.names if set(variants[codec]) & set(BY_BACKEND)] or file.names
    return [
        Settings(
            codec,
            (own[codec][0].qps or file.qps) if codec in own else file.qps,
            variants[codec],
            file.frames if isinstance(file.frames, int) else None,
            model_path(file.model, folder) if file.model is not None else None,
            file.kernel,
            file.position,
            file.preset,
            file.check,
            configuration,
            {key: folder / place for key, place in file.programs.items()},
            folder / file.stream_cache if file.stream_cache is not None else None,
            file.backend if codec in served else "c",
            file.kind,
            file.network_size,
            own[codec][1] if codec in own else None,
            file.metrics,
        )
        for codec in file.names
        for configuration in configurations[codec]
    ]


def _by_codec(key: str, given: Texts | dict[str, Texts], names: Texts, default: Callable[[str], Texts]) -> dict[str, Texts]:
    """What each codec has: the same list, or its own of a table."""
    if isinstance(given, tuple):
        return dict.fromkeys(names, given)
    _refuse_unknown(key, given, names)
    return {name: given.get(name, default(name)) for name in names}


def _refuse_unknown(key: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            raise PlanError(f"unknown key {key}.{name}; there are {', '.join(known)}")
