"""What is computed of one sequence at one QP: code, decode, compare, filter, measure -> the figures of a row for each variant.

Nothing is measured before the gates: the encoder ended well, the decoder put out as many pictures as were coded, every picture hash is
right, and the decoder's pictures are the encoder's reconstruction. (x265 through PyAV gives no reconstruction: there it is the decoder's
output, verified by the MD5 that the encoder wrote of its own.) What does not pass raises a VrcnnError, and there are no figures.
"""

import hashlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.sideinfo import Sideinfo, parse
from codec_bridge.codecs import pyav as x265
from codec_bridge.codecs.base import CODECS, IN_LOOP, Encoded, Format, get_codec
from codec_bridge.codecs.hm import run as hm
from codec_bridge.codecs.x265 import run as x265_loop
from codec_bridge.evaluation import check
from codec_bridge.evaluation.store import digest
from codec_bridge.evaluation.stream_cache import StreamCache
from codec_bridge.figures import metrics
from codec_bridge.figures.row import AFTER_DECODING, ALL_INTRA, INSIDE, Figures
from codec_bridge.filter import Filter
from codec_bridge.library.decider import Decider, Decision
from codec_bridge.library.engines import ENGINES
from codec_bridge.video.catalogue import Sequence as VideoSequence
from codec_bridge.video.catalogue import auto_frames
from codec_bridge.video.picture import Picture, Plane
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import UNIT_SCALE, ModelSet
from vrcnn_int.models import builtin_path, float_file
from vrcnn_int.network import POSITIONS, load_float_networks, macs_per_sample

SIDE_INFORMATION_BITS = 16
"""Bits a picture that a stream filtered after decoding pays for side information: its syntax is that of codecs with the filter inside."""

VARIANTS = {
    "x265": ("anchor", "none", "integer", "float", "choice"),
    "hm": ("anchor", "none", "integer", "float", "choice", "picture", "map"),
    "x265-loop": ("anchor", "none", "picture", "map", "after"),
}
"""Of each codec."""

DEFAULT_VARIANTS = {"x265": "anchor,none,integer", "hm": "anchor,map", "x265-loop": "anchor,map"}

BACKENDS = tuple(name for name in ENGINES if name != "oracle")
BY_BACKEND = ("integer",)
"""Variants whose pictures the backend filters; the others' filter stands in the codec, in torch, or in an encoder's decision."""

INTER_FRAMES = 16
"""Pictures a sequence where the rule by size, meant for all-intra coding, does not apply."""

FilterPlane = Callable[[NDArray[np.integer], int], NDArray[np.integer]]

STOP = Event()
"""Set where the evaluation in this process ends early: what is being computed raises Stopped at its next picture."""


class EvaluationError(VrcnnError):
    """The evaluation asked for cannot be run."""


class Stopped(Exception):
    """A job gave up because the evaluation ends."""


@dataclass(frozen=True)
class Settings:
    """What one codec in one configuration runs with.

    ``frames``: pictures a sequence, None for the rule by size (catalogue.auto_frames). ``model``: a model set file, None for the
    shipped one. ``check``: compare every filtered picture with the oracle, and with filtering a second decode unit by unit.
    ``configuration``, ``hm``, ``anchor_hm``: one of hm.CONFIGURATIONS, HM's folder, and that of an HM for the anchor (for codec hm).
    With x265-loop: one of its CONFIGURATIONS; ``codecs``: the folder of its programs. ``stream_cache``: folder that keeps the streams
    without a network, and gives them again. ``backend``: one of BACKENDS, for the variants BY_BACKEND.
    """

    codec: str = "x265"
    qps: tuple[int, ...] = (22, 27, 32, 37)
    variants: tuple[str, ...] = ("anchor", "none", "integer")
    frames: int | None = None
    model: Path | None = None
    kernel: str = "auto"
    position: str = "before_deblocking"
    preset: str = "medium"
    check: bool = False
    configuration: str = "ai"
    hm: Path | None = None
    anchor_hm: Path | None = None
    codecs: Path | None = None
    stream_cache: Path | None = None
    backend: str = "c"


