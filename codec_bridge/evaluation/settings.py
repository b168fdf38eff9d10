"""What an evaluation runs one codec in one configuration with, and what of it can be refused before anything is coded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from codec_bridge import codecs
from codec_bridge.codecs.base import OFF, ORDINARY, PRESETS, Codec, Loop, Network
from codec_bridge.codecs.external.commands import Commands
from codec_bridge.figures import perceptual
from codec_bridge.figures.row import AFTER_DECODING, ALL_INTRA, INSIDE
from codec_bridge.filter import Filter
from codec_bridge.library.arrays import shipped_with
from codec_bridge.library.engines import ENGINES
from codec_bridge.video.catalogue import Sequence, auto_frames
from codec_bridge.video.picture import Picture
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import require
from vrcnn_int.integer import ModelError, ModelSet
from vrcnn_int.models import builtin_path, float_file
from vrcnn_int.network import KINDS, POSITIONS, SIZES, load_float_networks

NETWORKS = (*INSIDE, *AFTER_DECODING)
"""Variants that a network has a part in."""

BACKENDS = tuple(name for name in ENGINES if name != "oracle")
BY_BACKEND = ("integer",)
"""Variants whose pictures the backend filters; the others' filter stands in the codec, in torch, or in an encoder's decision."""

BY_LUMA = ("choice", "after")
"""Variants that decide offline, about luma networks only; codecs decide about joint ones, too, if their filter takes them."""

MOST_FRAMES = 10**9
"""Pictures that anybody may ask for."""

INTER_FRAMES = 16
"""Pictures a sequence where the rule by size, meant for all-intra coding, does not apply."""

FAR = 5
"""A picture whose QP is further than this from its network's nominal one is worth a word. Networks of the shipped sets are 5 apart, so
that QPs between them are at most 3 from the nearest; QPs beyond the ends of a set, a step away, are ordinary, too."""

FilterPicture = Callable[[Picture], Picture]


class EvaluationError(VrcnnError):
    """The evaluation asked for cannot be run."""


@dataclass(frozen=True)
class Settings:
    """What one codec in one configuration runs with.

    ``frames``: pictures a sequence, None for the rule by size (catalogue.auto_frames). ``model``: a model set file, None for the
    shipped one. ``check``: compare every filtered picture with the oracle, and with filtering a second decode unit by unit.
    ``configuration``: one of the codec's. ``folders``: where the codecs' programs are, by the names that the codecs give them.
    ``stream_cache``: folder that keeps the streams without a network, and gives them again. ``backend``: one of BACKENDS, for the
    variants BY_BACKEND. ``kind``, ``network_size``: of the networks that filter; kind None: what the set has, luma if it has both.
    ``commands``: of a codec that a plan describes. ``metrics``: of perceptual.NAMES, measured beside PSNR and luma's SSIM.
    """

    codec: str = codecs.DEFAULT
    qps: tuple[int, ...] = (22, 27, 32, 37)
    variants: tuple[str, ...] = ("anchor", "none", "integer")
    frames: int | None = None
    model: Path | None = None
    kernel: str = "auto"
    position: str = "before_deblocking"
    preset: str = "medium"
    check: bool = False
    configuration: str = "ai"
    folders: Mapping[str, Path] = field(default_factory=dict)
    stream_cache: Path | None = None
    backend: str = "c"
    kind: str | None = None
    network_size: str = "best"
    commands: Commands | None = None
    metrics: tuple[str, ...] = ()

    @property
    def coder(self) -> type[Codec]:
        """The class of the codec. Raises CodecError if there is none."""
        return codecs.find(self.codec, self.commands)

    def loop(self, variant: str, identity: str = "") -> Loop:
        """The filters in the loop of a variant's stream; variants of equal loops share it. identity: of the model set."""
        if variant == "none" or (variant in ALL_INTRA and self.position == "before_deblocking"):
            return OFF
        if variant not in INSIDE:
            return ORDINARY
        return Loop(network=Network(self.position, variant == "map", self.kernel, self.model, identity, self.network_size))

    def kind_in(self, models: ModelSet) -> str:
        """The kind of the networks that filter."""
        return self.kind or models.kinds[0]

    def network_in(self, models: ModelSet, qp: int, stated: bool = False) -> int:
        """The number of the network for a QP. stated: the pictures themselves say that they are of the position.

        Raises ModelError if the set has none of the position and kind; it names the shipped sets that have some, and, unless the position
        is stated, the one that this set is for.
        """
        kind = self.kind_in(models)
        try:
            return models.index_for_qp(qp, self.position, kind, self.network_size)
        except ModelError as error:
            others = " or ".join(shipped_with(self.position, kind))
            elsewhere = [] if stated else [each.position for each in models.networks if each.kind == kind][:1]
            advice = [*([f"--model {others} has such"] if others else []), *(f"this set is for --position {place}" for place in elsewhere)]
            raise ModelError("; ".join([str(error), *advice])) from error

    def far_qps(self, models: ModelSet) -> str | None:
        """What far_qps() says of the QPs, if networks of the set have a part in a variant."""
        if not set(self.variants) & set(NETWORKS):
            return None
        return far_qps((qp, models.networks[self.network_in(models, qp)].qp) for qp in self.qps)

    def refuse(self) -> None:
        """Raise VrcnnError for settings that contradict each other or name what there is not; opens nothing."""
        codec = self.coder
        self._refuse_variants(codec)
        self._refuse_numbers(codec)
        if self.position not in POSITIONS:
            raise EvaluationError(f"unknown position {self.position!r}; there are {' and '.join(POSITIONS)}")
        if self.preset not in PRESETS:
            raise EvaluationError(f"unknown preset {self.preset!r}; there are {', '.join(PRESETS)}")
        self._refuse_configuration(codec)
        self._refuse_backend()
        check_words(self.kind, self.network_size)
        perceptual.refuse_names(self.metrics)
        self.refuse_kind(self.kind)

    def _refuse_variants(self, codec: type[Codec]) -> None:
        for variant in self.variants:
            if variant not in codec.variants:
                raise EvaluationError(f"unknown variant {variant!r}; {self.codec} has {', '.join(codec.variants)}")

    def _refuse_numbers(self, codec: type[Codec]) -> None:
        for qp in self.qps:
            if qp not in codec.qps:
                raise EvaluationError(f"QP {qp} is not in {codec.qps[0]}..{codec.qps[-1]}")
        if len(set(self.qps)) != len(self.qps) or len(set(self.variants)) != len(self.variants):
            raise EvaluationError("a QP or a variant is given twice")
        if not self.qps or not self.variants:
            raise EvaluationError("at least one QP and one variant are needed")
        if self.frames is not None and not 1 <= self.frames <= MOST_FRAMES:
            raise EvaluationError(f"frames: from 1 to {MOST_FRAMES} pictures a sequence")

    def _refuse_configuration(self, codec: type[Codec]) -> None:
        if self.configuration not in codec.configurations:
            if not codec.inside:
                raise EvaluationError(f"{self.codec} is evaluated all-intra only: its pictures are filtered after decoding")
            raise EvaluationError(f"unknown configuration {self.configuration!r}; there are {', '.join(codec.configurations)}")
        offline = [variant for variant in self.variants if variant in ALL_INTRA]
        if offline and self.configuration != "ai":
            raise EvaluationError(f"variant {offline[0]} is for configuration ai only: its pictures are filtered after decoding")

    def refuse_kind(self, kind: str | None) -> None:
        """Raise EvaluationError where a variant has no use for networks of this kind."""
        inside = () if self.coder.joint else INSIDE
        unfit = [variant for variant in self.variants if variant in (*BY_LUMA, *inside)]
        if kind == "joint" and unfit:
            where = f" in codec {self.codec}" if unfit[0] in inside else ""
            raise EvaluationError(
                f"variant {unfit[0]} is for luma networks{where}: joint ones filter decoded pictures everywhere, variant integer"
            )

    def refuse_models(self, models: ModelSet) -> None:
        """Raise VrcnnError where a variant has no use for networks of the set, or takes others of it than these settings say."""
        kind = self.kind_in(models)
        self.refuse_kind(kind)
        for qp in self.qps:
            self.network_in(models, qp)
        inside = [variant for variant in self.variants if variant in INSIDE]
        joint = any(network.kind == "joint" and network.position == self.position for network in models.networks)
        if inside and kind == "luma" and joint and self.coder.joint:
            raise EvaluationError(
                f"variant {inside[0]} takes the joint networks of a set that has them: kind joint, or a set of luma networks alone"
            )

    def _refuse_backend(self) -> None:
        if self.backend not in BACKENDS:
            raise EvaluationError(f"unknown backend {self.backend!r}; there are {' and '.join(BACKENDS)}")
        if self.backend != "c" and not set(self.variants) & set(BY_BACKEND):
            raise EvaluationError(f"backend {self.backend} is for variant {BY_BACKEND[0]}, which is not among {self.codec}'s here")
        if self.backend == "cuda" and self.kernel != "auto":
            raise EvaluationError(f"backend cuda has no kernel {self.kernel}: leave the kernel at auto, or use backend c")


