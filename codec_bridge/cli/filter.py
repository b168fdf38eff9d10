"""codec-bridge filter: a decoded video, filtered."""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from codec_bridge.bitstream.post_filter import PostFilter
from codec_bridge.cli.options import Force, Kernel, Kind, NetworkSize, PixelFormat, Size, TrustOptions, given, model_option, parse_qp
from codec_bridge.evaluation.beside import BestCrop, split_screen
from codec_bridge.evaluation.filtering import Triple, filtered, measured, picture_filters
from codec_bridge.evaluation.given import builtin_name, set_words
from codec_bridge.evaluation.named import network_of, post_filters, set_of
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import MOST_FRAMES, Settings, check_index, far_qps, load_models, numbers, open_filter
from codec_bridge.figures.metrics import is_identical, level_text
from codec_bridge.video.clock import ONE_RATE
from codec_bridge.video.coding import Coded
from codec_bridge.video.encoding import CONTAINERS, ENCODERS, Encoding
from codec_bridge.video.files import STANDARD_INPUT, Video, write_y4m, write_yuv
from codec_bridge.video.in_loop import InLoopError
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, VideoError
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import require
from vrcnn_int.files import check_outputs, is_standard_output, is_stream
from vrcnn_int.integer import UNIT_SCALE, ModelSet
from vrcnn_int.io.console import console_beside, notices, progress_bar
from vrcnn_int.machine import cores
from vrcnn_int.models import DEFAULT, DEFAULT_AT, builtin_path, read_files
from vrcnn_int.network import PLANES, POSITIONS
from vrcnn_int.text import counted

if TYPE_CHECKING:
    from codec_bridge.video.encoded import ContainerWriter

WRITTEN = (".yuv", ".y4m", *CONTAINERS)
STANDARD_OUTPUT = "/dev/stdout"
PREVIEW = Encoding(crf=16)
BY = {"c": "by the C library", "cuda": "by the GPU", "oracle": "by the oracle", "float": "by the float network, not bit-exact"}
"""What filtered, by backend, in words."""
GONE_OVER = 3
"""Exit code where --lenient has gone over faults."""
FAULTS_SHOWN = 5
Choose = Callable[[Picture], tuple[int, int] | None]
"""The number of the network for a picture, and the QP that it is for; None: none filters it."""