def load_models(settings: Settings) -> ModelSet:
    """The model set of an evaluation."""
    return ModelSet.load(settings.model or builtin_path())


def open_filter(settings: Settings, models: ModelSet) -> Filter:
    """The C library, or the GPU, with the evaluation's model and kernel.

    Raises EvaluationError if it holds another set than the oracle, CudaError where there is no GPU to use.
    """
    filter_ = Filter(settings.model, settings.kernel, settings.backend)
    if filter_.identity != models.identity:
        raise EvaluationError(f"the C library filters with model set {filter_.identity}, the oracle with {models.identity}")
    return filter_


def float_filter(settings: Settings, models: ModelSet, index: int) -> FilterPlane:
    """The float network beside a model set, as a function of plane and bit depth. Imports torch.

    Raises EvaluationError if torch or the float networks are missing, or belong to another set.
    """
    path = float_file(settings.model or builtin_path())
    networks, meta = load_float_networks(path)
    if meta.get("set") != models.identity:
        raise EvaluationError(f"{path} belongs to model set {meta.get('set')}, not to {models.identity}")
    try:
        from vrcnn_int.training.module import filter_plane_float
    except ImportError:
        raise EvaluationError("the float variant needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    return lambda plane, bit_depth: filter_plane_float(networks[index], plane, bit_depth)


def frames_of(sequence: VideoSequence, settings: Settings) -> int:
    """How many pictures of a sequence are wanted; never more than the catalogue says that it has."""
    by_rule = auto_frames(sequence.width, sequence.height) if settings.configuration == "ai" else INTER_FRAMES
    wanted = settings.frames or by_rule
    return min(wanted, sequence.frames) if sequence.class_name and sequence.frames else wanted


def check_settings(settings: Settings) -> None:
    """Raise VrcnnError for settings that no evaluation can run with."""
    if settings.codec not in CODECS:
        raise CodecError(f"unknown codec {settings.codec!r}; known: {', '.join(CODECS)}")
    for variant in settings.variants:
        if variant not in VARIANTS[settings.codec]:
            raise EvaluationError(f"unknown variant {variant!r}; {settings.codec} has {', '.join(VARIANTS[settings.codec])}")
    for qp in settings.qps:
        if not 0 <= qp <= 51:
            raise EvaluationError(f"QP {qp} is not in 0..51")
    if len(set(settings.qps)) != len(settings.qps) or len(set(settings.variants)) != len(settings.variants):
        raise EvaluationError("a QP or a variant is given twice")
    if not settings.qps or not settings.variants:
        raise EvaluationError("at least one QP and one variant are needed")
    if settings.frames is not None and settings.frames < 1:
        raise EvaluationError("at least one picture a sequence is needed")
    if settings.position not in POSITIONS:
        raise EvaluationError(f"unknown position {settings.position!r}; there are {' and '.join(POSITIONS)}")
    if settings.preset not in x265.PRESETS:
        raise EvaluationError(f"unknown preset {settings.preset!r}; there are {', '.join(x265.PRESETS)}")
    if settings.codec == "x265-loop":
        x265_loop.find_tools(settings.codecs)
        if settings.configuration not in x265_loop.CONFIGURATIONS:
            raise EvaluationError(f"unknown configuration {settings.configuration!r}; there are {', '.join(x265_loop.CONFIGURATIONS)}")
    elif settings.codec in IN_LOOP:
        tools = hm.find_tools(settings.hm, settings.anchor_hm)
        tools.configuration(settings.configuration, 8)
    elif settings.configuration != "ai":
        raise EvaluationError(f"{settings.codec} is evaluated all-intra only: its pictures are filtered after decoding")
    offline = [variant for variant in settings.variants if variant in ALL_INTRA]
    if offline and settings.configuration != "ai":
        raise EvaluationError(f"variant {offline[0]} is for configuration ai only: its pictures are filtered after decoding")
    if settings.backend not in BACKENDS:
        raise EvaluationError(f"unknown backend {settings.backend!r}; there are {' and '.join(BACKENDS)}")
    if settings.backend != "c" and not set(settings.variants) & set(BY_BACKEND):
        raise EvaluationError(f"backend {settings.backend} is for variant {BY_BACKEND[0]}, which is not among {settings.codec}'s here")
    if settings.backend == "cuda" and settings.kernel != "auto":
        raise EvaluationError(f"backend cuda has no kernel {settings.kernel}: leave the kernel at auto, or use backend c")
    models = load_models(settings)
    if set(settings.variants) & {*INSIDE, *AFTER_DECODING}:
        for qp in settings.qps:
            models.index_for_qp(qp, settings.position)
        open_filter(settings, models).close()
    if "float" in settings.variants:
        float_filter(settings, models, 0)


HM_FILTERS_OFF = ("--LoopFilterDisable=1", "--SAO=0")
HM_SAO_OFF = ("--SAO=0",)
X265_FILTERS_OFF = ("--no-deblock", "--no-sao")
X265_SAO_OFF = ("--no-sao",)


def encoder_options(settings: Settings, variant: str) -> tuple[str, ...]:
    """What a variant's encoder is told beside what all are told. Variants with equal options share a stream."""
    position = POSITIONS.index(settings.position)
    off = HM_FILTERS_OFF if settings.codec == "hm" else X265_FILTERS_OFF
    if variant == "none" or (variant in ALL_INTRA and settings.position == "before_deblocking"):
        return off
    if variant not in INSIDE:
        return ()
    if settings.codec == "hm":
        return (f"--VRCNNPosition={position}", *decoder_options(settings), f"--VRCNNMap={int(variant == 'map')}")
    units = () if variant == "map" else ("--no-vrcnn-map",)
    return ("--vrcnn", "--vrcnn-position", str(position), *decoder_options(settings), *units)


def decoder_options(settings: Settings) -> tuple[str, ...]:
    """What a decoder with the filter inside is told."""
    if settings.codec == "hm":
        return (f"--VRCNNKernel={settings.kernel}", *([f"--VRCNNModel={settings.model}"] if settings.model else []))
    return ("--vrcnn-kernel", settings.kernel, *(["--vrcnn-model", str(settings.model)] if settings.model else []))


def encoder_arguments(settings: Settings, variant: str, qp: int, like: Format, pictures: int, rate: Fraction) -> list[str]:
    """Everything the encoder of a variant is told but the names of files. ``like``: size and format of what is coded."""
    options = encoder_options(settings, variant)
    if settings.codec == "x265":
        return ["preset", settings.preset, "x265-params", x265.x265_params(qp, filters=not options)]
    if settings.codec == "hm":
        return hm.arguments(like, pictures, qp, rate, variant in INSIDE, options)
    return x265_loop.arguments(like, pictures, qp, settings.configuration, settings.preset, rate, options)


@dataclass(frozen=True)
class Verified:
    """A coded stream that passed the gates. pictures: the decoder's, uncropped where they are to be filtered. side: in decoding order."""

    encoded: Encoded
    pictures: list[Picture]
    decode_seconds: float
    decode_cpu_seconds: float | None = None
    encode_cpu_seconds: float | None = None
    filter_seconds: float = 0.0
    decode_filter_seconds: float = 0.0
    kernel: str | None = None
    side: list[Sideinfo | None] = field(default_factory=list)
    side_bits: int = 0


@dataclass(frozen=True)
class Measured:
    """The figures of a row, the stream, the pictures that were measured (cropped), and the side information that made them."""

    figures: Figures
    stream: bytes
    pictures: list[Picture]
    side: list[Sideinfo | None]


@dataclass(frozen=True)
class Filtered:
    """What networks outside the loop made of a decoded stream. side_bits: of the side information; more_bits: of pictures that come from
    another stream, beyond those of the one that was filtered."""

    pictures: list[Picture]
    side: list[Sideinfo | None]
    side_bits: int
    kernel: str | None
    more_bits: int = 0


class Work:
    """One sequence at one QP with one codec in one configuration. Each stream is coded when a variant first wants it, and once.

    originals: cropped. say: called with a word at each step. determined: what a stream without a network depends on beside the encoder's
    options, for the cache. ``spent``: seconds in encoder, decoder, filter, metrics and checks.
    Everything raises VrcnnError where a gate does not open, and Stopped soon after STOP is set.
    """

    def __init__(
        self,
        originals: list[Picture],
        qp: int,
        rate: Fraction,
        settings: Settings,
        models: ModelSet,
        say: Callable[[str], None],
        determined: Mapping[str, Any],
    ) -> None:
        self.originals, self.qp, self.rate, self.settings, self.models, self.say = originals, qp, rate, settings, models, say
        self.determined = determined
        self.cache = StreamCache(settings.stream_cache) if settings.stream_cache else None
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._streams: dict[tuple[str, ...], Any] = {}
        self._verified: dict[tuple[str, ...], Verified | VrcnnError] = {}

    @contextmanager
    def _step(self, word: str) -> Iterator[None]:
        """Time what happens inside; the word is the key of ``spent``."""
        if STOP.is_set():
            raise Stopped(word)
        self.say(word)
        start = time.perf_counter()
        yield
        self.spent[word] += time.perf_counter() - start

    def measure(self, variant: str) -> Measured:
        """Code what is needed for a variant, and measure it."""
        options = encoder_options(self.settings, variant)
        found = self._gated(options, variant in INSIDE)
        pictures, side, side_bits, bits = found.pictures, found.side, found.side_bits, found.encoded.bits
        filter_seconds, kernel = found.filter_seconds, found.kernel
        if variant in AFTER_DECODING:
            found = self._with_uncropped(found)
            before = self.spent["filter"]
            with self._step("filter"):
                filtered: Filtered = getattr(self, f"_{variant}")(found)
            pictures, side, side_bits, kernel = filtered.pictures, filtered.side, filtered.side_bits, filtered.kernel
            bits += side_bits + filtered.more_bits
            filter_seconds = self.spent["filter"] - before
        is_network = variant in (*INSIDE, *AFTER_DECODING)
        samples = 0
        if self.settings.check and is_network and variant not in ("float", "after"):
            with self._step("check"):
                if variant == "integer":
                    samples = self._check_offline(found, pictures)
                elif variant == "choice":
                    samples = self._check_choice(found, pictures, side)
                else:
                    samples = self._check_inside(found, options)
        start = self.spent["metrics"]
        with self._step("metrics"):
            pictures = [picture.cropped() for picture in pictures]
            quality = measure(list(_watch(pictures)), self.originals)
        share, kmac = complexity(side, self.models, self.originals[0].width, self.originals[0].height)
        count = len(pictures)
        command = found.encoded.command
        figures = Figures(
            bits=bits,
            side_information_bits=side_bits,
            kbps=float(bits * self.rate / count / 1000),
            **quality,
            encode_seconds=found.encoded.seconds,
            encode_cpu_seconds=found.encode_cpu_seconds,
            decode_seconds=found.decode_seconds,
            decode_cpu_seconds=found.decode_cpu_seconds,
            filter_seconds=filter_seconds,
            decode_filter_seconds=found.decode_filter_seconds,
            metric_seconds=self.spent["metrics"] - start,
            filtered_share=share,
            kmac_per_sample=kmac,
            model=self.models.identity if is_network else None,
            kernel=kernel,
            encoder=found.encoded.encoder,
            command=command.replace(str(self.settings.model), self.models.identity) if self.settings.model else command,
            stream_md5=hashlib.md5(found.encoded.data).hexdigest(),
            checked_pictures=count if samples else 0,
            checked_samples=samples,
        )
        return Measured(figures, found.encoded.data, pictures, side)

    # ---- streams ----

    def _gated(self, options: tuple[str, ...], network: bool) -> Verified:
        """A stream that passed the gates, coded when it is first wanted. What did not pass raises the same error every time."""
        if options not in self._verified:
            try:
                found: Verified | None = None if network else self._kept(options)
                if found is None:
                    found = getattr(self, f"_verify_{self.settings.codec.replace('-', '_')}")(options, network)
                    if self.cache and not network:
                        self.cache.save(self._key(options), found.encoded, found.encode_cpu_seconds)
                self._verified[options] = found
            except VrcnnError as error:
                self._verified[options] = error
        result = self._verified[options]
        if isinstance(result, VrcnnError):
            raise result
        return result

    def _key(self, options: tuple[str, ...]) -> str:
        return digest({**self.determined, "options": options})

    def _kept(self, options: tuple[str, ...]) -> Verified | None:
        """A stream of the cache, decoded, every picture hash verified."""
        found = self.cache.load(self._key(options)) if self.cache else None
        if not found:
            return None
        before = self.spent["decode"]
        pictures = self._decode_x265(found[0].data)
        cropped = [picture.cropped() for picture in pictures] if self.settings.codec == "hm" else pictures
        seconds = self.spent["decode"] - before
        return Verified(found[0], cropped, seconds, encode_cpu_seconds=found[1].cpu_seconds, side=hm.side_information(found[0].data))

    def _with_uncropped(self, found: Verified) -> Verified:
        """With the pictures as a filter in the loop has them: HM's decoder puts them out cropped. Raises check.Inconsistency."""
        if self.settings.codec != "hm":
            return found
        pictures = self._decode_x265(found.encoded.data)
        for number, sides in enumerate(zip(pictures, found.pictures, strict=True)):
            check.compare_sides(sides[0].cropped(), sides[1], f"picture {number}", "HM's decoder")
        return replace(found, pictures=pictures)

    def _coded(self, options: tuple[str, ...], network: bool = False) -> Any:
        """Encoded, hm.Coded or x265_loop.Coded, by the codec."""
        if options not in self._streams:
            self.say("encode")
            settings = self.settings
            if settings.codec == "x265":
                coded: Encoded = x265.encode(_watch(self.originals), self.qp, filters=not options, rate=self.rate, preset=settings.preset)
            elif settings.codec == "hm":
                tools = hm.find_tools(settings.hm, settings.anchor_hm)
                coded = hm.encode(
                    tools, self.originals, self.qp, configuration=settings.configuration, rate=self.rate, network=network, options=options
                )
            else:
                coded = x265_loop.encode(
                    x265_loop.find_tools(settings.codecs), self.originals, self.qp, configuration=settings.configuration,
                    preset=settings.preset, rate=self.rate, options=options,
                )  # fmt: skip
            self.spent["encode"] += coded.seconds
            self._streams[options] = coded
        if STOP.is_set():
            raise Stopped
        return self._streams[options]

    def _decode_x265(self, data: bytes) -> list[Picture]:
        with self._step("decode"):
            return list(_watch(x265.decode(data, cropping=False, pictures=len(self.originals))))

    def _verify_x265(self, options: tuple[str, ...], _network: bool) -> Verified:
        encoded = self._coded(options)
        before = self.spent["decode"]
        pictures = self._decode_x265(encoded.data)
        return Verified(encoded, pictures, self.spent["decode"] - before)

    def _verify_hm(self, options: tuple[str, ...], network: bool) -> Verified:
        coded = self._coded(options, network)
        self.say("decode")
        tools = hm.find_tools(self.settings.hm, self.settings.anchor_hm)
        decoded = hm.decode(tools, coded.data, self.originals[0], decoder_options(self.settings))
        self.spent["decode"] += decoded.seconds
        check.compare_coded(coded.recon, decoded.pictures, decoded.verdicts)
        side = hm.side_information(coded.data)
        if network:
            check.compare_decisions([picture.decided for picture in coded.log], side)
            check.compare_model(side, self.models.identity)
        return Verified(
            coded, decoded.pictures, decoded.seconds, decoded.cpu_seconds, coded.cpu_seconds,
            filter_seconds=sum(picture.filter_seconds for picture in coded.log),
            kernel=coded.kernel, side=side, side_bits=hm.side_information_bits(coded.data),
        )  # fmt: skip

    def _verify_x265_loop(self, options: tuple[str, ...], network: bool) -> Verified:
        coded = self._coded(options)
        self.say("decode")
        tools = x265_loop.find_tools(self.settings.codecs)
        decoded = x265_loop.decode(tools, coded.data, self.originals[0], decoder_options(self.settings))
        self.spent["decode"] += decoded.seconds
        # The program ends with an error at the first hash that is wrong.
        check.compare_coded(coded.recon, decoded.pictures, [(n, "OK") for n in range(decoded.count)])
        side = hm.side_information(coded.data)
        if network:
            check.compare_modes(coded.decided, side)
            check.compare_model(side, self.models.identity)
        return Verified(
            coded, decoded.pictures, decoded.seconds, filter_seconds=coded.filter_seconds,
            decode_filter_seconds=decoded.filter_seconds, kernel=coded.kernel, side=side, side_bits=hm.side_information_bits(coded.data),
        )  # fmt: skip

    # ---- networks outside the loop ----

    @property
    def _index(self) -> int:
        return self.models.index_for_qp(self.qp, self.settings.position)

    def _everywhere(self, pictures: list[Picture], kernel: str | None) -> Filtered:
        side = Sideinfo(None, "all", self.settings.position, (self._index,), UNIT_SCALE)
        return Filtered(pictures, [side] * len(pictures), SIDE_INFORMATION_BITS * len(pictures), kernel)

    def _integer(self, found: Verified) -> Filtered:
        with open_filter(self.settings, self.models) as filter_:
            pictures = [filter_.filter_picture(picture, index=self._index) for picture in _watch(found.pictures)]
            return self._everywhere(pictures, filter_.kernel)

    def _float(self, found: Verified) -> Filtered:
        run = float_filter(self.settings, self.models, self._index)
        return self._everywhere([p.with_luma(run(p.planes[0], p.bit_depth)) for p in _watch(found.pictures)], None)

    def _after(self, found: Verified) -> Filtered:
        """The decision is the codec's, except that input and background of the networks are the decoded picture."""
        pictures: list[Picture] = []
        side: list[Sideinfo | None] = []
        bits = 0
        with self._decider(found.pictures[0]) as decider:
            for picture, original in zip(_watch(found.pictures), self.originals, strict=True):
                truth = original.planes[0]
                decision = self._decide(decider, truth, picture, squared_error(picture, truth))
                bits += 8 * len(decision.data)
                side.append(parse(decision.data, False, picture.width, picture.height))
                pictures.append(picture if decision.luma is None else picture.with_luma(decision.luma))
        return Filtered(pictures, side, bits, None)

    def _choice(self, found: Verified) -> Filtered:
        """The decision is the codec's, except that units without a network keep the samples without filters."""
        anchor = self._with_uncropped(self._gated((), False))
        pictures: list[Picture] = []
        side: list[Sideinfo | None] = []
        side_bits = more_bits = 0
        sizes = (nal.picture_bits(verified.encoded.data) for verified in (anchor, found))
        coded = zip(*sizes, (segments[0].is_irap for segments in slices.pictures(found.encoded.data)), strict=True)
        ways = zip(_watch(found.pictures), anchor.pictures, self.originals, coded, strict=True)
        with self._decider(found.pictures[0]) as decider:
            for picture, ordinary, original, (with_filters, without, is_irap) in ways:
                truth = extended(original.planes[0], picture.width, picture.height)
                more = with_filters - without
                cost = squared_error(ordinary, truth) + self._lambda(picture.bit_depth) * more
                decision = self._decide(decider, truth, picture, cost, is_irap)
                size = len(decision.data)
                side_bits += 8 * size + 2 * (size + 1).bit_length() - 1  # with its length, ue(v), in every slice header
                more_bits += more if decision.luma is None else 0
                side.append(parse(decision.data, is_irap, picture.width, picture.height))
                pictures.append(ordinary if decision.luma is None else picture.with_luma(decision.luma))
        return Filtered(pictures, side, side_bits, None, more_bits)

    def _decider(self, like: Picture) -> Decider:
        return Decider(like.width, like.height, (self.settings.model or builtin_path()).read_bytes())

    def _decide(self, decider: Decider, truth: Plane, picture: Picture, cost: float, is_irap: bool = False) -> Decision:
        depth, luma = picture.bit_depth, picture.planes[0]
        return decider.decide(
            truth, luma, luma, depth, qp=self.qp, lam=self._lambda(depth), ordinary_cost=cost,
            position=self.settings.position, is_irap=is_irap,
        )  # fmt: skip

    def _lambda(self, bit_depth: int) -> float:
        """Squared error that a bit is worth to the encoder: HM's for intra pictures, x265's."""
        lam = 0.57 * 2 ** ((self.qp - 12) / 3) if self.settings.codec == "hm" else 0.038 * math.exp(0.234 * self.qp)
        return float(lam * 4 ** (bit_depth - 8))

    # ---- checks against the oracle, on request: luma samples compared ----

    def _check_offline(self, found: Verified, pictures: list[Picture]) -> int:
        index = self._index
        again = x265.decode(found.encoded.data, cropping=False, pictures=len(pictures))
        with open_filter(self.settings, self.models) as filter_:
            sides = zip(_watch(found.pictures), pictures, again, strict=True)
            return sum(
                check.check_picture(filter_, self.models.networks[index], index, *three, f"picture {number}")
                for number, three in enumerate(sides)
            )

    def _check_choice(self, found: Verified, pictures: list[Picture], side: list[Sideinfo | None]) -> int:
        anchor = self._with_uncropped(self._gated((), False))
        with Filter(self.models, backend="oracle") as oracle:
            ways = zip(pictures, side, _watch(found.pictures), anchor.pictures, strict=True)
            for number, (picture, information, unfiltered, ordinary) in enumerate(ways):
                source = unfiltered if self.settings.position == "before_deblocking" else ordinary
                expected = check.replay(oracle, information, source, source, ordinary)
                luma, again = (Picture(side.planes[:1], side.bit_depth, "400") for side in (picture, expected))  # chroma is not replayed
                check.compare_sides(luma, again, f"picture {number}", "offline replay")
        return sum(picture.planes[0].size for picture in pictures)

    def _check_inside(self, found: Verified, options: tuple[str, ...]) -> int:
        """All-intra, the pictures are made again offline: the oracle filters the reconstructions of streams that have no network."""
        if self.settings.configuration == "ai":
            coded = found.encoded
            if self.settings.codec == "hm":
                ways = [self._decode_x265(self._coded(some).data) for some in (HM_FILTERS_OFF, HM_SAO_OFF, ())]
            else:
                # x265's SAO changes what it codes, through the state of the arithmetic coder: streams that shall be alike have none.
                coded = self._coded((*options, *X265_SAO_OFF))
                ways = [self._decode_x265(self._coded(some).data) for some in (X265_FILTERS_OFF, X265_SAO_OFF)]
                ways.append(ways[1])
            recon = coded.recon  # type: ignore[attr-defined]
            with Filter(self.models, backend="oracle") as oracle:
                sides = zip(hm.side_information(coded.data), _watch(recon), *ways, strict=True)
                for number, (information, picture, *recons) in enumerate(sides):
                    expected = check.replay(oracle, information, *recons).cropped()
                    check.compare_sides(picture, expected, f"picture {number}", "offline replay")
        return sum(picture.planes[0].size for picture in found.pictures)


def squared_error(picture: Picture, truth: Plane) -> float:
    """Of the luma samples."""
    return float(np.square(picture.planes[0].astype(np.int64) - truth).sum())


def extended(plane: Plane, width: int, height: int) -> Plane:
    """A plane of the size that is coded, the last samples repeated, as encoders do it."""
    return np.pad(plane, ((0, height - plane.shape[0]), (0, width - plane.shape[1])), mode="edge")


def _watch(pictures: Iterable[Picture]) -> Iterator[Picture]:
    for picture in pictures:
        if STOP.is_set():
            raise Stopped
        yield picture


def measure(pictures: Sequence[Picture], originals: Sequence[Picture]) -> dict[str, Any]:
    """Means over cropped pictures of PSNR (Y, U, V and 6:1:1; None without chroma) and SSIM of luma.

    A plane that equals its original in any picture has no PSNR: the mean is metrics.IDENTICAL.
    Raises EvaluationError if there are not as many pictures as originals.
    """
    if len(pictures) != len(originals):
        raise EvaluationError(f"{len(pictures)} pictures decoded, {len(originals)} coded")
    psnrs = list(zip(*(metrics.picture_psnr(*pair) for pair in zip(pictures, originals, strict=True)), strict=True))
    means = [metrics.IDENTICAL if metrics.IDENTICAL in values else float(np.mean(values)) for values in psnrs]
    y, u, v = [*means, None, None][:3]
    yuv = None if y is None or u is None or v is None else metrics.IDENTICAL if metrics.IDENTICAL in means else (6 * y + u + v) / 8
    ssims = [metrics.ssim(a.planes[0], b.planes[0], b.bit_depth) for a, b in zip(pictures, originals, strict=True)]
    return {"psnr_y": y, "psnr_u": u, "psnr_v": v, "psnr_yuv": yuv, "ssim_y": float(np.mean(ssims))}


def complexity(side: Sequence[Sideinfo | None], models: ModelSet, width: int, height: int) -> tuple[float, float]:
    """Share of the luma samples that networks filtered, and their thousands of multiplications a luma sample of all."""
    costs = [macs_per_sample(network.architecture) / 1000 for network in models.networks]
    share = kmac = 0.0
    for information in side:
        if information is None or information.mode == "off":
            continue
        parts = np.bincount(information.choices(width, height).ravel(), minlength=len(information.indices) + 1) / (width * height)
        share += float(parts[1:].sum())
        kmac += sum(float(part) * costs[index] for part, index in zip(parts[1:], information.indices, strict=True))
    return share / max(1, len(side)), kmac / max(1, len(side))


def check_x265_loop_stream(path: Path, settings: Settings) -> tuple[int, int]:
    """Check a stream that lies in a file with the hooked libde265, every picture hash; returns pictures, and how many are filtered.

    Raises CodecError for a damaged stream or a wrong hash, SideinfoError for such side information.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from None
    side = hm.side_information(data)
    model = ["--vrcnn-kernel", settings.kernel, *(["--vrcnn-model", str(settings.model)] if settings.model else [])]
    decoded = x265_loop.decode(x265_loop.find_tools(settings.codecs), data, options=model)
    filtered = sum(information is not None and information.mode != "off" for information in side)
    if decoded.filtered != filtered:
        raise check.Inconsistency(f"the stream says that {filtered} pictures are filtered, the decoder filtered {decoded.filtered}")
    return decoded.count, filtered


def check_hm_stream(path: Path, settings: Settings) -> tuple[int, int]:
    """Check a stream that lies in a file with HM's decoder: every hash is there and OK; returns pictures, and how many are filtered.

    Raises CodecError for a damaged stream, SideinfoError for such side information, check.Inconsistency for a wrong hash.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from None
    side = hm.side_information(data)
    model = [f"--VRCNNModel={settings.model}"] if settings.model else []
    decoded = hm.decode(hm.find_tools(settings.hm), data, options=[f"--VRCNNKernel={settings.kernel}", *model])
    wrong = [poc for poc, verdict in decoded.verdicts if verdict != "OK"]
    if wrong:
        raise check.Inconsistency(f"{len(wrong)} of {len(decoded.verdicts)} picture hashes are missing or wrong, first POC {wrong[0]}")
    return len(decoded.verdicts), sum(information is not None and information.mode != "off" for information in side)


def check_stream(path: Path, qp: int, settings: Settings, models: ModelSet) -> tuple[int, int, str]:
    """Check an HEVC stream that lies in a file, with the network for ``qp``; returns pictures and luma samples compared, and the kernel.

    Raises CodecError for a damaged stream, check.Inconsistency if a picture differs.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from None
    codec = get_codec(settings.codec)
    index = models.index_for_qp(qp, settings.position)
    pictures = samples = 0
    with open_filter(settings, models) as filter_:
        sides = zip(codec.decode(data, cropping=False), codec.decode(data, cropping=False), strict=True)
        for recon, again in islice(sides, settings.frames):
            filtered = filter_.filter_picture(recon, index=index)
            name = f"{path}, network {index}, picture {pictures}"
            samples += check.check_picture(filter_, models.networks[index], index, recon, filtered, again, name)
            pictures += 1
        return pictures, samples, filter_.kernel
