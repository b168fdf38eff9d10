"""Sequences x QPs x variants -> result rows: code, decode, filter, measure; on request every picture is checked bit for bit."""

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
from codec_bridge.codecs import CodecError, get_codec
from codec_bridge.filter import Filter
from codec_bridge.provenance import git_revision
from codec_bridge.video import Picture, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, float_path
from vrcnn_int.network import POSITIONS, load_float_networks

SIDE_INFORMATION_BITS = 16
"""Bits a picture that a filtered stream pays for side information, until its syntax exists."""

VARIANTS = ("anchor", "none", "integer", "float")
"""The variants that can be evaluated offline. (map needs the codec hooks.)"""

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


def run(sequence: VideoSequence, qp: int, settings: Settings, models: ModelSet, stop: Event) -> Outcome:
    """Code one sequence at one QP in every variant.

    The anchor has deblocking and SAO on, none has both off. A network reads the samples before deblocking (the stream with both
    off) or, at position after_sao, the anchor's; it filters uncropped, as a codec would, and is measured cropped.
    Raises VrcnnError for whatever is unusable, check.Inconsistency if a checked picture differs, Stopped soon after ``stop`` is set.
    """
    codec = get_codec(settings.codec)
    frames = settings.frames or auto_frames(sequence.width, sequence.height)
    originals = list(sequence.open(frames))
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
        bits = encoded.bits + side_bits
        rows.append(
            {
                "sequence": sequence.name,
                "width": sequence.width,
                "height": sequence.height,
                "pictures": len(pictures),
                "qp": qp,
                "variant": variant,
                "codec": settings.codec,
                "bits": bits,
                "side_information_bits": side_bits,
                "kbps": float(bits * rate / len(pictures) / 1000),
                **measure(pictures, originals),
                "encode_seconds": encoded.seconds,
                "filter_seconds": filter_seconds,
                "model": models.identity if is_network else None,
                "kernel": kernel,
                "encoder": encoded.encoder,
                "git_revision": git_revision(),
            }
        )
    return Outcome(rows, encoded.encoder, commands, checked_pictures, checked_samples, samples_md5(originals))


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
    for variant in settings.variants:
        if variant not in VARIANTS:
            raise EvaluationError(f"unknown variant {variant!r}; known: {', '.join(VARIANTS)}")
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
    get_codec(settings.codec)


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
