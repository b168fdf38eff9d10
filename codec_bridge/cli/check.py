"""codec-bridge check: encoder and decoder agree bit for bit, in coded sequences or in given streams."""

from dataclasses import replace
from pathlib import Path
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
    say_rows_checked,
)
from codec_bridge.cli.options import (
    Backend,
    CodecName,
    CodecsFolder,
    Configuration,
    Frames,
    HmFolder,
    Kernel,
    Kind,
    ModelFile,
    NetworkSize,
    PixelFormat,
    Position,
    Qps,
    SearchPath,
    Size,
    TrustOptions,
    Workers,
    parse_frames,
    parse_numbers,
    parse_sequences,
    program_folders,
)
from codec_bridge.cli.options import given as given_options
from codec_bridge.evaluation import cluster, given
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings, check_settings, load_models
from codec_bridge.evaluation.store import Store
from codec_bridge.report.summary import flags_of_rows
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.console import console


def check(
    context: typer.Context,
    streams: Annotated[list[Path] | None, typer.Argument(help="HEVC streams to check instead of coding sequences.")] = None,
    sequences: Annotated[list[str] | None, typer.Option(help="As for bdrate; default: builtin.")] = None,
    qp: Qps = "22,27,32,37",
    frames: Frames = "auto",
    codec: CodecName = known_codecs.DEFAULT,
    model: ModelFile = None,
    kernel: Kernel = "auto",
    kind: Kind = None,
    network_size: NetworkSize = "best",
    position: Position = "before_deblocking",
    trust_options: TrustOptions = False,
    configuration: Configuration = "ai",
    hm: HmFolder = None,
    codecs: CodecsFolder = None,
    backend: Backend = "c",
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Check bit for bit, picture by picture: oracle = C library (or GPU) = the decoder's output after filtering.

    x265: the encoder's side filters whole pictures; the decoder's side decodes the stream again (picture hashes verified) and filters
    64x64 units, and by maps on three threads; the oracle is plain numpy. Of joint networks luma and 4:2:0 chroma are compared. The first
    layer, channel and sample that differ are an error. Given streams are checked with the network of each QP, at the position that their
    own filters mean; --qp or --position that contradict them are refused.

    hm, x265-loop: the encoder's reconstruction = the decoder's output = the stream's picture hashes, and all-intra = the oracle
    offline, with the side information read from the stream by a parser of its own. Given streams: their picture hashes.
    """
    inside = known_codecs.find(codec).inside
    settings = Settings(
        codec,
        parse_numbers(qp),
        ("map",) if inside else ("integer",),
        parse_frames(frames),
        model,
        kernel,
        position,
        check=True,
        configuration=configuration,
        folders=program_folders(hm=hm, codecs=codecs),
        backend=backend,
        kind=kind,
        network_size=network_size,
    )
    check_settings(settings)
    if not streams:
        check_plan(Plan(parse_sequences(sequences or ["builtin"], search_path, size, pixel_format), (settings,)), workers)
        return
    if sequences:
        raise VrcnnError("give either streams or --sequences")
    if inside:
        check_streams_in_loop(streams, settings)
    else:
        options = set() if trust_options else set(given_options(context, ("qp", "position")))
        check_streams(streams, settings, options, trust_options)


def check_plan(plan: Plan, workers: int | None) -> None:
    """Code the sequences of a plan, check them, and say what was compared."""
    with results_folder(None) as folder:
        rows = evaluate(plan, Store(folder), cluster.Place(workers)).rows
    fail_if_flagged(flags_of_rows(rows))
    say_rows_checked(rows, filtered_planes(plan))


def check_streams_in_loop(streams: list[Path], settings: Settings) -> None:
    """Check streams of a codec with the filter inside by their picture hashes; a line for each."""
    for stream in streams:
        pictures, filtered = given.check_inside(stream, settings)
        console.print(f"{stream}: {pictures} pictures, {filtered} of them filtered, every picture hash OK", highlight=False, soft_wrap=True)


def check_streams(streams: list[Path], settings: Settings, options: set[str], trusted: bool) -> None:
    """Check streams that are filtered after decoding, with the network of each QP; a line for each.

    options: those of qp and position that the user gave, and that are compared with the streams. trusted: the position is kept.
    """
    models = load_models(settings)
    for stream in streams:
        data = given.read(stream)
        coded = given.coded(stream, data, settings.frames)
        if "qp" in options:
            coded.check_qp(settings.qps)
        if "position" in options:
            coded.check_position(settings.position)
        own = settings if trusted or not coded.codings else replace(settings, position=coded.position)
        try:
            results = [given.check_offline(stream, data, number, own, models) for number in settings.qps]
        except CodecError as error:
            raise CodecError(f"{stream}: {error}") from None
        console.print(f"{stream}:", end=" ", highlight=False, soft_wrap=True)
        say_checked(
            sum(pictures for pictures, _, _ in results),
            sum(samples for _, samples, _ in results),
            results[0][2],
            planes_of(own.kind_in(models)),
        )
        if coded.skipped:
            text = f"{stream}: {coded.skipped} leading pictures refer to what is before the stream's beginning, and are no pictures of it"
            console.print(text, highlight=False, soft_wrap=True)