def check_words(kind: str | None, network_size: str | None) -> None:
    """Raise EvaluationError for kinds and sizes of networks that there are not; None is any."""
    for what, word, known in (("kind", kind, KINDS), ("network size", network_size, SIZES)):
        if word is not None and word not in known:
            raise EvaluationError(f"unknown {what} {word!r}; there are {' and '.join(known)}")


def far_qps(used: Iterable[tuple[int, int]]) -> str | None:
    """What is to be known where QPs of pictures are FAR from those of the networks that filter them; None where none is.

    used: pairs of both.
    """
    far: dict[int, set[int]] = {}
    for qp, nominal in sorted(set(used)):
        if abs(qp - nominal) > FAR:
            far.setdefault(nominal, set()).add(qp)
    said = []
    for nominal, qps in far.items():
        which = f"QP {min(qps)} is" if len(qps) == 1 else f"QPs {', '.join(map(str, sorted(qps)))} are"
        said.append(f"{which} filtered by the network for QP {nominal}, the nearest of the set")
    return "; ".join(said) or None


def check_settings(settings: Settings, stated: bool = False) -> None:
    """Raise VrcnnError for settings that no evaluation can run with here: looks for programs, opens model set, library and networks.

    stated: streams will say QPs and position themselves; whether the set has networks for these shows when they are read.
    """
    settings.refuse()
    perceptual.measured_by(settings.metrics)
    settings.coder(settings.folders).check(settings.configuration)
    models = load_models(settings)
    if set(settings.variants) & set(NETWORKS):
        if not stated:
            settings.refuse_models(models)
        open_filter(settings, models).close()
    if "float" in settings.variants:
        float_filter(settings.model, models, 0)


