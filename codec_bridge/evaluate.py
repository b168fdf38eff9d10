"""Sequences x QPs x variants -> result rows: code, decode, filter, measure; on request every picture is checked bit for bit."""

import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from codec_bridge import check, metrics
from codec_bridge.catalogue import Sequence as VideoSequence
from codec_bridge.catalogue import auto_frames
from codec_bridge.codecs import CODECS, IN_LOOP, CodecError, get_codec, hm, x265_loop
from codec_bridge.codecs.x265 import decode
from codec_bridge.decision import Decider
from codec_bridge.filter import Filter
from codec_bridge.provenance import git_revision
from codec_bridge.video import Picture, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import POSITIONS, load_float_networks

SIDE_INFORMATION_BITS = 16
"""Bits a picture that a filtered stream pays for side information, until its syntax exists."""

VARIANTS = {
    "x265": ("anchor", "none", "integer", "float"),
    "hm": ("anchor", "none", "picture", "map"),
    "x265-loop": ("anchor", "none", "picture", "map", "after"),
}
"""Of each codec. anchor: deblocking and SAO; none: both off. Offline, integer and float are the networks on every picture. In the loop
the encoder decides: picture, for whole pictures; map, for units of a picture. after: the same decision about the same networks on the
anchor's decoded pictures, outside the loop, its side information counted."""

DEFAULT_VARIANTS = {"x265": "anchor,none,integer", "hm": "anchor,map", "x265-loop": "anchor,map"}

INTER_FRAMES = 16
"""Pictures a sequence where the rule by size, meant for all-intra coding, does not apply."""

FilterPlane = Callable[[NDArray[np.integer], int], NDArray[np.integer]]


class EvaluationError(VrcnnError):
    """The evaluation asked for cannot be run."""


class Stopped(Exception):
    """A job gave up because the evaluation ends."""


@dataclass(frozen=True)
class Settings:
    """What one evaluation runs with.

    ``frames``: pictures a sequence, None for the rule by size (catalogue.auto_frames). ``model``: a model set file, None for the
    shipped one. ``check``: compare every filtered picture with the oracle, and with filtering a second decode unit by unit.
    ``configuration``, ``hm``, ``anchor_hm``: one of hm.CONFIGURATIONS, HM's folder, and that of an HM for the anchor (for codec hm).
    With x265-loop: one of its CONFIGURATIONS; ``codecs``: the folder of its programs.
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


@dataclass(frozen=True)
class Outcome:
    """Rows of one sequence at one QP, the encoder's name and settings, what was checked, and the MD5 of the pictures' samples."""

    rows: list[dict[str, Any]]
    encoder: str
    commands: dict[str, str]
    checked_pictures: int
    checked_samples: int
    originals_md5: str


def load_models(settings: Settings) -> ModelSet:
    """The model set of an evaluation."""
    return ModelSet.load(settings.model or builtin_path())


def open_filter(settings: Settings, models: ModelSet) -> Filter:
    """The C library with the evaluation's model and kernel. Raises EvaluationError if it holds another set than the oracle."""
    filter_ = Filter(settings.model, kernel=settings.kernel)
    if filter_.identity != models.identity:
        raise EvaluationError(f"the C library filters with model set {filter_.identity}, the oracle with {models.identity}")
    return filter_