def filter_video(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="INPUT", help="Decoded video (.yuv, .y4m, containers), an HEVC stream, or a pipe with Y4M; -: standard input."
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Filtered video: .mkv, .mp4, .y4m or .yuv; -: standard output, as Y4M.")],
    qp: Annotated[
        str | None,
        typer.Option(help="QP the video was coded at, -12 to 51: chooses the network. auto, the default: each picture's, by its stream."),
    ] = None,
    index: Annotated[int | None, typer.Option(help="Network of the set, instead of --qp.", min=0)] = None,
    original: Annotated[Path | None, typer.Option(help="Original video: prints PSNR before and after, picture by picture.")] = None,
    backend: Annotated[str, typer.Option(help="c (the C library), cuda, oracle (numpy, slow) or float (torch; not bit-exact).")] = "c",
    scale: Annotated[int, typer.Option(help="Output scale c, in eighths.", min=1, max=10)] = 8,
    frames: Annotated[int | None, typer.Option(help="Filter at most so many pictures.", min=1, max=MOST_FRAMES)] = None,
    rate: Annotated[
        str | None, typer.Option(help="Pictures a second to write, such as 30000/1001; default: the input's, in .mkv and .mp4 its times.")
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help=f"Of .mkv and .mp4: {', '.join(ENCODERS)}; default: the first of them that has the bit depth.")
    ] = None,
    crf: Annotated[float | None, typer.Option(help="Of the encoder, 0 to 51; default: lossless.", min=0, max=51)] = None,
    preset: Annotated[str | None, typer.Option(help="Of libx264 and libx265: ultrafast to placebo; default: medium.")] = None,
    preview: Annotated[
        Path | None, typer.Option(help="Also write a split screen, .mp4 or .mkv: the left half before filtering, the right half after.")
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(help="Also write a .png: the crop that filtering changes most (with --original: gains most), before and after."),
    ] = None,
    model: Annotated[
        Path | None, model_option(f"{DEFAULT_AT['after_sao']} for pictures after SAO, else, and with --index or --kind luma, {DEFAULT}")
    ] = None,
    kernel: Kernel = "auto",
    threads: Annotated[
        int | None,
        typer.Option(
            help="Pictures at once (of a pipe: threads on a picture); default: as many as cores. Always the same bits.", min=1, max=64
        ),
    ] = None,
    position: Annotated[
        str,
        typer.Option(help=f"With --qp: where the filter stands, {' or '.join(POSITIONS)}; auto: as the stream says, or before."),
    ] = "auto",
    kind: Kind = None,
    network_size: NetworkSize = "best",
    trust_options: TrustOptions = False,
    lenient: Annotated[
        bool, typer.Option(help=f"Go on where pictures are damaged or lost, say what was wrong, and exit with code {GONE_OVER}.")
    ] = False,
    size: Size = None,
    pixel_format: PixelFormat = None,
    force: Force = False,
) -> None:
    """Filter a decoded video: luma, with joint networks also chroma of 4:2:0; other chroma passes through.

    HEVC streams are filtered uncropped, then cropped. .mkv and .mp4 files are encoded without loss (libx264; 4:0:0 and 12 bits libx265,
    9 bits ffv1) or with --crf, and keep the times of pictures, audio, subtitles, chapters, tags, colours, aspect ratio and rotation of a
    container.

    What a stream says of its QP and of the filters in its loop is compared with --qp and --position. A stream that names its filter
    (codec-bridge announce) is filtered by it. The first damaged or lost picture ends it, unless --lenient is given.
    """
    if qp is not None and index is not None:
        raise VrcnnError("give either --qp or --index, to choose the network (--qp auto, the default: as the stream says)")
    source, out = (Path(STANDARD_INPUT) if str(source) == "-" else source), (Path(STANDARD_OUTPUT) if str(out) == "-" else out)
    if out.is_dir():
        raise VrcnnError(f"cannot write {out}: it is a folder; give a file name")
    if out.suffix.lower() not in WRITTEN and (out.suffix or not is_stream(out)):
        raise VrcnnError(f"the output is {', '.join(WRITTEN[:-1])} or {WRITTEN[-1]}, not {out.name!r}")
    encoding = Encoding(encoder, crf, preset)
    if out.suffix.lower() not in CONTAINERS and (unfit := given(context, ("encoder", "crf", "preset"))):
        raise VrcnnError(f"--{unfit[0]} is for {' and '.join(CONTAINERS)} files, not {out.suffix or 'pipes'}")
    if preview and preview.suffix.lower() not in CONTAINERS:
        raise VrcnnError(f"the preview is {' or '.join(CONTAINERS)}, not {preview.name!r}")
    if compare and compare.suffix.lower() != ".png":
        raise VrcnnError(f"the comparison is .png, not {compare.name!r}")
    if index is not None and (unfit := given(context, ("kind", "network_size"))):
        raise VrcnnError(f"--{unfit[0].replace('_', '-')} is for --qp: --index names the network itself")
    if is_standard_output(out) and sys.stdout.isatty():
        raise VrcnnError("standard output is a terminal; pictures are no text: give them to a program or a file")
    check_outputs([path for path in (out, preview, compare) if path], [source, original, *read_files(model)], force)
    if preview:
        require("--preview", "video", "av")
    if compare:
        require("--compare", "video", "PIL")
    automatic = position == "auto"
    settings = Settings(model=model, kernel=kernel, position=POSITIONS[0] if automatic else position, kind=kind, network_size=network_size)
    settings.refuse()
    models = load_models(settings)
    open_filter(settings, models).close()
    if index is not None:
        check_index(models, index)
    wanted = parse_qp(qp)
    pictures_a_second = parse_rate(rate)
    said = console_beside(out)
    threads = threads or cores()
    together = 1 if backend in ("cuda", "float") or source.is_fifo() or str(source) == STANDARD_INPUT else threads
    truth = None if original is None else open_any(original, size, pixel_format)
    used: dict[int, set[int]] = {}
    longer: list[str] = []
    gains = Gains()
    with open_any(source, size, pixel_format, pictures_a_second, frames, cropping=False, lenient=lenient, once=True) as video:
        coded = Coded(source, video.codings())
        place = coded.position if automatic else position
        options = {
            "--qp": wanted is not None,
            "--index": index is not None,
            "--scale": scale != UNIT_SCALE,
            "--kind": kind is not None,
            "--network-size": bool(given(context, ["network_size"])),
            "--position": not automatic,
        }
        named = named_filters(coded, [word for word, is_given in options.items() if is_given], model, models, trust_options)
        if named:
            model = set_of(source, named, model)
            models = ModelSet.load(model)
        elif model is None and index is None and kind != "luma":
            model = builtin_path(DEFAULT_AT[place])
            models = load_models(replace(settings, model=model))
        networks = [picture_filters(model, models, scale, backend, kernel, 1 if together > 1 else threads) for _ in range(together)]
        choose: Choose
        if named:
            said.print(f"the stream names its filter: {'; '.join(map(str, named))}", soft_wrap=True, highlight=False)
            choose = networks_of_stream(coded.path, models)
        elif index is not None:
            choose = network_of_index(models, coded, index, trust_options)
        else:
            if not automatic and not trust_options:
                coded.check_position(position)
            here = replace(settings, model=model, position=place)
            choose = networks_of_qp(models, coded, wanted, here, trust_options, said)
        with ExitStack() as stack:
            pairs = stack.enter_context(closing(filtered(video, networks, partial(chosen, choose, used))))
            pictures: Iterable[Triple] = ((before, after, None) for before, after in pairs)
            if truth is not None:
                more = lambda count: longer.extend([f"{original} goes on after {counted(count, 'picture')}"] if frames is None else [])  # noqa: E731
                pictures = measured(pairs, video, truth, partial(say_psnr, said, gains), more)
            bar = stack.enter_context(progress_bar())
            pictures = bar.track(pictures, video.pictures or len(coded.codings) or frames, description=f"filtering {video.name}")
            if preview:
                from codec_bridge.video.encoded import container_writer

                small = stack.enter_context(container_writer(preview, video, PREVIEW, pictures_a_second, frames, others=False))
                pictures = previewed(pictures, small)
            crop = BestCrop(video.metadata)
            if compare:
                pictures = crop.watch(pictures)
            count, lost = write(out, (after for _, after, _ in pictures), video, encoding, pictures_a_second, frames)
        if preview:
            said.print(f"wrote {preview}", soft_wrap=True, highlight=False)
        if compare:
            crop.write(compare)
            said.print(f"wrote {compare}: picture {crop.picture} at {crop.x}, {crop.y}", soft_wrap=True, highlight=False)
    if gains.pictures:
        said.print(gains.text(), soft_wrap=True, highlight=False)
    if unfiltered := sum(not coding.post_filter for coding in coded.codings) if named else 0:
        longer.append(f"{counted(unfiltered, 'picture')} for which the stream names no filter pass{'es' * (unfiltered == 1)} through")
    if any(models.networks[number].kind == "joint" for number in used) and video.chroma_format in ("422", "444"):
        longer.append(f"chroma of {video.chroma_format} passes through: joint networks filter that of 420")
    if index is None and (far := far_qps((qp, models.networks[number].qp) for number, qps in used.items() for qp in qps)):
        longer.append(far)
    by = f"{networks_text(models, sorted(used))}, {BY[backend]}" if used else "filtered by no network"
    said.print(f"wrote {out}: {counted(count, 'picture')}, {by}", soft_wrap=True, highlight=False)
    say_notes(video, out, out.suffix.lower() in CONTAINERS and not rate, lost, longer)


