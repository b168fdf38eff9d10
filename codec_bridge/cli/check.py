"""codec-bridge check: encoder and decoder agree bit for bit, in coded sequences or in given streams."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from codec_bridge import codecs as known_codecs
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.cli.evaluation import (
    evaluate,
    fail_if_flagged,
    filtered_planes,
    planes_of,
    results_folder,
    say_checked,
    say_far,
    say_far_qps,
    say_rows_checked,
)
from codec_bridge.cli.options import (
    DEFAULT_QPS,
    Backend,
    CodecName,
    Configuration,
    Folders,
    Frames,
    Kernel,
    Kind,
    ModelFile,
    NetworkSize,
    PixelFormat,
    Position,
    SearchPath,
    Size,
    TrustOptions,
    Workers,
    check_folders,
    parse_frames,
    parse_numbers,
    parse_sequences,
    takes_folders,
)
from codec_bridge.cli.options import given as given_options
from codec_bridge.evaluation import cluster, given
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings, check_settings, far_qps, load_models
from codec_bridge.evaluation.store import Store
from codec_bridge.report.summary import flags_of_rows
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelError
from vrcnn_int.io.console import console, progress_bar
from vrcnn_int.text import counted


@takes_folders(anchors=False)
def check(
    context: typer.Context,
    streams: Annotated[list[Path] | None, typer.Argument(help="HEVC streams to check instead of coding sequences.")] = None,
    sequences: Annotated[list[str] | None, typer.Option(help="As for bdrate; default: builtin.")] = None,
    qp: Annotated[
        str | None,
        typer.Option(help=f"QPs, separated by commas; default: {DEFAULT_QPS}, and of streams auto: each picture's, as the stream says."),
    ] = None,
    frames: Frames = "auto",
    codec: CodecName = known_codecs.DEFAULT,
    model: ModelFile = None,
    kernel: Kernel = "auto",
    kind: Kind = None,
    network_size: NetworkSize = "best",
    position: Position = "before_deblocking",
    trust_options: TrustOptions = False,
    configuration: Configuration = "ai",
    folders: Folders = MappingProxyType({}),
    backend: Backend = "c",
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Check bit for bit, picture by picture: oracle = C library (or GPU) = the decoder's output after filtering.

    x265: the encoder's side filters whole pictures; the decoder's side decodes the stream again (picture hashes verified) and filters
    64x64 units, and by maps on three threads; the oracle is plain numpy. Of joint networks luma and 4:2:0 chroma are compared. The first
    layer, channel and sample that differ are an error. Given streams are checked with the network of each picture's QP, at the position
    that their own filters mean; --qp or --position that contradict them are refused.

    hm, x265-loop: the encoder's reconstruction = the decoder's output = the stream's picture hashes, and all-intra = the oracle
    offline, with the side information read from the stream by a parser of its own. Given streams: their picture hashes.
    """
    inside = known_codecs.find(codec).inside
    check_folders(codec, folders)
    automatic = qp in (None, "auto")
    if qp == "auto" and not streams:
        raise VrcnnError("--qp auto is for streams: sequences are coded at the QPs that are given")
    settings = Settings(
        codec,
        parse_numbers(DEFAULT_QPS if qp is None or automatic else qp),
        ("map",) if inside else ("integer",),
        parse_frames(frames),
        model,
        kernel,
        position,
        check=True,
        configuration=configuration,
        folders=folders,
        backend=backend,
        kind=kind,
        network_size=network_size,
    )
    check_settings(settings, stated=bool(streams) and not inside)
    if not streams:
        check_plan(Plan(parse_sequences(sequences or ["builtin"], search_path, size, pixel_format), (settings,)), workers)
        return
    if sequences:
        raise VrcnnError("give either streams or --sequences")
    if inside:
        check_streams_in_loop(streams, settings)
    else:
        of_position = not trust_options and bool(given_options(context, ("position",)))
        check_streams(streams, settings, None if automatic else settings.qps, of_position, trust_options)


def check_plan(plan: Plan, workers: int | None) -> None:
    """Code the sequences of a plan, check them, and say what was compared."""
    say_far_qps(plan)
    with results_folder(None) as folder:
        rows = evaluate(plan, Store(folder), cluster.Place(workers)).rows
    fail_if_flagged(flags_of_rows(rows))
    say_rows_checked(rows, filtered_planes(plan))


def check_streams_in_loop(streams: list[Path], settings: Settings) -> None:
    """Check streams of a codec with the filter inside by their picture hashes; a line for each."""
    for stream in streams:
        pictures, filtered = given.check_inside(stream, settings)
        text = f"{stream}: {counted(pictures, 'picture')}, {filtered} of them filtered, every picture hash OK"
        console.print(text, highlight=False, soft_wrap=True)


def check_streams(streams: list[Path], settings: Settings, qps: Sequence[int] | None, of_position: bool, trusted: bool) -> None:
    """Check streams that are filtered after decoding, with the network of each of ``qps``, None: of each picture's; a line for each stream.

    of_position: the user gave the position, which is compared with the streams. trusted: it is kept, and QPs are not compared either.
    """
    models = load_models(settings)
    for stream in streams:
        data = given.read(stream)
        coded = given.coded(stream, data, settings.frames)
        if qps and not trusted:
            coded.check_qp(qps)
        if of_position:
            coded.check_position(settings.position)
        own = settings if trusted or not coded.codings else replace(settings, position=coded.position)
        try:
            with progress_bar() as progress:
                task = progress.add_task(f"{stream}", total=len(coded.codings))
                compared = given.check_offline(coded, data, qps, own, models, partial(progress.advance, task))
        except (CodecError, ModelError) as error:
            raise type(error)(f"{stream}: {error}") from None
        console.print(f"{stream}:", end=" ", highlight=False, soft_wrap=True)
        say_checked(compared.pictures, compared.samples, compared.kernel, planes_of(own.kind_in(models), compared.has_chroma))
        if coded.skipped:
            text = f"{stream}: {counted(coded.skipped, 'leading picture')} left out: what they refer to is before the stream's beginning"
            console.print(text, highlight=False, soft_wrap=True)
        say_far(far_qps(compared.qps))