def float_filter(settings: Settings, models: ModelSet, index: int) -> FilterPlane:
    """The float network beside a model set, as a function of plane and bit depth. Imports torch.

    Raises EvaluationError if torch or the float networks are missing, or belong to another set.
    """
    path = float_path(settings.model or builtin_path())
    networks, meta = load_float_networks(path)
    if meta.get("set") != models.identity:
        raise EvaluationError(f"{path} belongs to model set {meta.get('set')}, not to {models.identity}")
    try:
        from vrcnn_int.module import filter_plane_float
    except ImportError:
        raise EvaluationError("the float variant needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    return lambda plane, bit_depth: filter_plane_float(networks[index], plane, bit_depth)


def measure(pictures: Sequence[Picture], originals: Sequence[Picture]) -> dict[str, Any]:
    """Means over the pictures of PSNR (Y, U, V; None without chroma) and SSIM of luma, inside the conformance window."""
    if len(pictures) != len(originals):
        raise EvaluationError(f"{len(pictures)} pictures decoded, {len(originals)} coded")
    pictures, originals = [picture.cropped() for picture in pictures], [picture.cropped() for picture in originals]
    psnrs = [metrics.picture_psnr(picture, original) for picture, original in zip(pictures, originals, strict=True)]
    ssims = [
        metrics.ssim(picture.planes[0], original.planes[0], original.bit_depth)
        for picture, original in zip(pictures, originals, strict=True)
    ]
    means: list[float | None] = [float(np.mean(values)) for values in zip(*psnrs, strict=True)]
    y, u, v = [*means, None, None][:3]
    return {"psnr_y": y, "psnr_u": u, "psnr_v": v, "ssim_y": float(np.mean(ssims))}


def frames_of(sequence: VideoSequence, settings: Settings) -> int:
    """How many pictures of a sequence are coded."""
    by_rule = auto_frames(sequence.width, sequence.height) if settings.configuration == "ai" else INTER_FRAMES
    return settings.frames or by_rule


def row_of(sequence: VideoSequence, qp: int, variant: str, settings: Settings, pictures: int, bits: int, **more: Any) -> dict[str, Any]:
    """What a result row has whatever the codec, and ``more``."""
    rate = sequence.rate or Fraction(25)
    return {
        "sequence": sequence.name,
        "width": sequence.width,
        "height": sequence.height,
        "pictures": pictures,
        "qp": qp,
        "variant": variant,
        "codec": settings.codec,
        "configuration": settings.configuration,
        "bits": bits,
        "kbps": float(bits * rate / pictures / 1000),
        "git_revision": git_revision(),
        **more,
    }


def run(sequence: VideoSequence, qp: int, settings: Settings, models: ModelSet, stop: Event) -> Outcome:
    """Code one sequence at one QP in every variant, by the codec."""
    in_loop = {"hm": run_in_loop, "x265-loop": run_x265_loop}
    return in_loop.get(settings.codec, run_offline)(sequence, qp, settings, models, stop)


def run_offline(sequence: VideoSequence, qp: int, settings: Settings, models: ModelSet, stop: Event) -> Outcome:
    """Code one sequence at one QP in every variant, all-intra, and filter what was decoded.

    The anchor has deblocking and SAO on, none has both off. A network reads the samples before deblocking (the stream with both
    off) or, at position after_sao, the anchor's; it filters uncropped, as a codec would, and is measured cropped.
    Raises VrcnnError for whatever is unusable, check.Inconsistency if a checked picture differs, Stopped soon after ``stop`` is set.
    """
    codec = get_codec(settings.codec)
    originals = list(sequence.open(frames_of(sequence, settings)))
    rate = sequence.rate or Fraction(25)
    index = models.index_for_qp(qp, settings.position)
    rows: list[dict[str, Any]] = []
    commands: dict[str, str] = {}
    checked_pictures = checked_samples = 0
    streams: dict[bool, tuple[Any, list[Picture]]] = {}

    def coded(filters: bool) -> tuple[Any, list[Picture]]:
        if filters not in streams:
            encoded = codec.encode(originals, qp, filters=filters, rate=rate, preset=settings.preset)
            streams[filters] = encoded, list(codec.decode(encoded.data, cropping=False, pictures=len(originals)))
        return streams[filters]

    for variant in settings.variants:
        if stop.is_set():
            raise Stopped(sequence.name)
        is_network = variant in ("integer", "float")
        filters = variant == "anchor" or (is_network and settings.position == "after_sao")
        encoded, recon = coded(filters)
        commands["filters on" if filters else "filters off"] = encoded.command
        side_bits, kernel, pictures, started = 0, None, recon, time.perf_counter()
        if variant == "integer":
            with open_filter(settings, models) as filter_:
                kernel = filter_.kernel
                pictures = [filter_.filter_picture(picture, index=index) for picture in recon]
                filter_seconds = time.perf_counter() - started
                if settings.check:
                    again = codec.decode(encoded.data, cropping=False, pictures=len(originals))
                    for number, sides in enumerate(zip(recon, pictures, again, strict=True)):
                        if stop.is_set():
                            raise Stopped(sequence.name)
                        name = f"picture {number}"
                        checked_samples += check.check_picture(filter_, models.networks[index], index, *sides, name)
                        checked_pictures += 1
        elif variant == "float":
            run_float = float_filter(settings, models, index)
            pictures = [picture.with_luma(run_float(picture.planes[0], picture.bit_depth)) for picture in recon]
            filter_seconds = time.perf_counter() - started
        else:
            filter_seconds = 0.0
        if is_network:
            side_bits = SIDE_INFORMATION_BITS * len(pictures)
        rows.append(
            row_of(
                sequence,
                qp,
                variant,
                settings,
                len(pictures),
                encoded.bits + side_bits,
                side_information_bits=side_bits,
                **measure(pictures, originals),
                encode_seconds=encoded.seconds,
                filter_seconds=filter_seconds,
                model=models.identity if is_network else None,
                kernel=kernel,
                encoder=encoded.encoder,
            )
        )
    return Outcome(rows, encoded.encoder, commands, checked_pictures, checked_samples, samples_md5(originals))


FILTERS_OFF = ("--LoopFilterDisable=1", "--SAO=0")
SAO_OFF = ("--SAO=0",)


def run_in_loop(sequence: VideoSequence, qp: int, settings: Settings, models: ModelSet, stop: Event) -> Outcome:
    """Code one sequence at one QP in every variant with HM, the filter inside; every stream is decoded and compared with its encoder.

    With settings.check the side information is read without the C library and compared with what the encoder printed, and all-intra
    pictures are made again offline: the oracle filters the reconstruction of streams that have no network.
    Raises as run_offline does.
    """
    tools = hm.find_tools(settings.hm, settings.anchor_hm)
    originals = [picture.cropped() for picture in sequence.open(frames_of(sequence, settings))]
    rate = sequence.rate or Fraction(25)
    decoder_options = [f"--VRCNNKernel={settings.kernel}", *([f"--VRCNNModel={settings.model}"] if settings.model else [])]
    options = [f"--VRCNNPosition={POSITIONS.index(settings.position)}", *decoder_options]
    kinds: dict[str, tuple[bool, tuple[str, ...]]] = {
        "anchor": (False, ()),
        "none": (False, FILTERS_OFF),
        "picture": (True, (*options, "--VRCNNMap=0")),
        "map": (True, (*options, "--VRCNNMap=1")),
    }
    rows: list[dict[str, Any]] = []
    commands: dict[str, str] = {}
    checked_pictures = checked_samples = 0

    def coded(network: bool, more: tuple[str, ...]) -> hm.Coded:
        if stop.is_set():
            raise Stopped(sequence.name)
        return hm.encode(tools, originals, qp, configuration=settings.configuration, rate=rate, network=network, options=more)

    for variant in settings.variants:
        is_network, more = kinds[variant]
        encoded = coded(is_network, more)
        commands[variant] = encoded.command
        if stop.is_set():
            raise Stopped(sequence.name)
        decoded = hm.decode(tools, encoded.data, originals[0], decoder_options)
        samples = check.compare_coded(encoded.recon, decoded.pictures, decoded.verdicts)
        if settings.check and is_network:
            side = hm.side_information(encoded.data)
            check.compare_decisions([picture.decided for picture in encoded.log], side)
            if settings.configuration == "ai":
                fewer: tuple[tuple[str, ...], ...] = (FILTERS_OFF, SAO_OFF, ())
                streams = [coded(False, words).data for words in fewer]
                ways = [decode(data, pictures=len(originals)) for data in streams]
                with Filter(models, backend="oracle") as oracle:
                    for number, (information, *recons) in enumerate(zip(side, *ways, strict=True)):
                        if stop.is_set():
                            raise Stopped(sequence.name)
                        expected = check.replay(oracle, information, *recons).cropped()
                        check.compare_sides(encoded.recon[number], expected, f"picture {number}", "offline replay")
            checked_pictures += len(side)
            checked_samples += samples
        rows.append(
            row_of(
                sequence,
                qp,
                variant,
                settings,
                len(originals),
                encoded.bits,
                side_information_bits=hm.side_information_bits(encoded.data),
                **measure(encoded.recon, originals),
                encode_seconds=encoded.seconds,
                encode_cpu_seconds=encoded.cpu_seconds,
                decode_seconds=decoded.seconds,
                decode_cpu_seconds=decoded.cpu_seconds,
                filter_seconds=sum(picture.filter_seconds for picture in encoded.log),
                filtered_pictures=sum(picture.decided in ("all", "map") for picture in encoded.log),
                model=models.identity if is_network else None,
                kernel=encoded.kernel,
                encoder=encoded.encoder,
            )
        )
    return Outcome(rows, encoded.encoder, commands, checked_pictures, checked_samples, samples_md5(originals))


X265_FILTERS_OFF = ("--no-deblock", "--no-sao")
X265_SAO_OFF = ("--no-sao",)


def run_x265_loop(sequence: VideoSequence, qp: int, settings: Settings, models: ModelSet, stop: Event) -> Outcome:
    """Code one sequence at one QP in every variant with x265 and decode it with libde265, both with the filter inside.

    Every stream is decoded and compared with its encoder's reconstruction. With settings.check the side information is read without
    the C library and compared with what the encoder printed; all-intra, the sequence is coded once more without SAO, and its pictures
    are made again offline by the oracle. Raises as run_offline does.
    """
    tools = x265_loop.find_tools(settings.codecs)
    originals = [picture.cropped() for picture in sequence.open(frames_of(sequence, settings))]
    rate = sequence.rate or Fraction(25)
    model = ["--vrcnn-kernel", settings.kernel, *(["--vrcnn-model", str(settings.model)] if settings.model else [])]
    network = ["--vrcnn", "--vrcnn-position", str(POSITIONS.index(settings.position)), *model]
    kinds = {"anchor": [], "none": [*X265_FILTERS_OFF], "picture": [*network, "--no-vrcnn-map"], "map": network, "after": []}
    rows: list[dict[str, Any]] = []
    commands: dict[str, str] = {}
    checked_pictures = checked_samples = 0
    streams: dict[tuple[str, ...], x265_loop.Coded] = {}

    def coded(more: Sequence[str]) -> x265_loop.Coded:
        if stop.is_set():
            raise Stopped(sequence.name)
        if tuple(more) not in streams:
            streams[tuple(more)] = x265_loop.encode(
                tools, originals, qp, configuration=settings.configuration, preset=settings.preset, rate=rate, options=more
            )
        return streams[tuple(more)]

    for variant in settings.variants:
        is_network = variant in ("picture", "map")
        encoded = coded(kinds[variant])
        commands[variant] = encoded.command
        if stop.is_set():
            raise Stopped(sequence.name)
        decoded = x265_loop.decode(tools, encoded.data, originals[0], model)
        samples = check.compare_coded(encoded.recon, decoded.pictures, [(n, "OK") for n in range(decoded.count)])
        pictures, bits, filter_seconds = encoded.recon, encoded.bits, encoded.filter_seconds
        side_bits = hm.side_information_bits(encoded.data)
        filtered = sum(encoded.decided[mode] for mode in ("all", "map"))
        if is_network and settings.check:
            side = hm.side_information(encoded.data)
            check.compare_modes(encoded.decided, side)
            if settings.configuration == "ai":
                # x265's SAO changes what it codes, through the state of the arithmetic coder: streams that shall be alike have none.
                alone = coded([*kinds[variant], *X265_SAO_OFF])
                ways = [list(decode(coded(more).data, pictures=len(originals))) for more in (X265_FILTERS_OFF, X265_SAO_OFF)]
                with Filter(models, backend="oracle") as oracle:
                    for number, found in enumerate(zip(hm.side_information(alone.data), *ways, strict=True)):
                        if stop.is_set():
                            raise Stopped(sequence.name)
                        information, unfiltered, deblocked = found
                        expected = check.replay(oracle, information, unfiltered, deblocked, deblocked).cropped()
                        check.compare_sides(alone.recon[number], expected, f"picture {number}", "offline replay")
            checked_pictures += len(side)
            checked_samples += samples
        if variant == "after":
            started = time.perf_counter()
            pictures, side_bits, filtered = filter_after_loop(encoded.recon, originals, qp, settings)
            filter_seconds = time.perf_counter() - started
            bits += side_bits
        rows.append(
            row_of(
                sequence,
                qp,
                variant,
                settings,
                len(originals),
                bits,
                side_information_bits=side_bits,
                **measure(pictures, originals),
                encode_seconds=encoded.seconds,
                decode_seconds=decoded.seconds,
                filter_seconds=filter_seconds,
                decode_filter_seconds=decoded.filter_seconds,
                filtered_pictures=filtered,
                model=models.identity if is_network or variant == "after" else None,
                kernel=encoded.kernel,
                encoder=encoded.encoder,
            )
        )
    return Outcome(rows, encoded.encoder, commands, checked_pictures, checked_samples, samples_md5(originals))


def filter_after_loop(
    recon: Sequence[Picture], originals: Sequence[Picture], qp: int, settings: Settings
) -> tuple[list[Picture], int, int]:
    """Decide on decoded pictures and filter them outside the loop: the pictures, bits of side information, and how many are filtered.

    The decision is the codec's, with x265's lambda, except that input and background of the networks are the decoded picture.
    """
    model = (settings.model or builtin_path()).read_bytes()
    pictures, bits, filtered = [], 0, 0
    with Decider(recon[0].width, recon[0].height, model) as decider:
        for picture, original in zip(recon, originals, strict=True):
            luma, truth, depth = picture.planes[0], original.planes[0], picture.bit_depth
            decision = decider.decide(
                truth,
                luma,
                luma,
                depth,
                qp=qp,
                lam=0.038 * math.exp(0.234 * qp) * 4 ** (depth - 8),
                ordinary_cost=float(((luma.astype(np.int64) - truth) ** 2).sum()),
                position=settings.position,
            )
            bits += 8 * len(decision.data)
            filtered += decision.luma is not None
            pictures.append(picture if decision.luma is None else picture.with_luma(decision.luma))
    return pictures, bits, filtered


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


def check_settings(settings: Settings) -> None:
    """Raise EvaluationError for settings that no evaluation can run with."""
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
    if settings.codec == "x265-loop":
        x265_loop.find_tools(settings.codecs)
        if settings.configuration not in x265_loop.CONFIGURATIONS:
            raise EvaluationError(f"unknown configuration {settings.configuration!r}; there are {', '.join(x265_loop.CONFIGURATIONS)}")
    elif settings.codec in IN_LOOP:
        tools = hm.find_tools(settings.hm, settings.anchor_hm)
        tools.configuration(settings.configuration, 8)
    elif settings.configuration != "ai":
        raise EvaluationError(f"{settings.codec} is evaluated all-intra only: its pictures are filtered after decoding")


def evaluate(
    sequences: Iterable[VideoSequence],
    settings: Settings,
    workers: int | None = None,
    progress: Callable[[str, int, Outcome], None] = lambda *_: None,
) -> list[Outcome]:
    """Run every sequence at every QP on ``workers`` threads (default: one a core); ``progress(sequence, qp, outcome)`` after each.

    The order of the results does not depend on the workers. The first error ends the evaluation: jobs not begun are dropped.
    """
    check_settings(settings)
    models = load_models(settings)
    jobs = [(sequence, qp) for sequence in sequences for qp in settings.qps]
    if not jobs:
        raise EvaluationError("no sequences to evaluate")
    names = [sequence.name for sequence, _ in jobs[:: len(settings.qps)]]
    for name in names:
        if names.count(name) > 1:
            raise EvaluationError(f"{names.count(name)} sequences are called {name}; give them in separate runs")
    results: dict[int, Outcome] = {}
    stop = Event()
    # One job a core: matrix products with threads of their own would only wait for each other.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = {pool.submit(run, sequence, qp, settings, models, stop): n for n, (sequence, qp) in enumerate(jobs)}
        try:
            for future in as_completed(futures):
                number = futures[future]
                sequence, qp = jobs[number]
                try:
                    results[number] = future.result()
                except (CodecError, check.Inconsistency) as error:
                    raise type(error)(f"{sequence.name}, QP {qp}: {error}") from error
                progress(sequence.name, qp, results[number])
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [results[n] for n in range(len(jobs))]