def networks_text(models: ModelSet, numbers: Sequence[int]) -> str:
    """'before_deblocking by networks 0, 3 (QP 22, 37; luma) of set 0123456789abcdef (vrcnn_intra)': of those that filtered."""
    networks = [models.networks[number] for number in numbers]
    first = networks[0]
    kind = f"joint, {first.size}" if first.kind == "joint" else "luma"
    qps = ", ".join(str(network.qp) for network in networks)
    which = f"network{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))} (QP {qps}; {kind})"
    name = builtin_name(models.identity)
    return f"{first.position} by {which} of set {models.identity[:16]}{f' ({name})' if name else ''}"


def named_filters(coded: Coded, options: list[str], model: Path | None, models: ModelSet, trusted: bool) -> list[PostFilter]:
    """Those that the stream names for its pictures; [] where it names none, or is not to be followed.

    options: those given that choose a network. models: of the model option. Raises VrcnnError where they contradict, unless trusted.
    """
    named = post_filters(coded.codings)
    if named and model and not any(models.identity.startswith(some.identity) for some in named):
        options = [*options, "--model"]
    if named and options and not trusted:
        words = "; ".join(map(str, named))
        raise VrcnnError(f"{coded.path} names its filter itself ({words}): leave out {', '.join(options)}, or give --trust-options too")
    return [] if options else named