def frames_of(sequence: Sequence, settings: Settings) -> int:
    """How many pictures of a sequence are wanted; never more than the catalogue says that it has."""
    by_rule = auto_frames(sequence.width, sequence.height) if settings.configuration == "ai" else INTER_FRAMES
    wanted = settings.frames or by_rule
    return min(wanted, sequence.frames) if sequence.class_name and sequence.frames else wanted


def check_index(models: ModelSet, index: int, position: str | None = None) -> None:
    """Raise EvaluationError unless the set has a network of that number, of the position if one is given."""
    if index >= len(models.networks):
        raise EvaluationError(f"the model set has no network {index}; it has 0 to {len(models.networks) - 1}")
    stands = models.networks[index].position
    if position not in (None, stands):
        fitting = numbers([number for number, network in enumerate(models.networks) if network.position == position])
        raise EvaluationError(f"network {index} is {stands}, the pictures are {position}: give {fitting or 'another --model'}")


def numbers(fitting: list[int]) -> str:
    """'--index 2 or 3', '--index 4 to 7'; '' for none."""
    whole = len(fitting) > 2 and fitting == list(range(fitting[0], fitting[-1] + 1))
    words = f"{fitting[0]} to {fitting[-1]}" if whole else " or ".join(map(str, fitting))
    return f"--index {words}" if fitting else ""


def load_models(settings: Settings) -> ModelSet:
    """The model set of an evaluation."""
    return ModelSet.load(settings.model or builtin_path())


def open_filter(settings: Settings, models: ModelSet, threads: int = 1) -> Filter:
    """The C library, or the GPU, with the evaluation's model and kernel.

    Raises EvaluationError if it holds another set than the oracle, FilterError where there is no GPU to use.
    """
    filter_ = Filter(settings.model, settings.kernel, settings.backend, threads)
    if filter_.identity != models.identity:
        raise EvaluationError(f"the C library filters with model set {filter_.identity}, the oracle with {models.identity}")
    return filter_


def float_filter(model: Path | None, models: ModelSet, index: int) -> FilterPicture:
    """The float network beside a model set's file (None: the shipped one), as a function of pictures. Imports torch.

    Raises VrcnnError if torch or the float networks are missing, or belong to another set.
    """
    path = float_file(model or builtin_path())
    networks, meta = load_float_networks(path, KINDS)
    if meta.get("set") != models.identity:
        raise EvaluationError(f"{path} belongs to model set {meta.get('set')}, not to {models.identity}")
    require("the float variant", "train")
    from vrcnn_int.training.module import filter_planes_float

    def filtered(picture: Picture) -> Picture:
        planes = filter_planes_float(networks[index], picture.planes, (picture.bit_depth,) * 2, picture.chroma_format)
        return picture.with_planes(planes)

    return filtered