def networks_of_stream(path: Path, models: ModelSet) -> Choose:
    """The network that the stream names for a picture, and the QP that it is for."""

    def named(picture: Picture) -> tuple[int, int] | None:
        wanted = picture.coding.post_filter if picture.coding else None
        if wanted is None:
            return None
        number = network_of(path, models, wanted)
        return number, models.networks[number].qp if wanted.index is not None or wanted.qp is None else wanted.qp

    return named


def network_of_index(models: ModelSet, coded: Coded, index: int, trusted: bool) -> Callable[[Picture], tuple[int, int]]:
    """That number for every picture, and its QP. Raises VrcnnError, unless trusted, where the stream has another position."""
    if not trusted:
        fitting = [number for number, network in enumerate(models.networks) if network.position == coded.position]
        none = f"another --model: this set has no network that is {coded.position}"
        coded.check_position(models.networks[index].position, numbers(fitting) or none)
    return lambda picture: (index, models.networks[index].qp)


def networks_of_qp(
    models: ModelSet, coded: Coded, qp: int | None, settings: Settings, trusted: bool, console: Console
) -> Callable[[Picture], tuple[int, int]]:
    """The number of the network for a picture, and the QP that it is for: the one that was given, or (None) the picture's own.

    Raises VrcnnError if the set has no such network, and, unless the options are trusted, where they contradict the stream.
    """
    lines = []
    if coded.codings:
        lines.append(f"the stream: {coded.qps()}, {coded.filters()} in the loop; filtered {settings.position}")
    if settings.kind is None and len(models.kinds) > 1:
        lines.append(f"the set has {' and '.join(models.kinds)} networks: {models.kinds[0]} ones filter; --kind chooses")
    for line in lines:
        console.print(line, soft_wrap=True, highlight=False)
    if qp is not None:
        if not trusted:
            coded.check_qp([qp])
        number = settings.network_in(models, qp, stated=bool(coded.codings))
        return lambda picture: (number, qp)
    mean = coded.qp

    def own(picture: Picture) -> tuple[int, int]:
        rounded = round(picture.coding.qp if picture.coding else mean)
        return settings.network_in(models, rounded, stated=True), rounded

    return own


def chosen(choose: Choose, used: dict[int, set[int]], picture: Picture) -> int | None:
    """The number of a picture's network, which is put among those that were used, with the QP; None: none filters it."""
    found = choose(picture)
    if found is None:
        return None
    number, qp = found
    used.setdefault(number, set()).add(qp)
    return number


def say_notes(video: Video, out: Path, timed: bool, lost: list[str], more: list[str]) -> None:
    """A line on what the output does not carry and what is to be known of the input; then one on its faults, and the exit code of them.

    timed: the output has a time for each picture.
    """
    lost = [*video.metadata.lost(out.suffix.lower(), video.chroma_format, video.bit_depth), *lost]
    found = [note for note in video.account.notes if not (timed and note.endswith(ONE_RATE))]
    notes = [*([f"{out.name} does not hold {', '.join(lost)}"] if lost else []), *found, *more]
    if notes:
        notices.print(f"note: {'; '.join(notes)}", soft_wrap=True, highlight=False)
    faults = video.account.faults
    if faults:
        others = f"; and {len(faults) - FAULTS_SHOWN} more" if len(faults) > FAULTS_SHOWN else ""
        text = f"{video.path}: {counted(len(faults), 'fault')} gone over: {'; '.join(faults[:FAULTS_SHOWN])}{others}"
        notices.print(text, soft_wrap=True, highlight=False)
        raise typer.Exit(GONE_OVER)


def parse_rate(text: str | None) -> Fraction | None:
    """'30000/1001' -> that fraction."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]{0,20})?|[0-9]{1,10}/[0-9]{1,10}", text):
        try:
            return Fraction(text)
        except ZeroDivisionError:
            pass
    raise VrcnnError(f"{text[:40]!r} is not a rate such as 30 or 30000/1001")


def open_any(
    path: Path,
    size: str | None,
    pixel_format: str | None,
    rate: Fraction | None = None,
    frames: int | None = None,
    cropping: bool = True,
    lenient: bool = False,
    once: bool = False,
) -> Video:
    """A video whose size and format were given for the case that it does not say them itself."""
    raw = path.suffix.lower() == ".yuv"
    dimensions = parse_size(size)
    try:
        return open_video(path, dimensions if raw else None, pixel_format if raw else None, rate, frames, cropping, lenient, once=once)
    except VideoError as error:
        if isinstance(error.__cause__, InLoopError) and error.__cause__.announcement:
            raise VrcnnError(f"{error}; it {set_words(error.__cause__.announcement.identity)}") from None
        raise


def write(
    path: Path, pictures: Iterable[Picture], video: Video, encoding: Encoding, rate: Fraction | None, frames: int | None
) -> tuple[int, list[str]]:
    """Write pictures of a video as the file's name wants it; returns how many, and what a container could not hold of the video's."""
    if path.suffix.lower() == ".yuv":
        return write_yuv(path, pictures), []
    if path.suffix.lower() not in CONTAINERS:
        return write_y4m(path, pictures, video.rate, video.metadata), []
    from codec_bridge.video.encoded import container_writer

    with container_writer(path, video, encoding, rate, frames) as writer:
        for picture in pictures:
            writer.write(picture)
    return writer.count, writer.lost


def previewed(pictures: Iterable[Triple], writer: "ContainerWriter") -> Iterator[Triple]:
    """The same, a split screen of each written on the way."""
    for before, after, original in pictures:
        writer.write(split_screen(before, after))
        yield before, after, original


class Gains:
    """What filtering has gained so far, in dB, by planes: of pictures where both levels are PSNRs."""

    def __init__(self) -> None:
        self.pictures = 0
        self._of: dict[str, list[float]] = {}

    def add(self, before: tuple[float, ...], after: tuple[float, ...]) -> None:
        """Those of a picture."""
        self.pictures += 1
        for plane, a, b in zip(PLANES, before, after, strict=False):
            self._of.setdefault(plane, []).extend([] if is_identical(a, b) else [b - a])

    def text(self) -> str:
        """One line: the means, and of how many pictures, where some had no PSNR."""
        means = []
        for plane, gains in self._of.items():
            of = "" if len(gains) == self.pictures else f" (of {len(gains)})"
            means.append(f"{plane} {sum(gains) / len(gains):+.3f} dB{of}" if gains else f"{plane} none: identical")
        return f"mean gain over {counted(self.pictures, 'picture')}: {', '.join(means)}"


def say_psnr(console: Console, gains: Gains, number: int, before: tuple[float, ...], after: tuple[float, ...]) -> None:
    """One line on a picture, which counts among the gains."""
    gains.add(before, after)
    figures = ", ".join(f"{plane} {_levels(a, b)}" for plane, a, b in zip(PLANES, before, after, strict=False))
    console.print(f"picture {number}: {figures}", highlight=False, soft_wrap=True)


def _levels(before: float, after: float) -> str:
    """'35.108 -> 35.156 dB'."""
    if is_identical(before, after):
        return f"{level_text(before)} -> {level_text(after)}"
    return f"{before:.3f} -> {after:.3f} dB"
