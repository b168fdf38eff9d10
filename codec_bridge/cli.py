"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from codec_bridge import evaluate as evaluation
from codec_bridge import pairs as training_pairs
from codec_bridge import report
from codec_bridge.bd_rate import METHODS
from codec_bridge.bench import SIZES, bench
from codec_bridge.catalogue import Sequence, resolve
from codec_bridge.codecs import CodecError
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.metrics import picture_psnr
from codec_bridge.provenance import provenance
from codec_bridge.video import Picture, Video, VideoError, open_video, write_y4m, write_yuv
from vrcnn_int import integer
from vrcnn_int.console import console, progress_bar, run
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
pairs_app = typer.Typer(no_args_is_help=True, help="Training pairs for `vrcnn-int train`.")
app.add_typer(pairs_app, name="pairs")

Sequences = Annotated[
    list[str], typer.Option(help="A set (builtin, ctc, ctc:B), a catalogued sequence, a folder or a video file; may be given again.")
]
SearchPath = Annotated[str | None, typer.Option(help="Folders with catalogued sequences; default: environment variable VRCNN_SEQUENCES.")]
Qps = Annotated[str, typer.Option(help="QPs, separated by commas.")]
Frames = Annotated[str, typer.Option(help="Pictures a sequence, or auto: 4 under 110 000 samples, 2 under 900 000, else 1.")]
CodecName = Annotated[str, typer.Option(help="Encoder and decoder: x265 (through PyAV).")]
ModelFile = Annotated[Path | None, typer.Option(help="Model set (.vrcnn); default: the shipped one.")]
Kernel = Annotated[str, typer.Option(help="auto, or one that `codec-bridge bench` lists.")]
Position = Annotated[str, typer.Option(help=f"Where the filter stands: {' or '.join(POSITIONS)}.")]
Workers = Annotated[int | None, typer.Option(help="Jobs at once; default: one a core.", min=1)]
Size = Annotated[str | None, typer.Option(help="Size of .yuv files, WIDTHxHEIGHT.")]
PixelFormat = Annotated[str | None, typer.Option("--format", help="Format of .yuv files: yuv420p, yuv420p10le, gray, ...")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """'416x240' -> (416, 240)."""
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise VrcnnError(f"{text!r} is not a size such as 416x240")
    return int(width), int(height)


def parse_numbers(text: str) -> tuple[int, ...]:
    """'22,27' -> (22, 27)."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise VrcnnError(f"{text!r} is not a list of whole numbers such as 22,27,32,37") from None


def parse_frames(text: str) -> int | None:
    """A number, or None for auto."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) == 0:
        raise VrcnnError(f"{text!r} is neither auto nor a number of pictures")
    return int(text)


def find(words: list[str], search_path: str | None, size: str | None, pixel_format: str | None) -> list[Sequence]:
    """The sequences that the options name."""
    return [sequence for word in words for sequence in resolve(word, search_path, size=parse_size(size), pixel_format=pixel_format)]


def run_evaluation(sequences: list[Sequence], settings: evaluation.Settings, workers: int | None) -> list[evaluation.Outcome]:
    """evaluate() with a progress bar on standard error."""
    with progress_bar() as progress:
        task = progress.add_task("coding and filtering", total=len(sequences) * len(settings.qps))

        def show(name: str, qp: int, _outcome: evaluation.Outcome) -> None:
            progress.update(task, advance=1, description=f"{name} QP {qp}")

        return evaluation.evaluate(sequences, settings, workers, show)


def totals(outcomes: list[evaluation.Outcome]) -> tuple[int, int, str]:
    """Pictures and samples that were checked, and the kernel that filtered them."""
    pictures = sum(outcome.checked_pictures for outcome in outcomes)
    samples = sum(outcome.checked_samples for outcome in outcomes)
    return pictures, samples, ", ".join(sorted({row["kernel"] for outcome in outcomes for row in outcome.rows} - {None}))


def say_checked(pictures: int, samples: int, kernel: str) -> None:
    """One line on what was compared."""
    console.print(
        f"bit-consistency: {pictures} coded pictures, {samples} luma samples: oracle = C library ({kernel}) = "
        "filtered decoder output, no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def bdrate(
    sequences: Sequences = ["builtin"],  # noqa: B006 (typer copies it)
    qp: Qps = "22,27,32,37",
    variants: Annotated[str, typer.Option(help="Of anchor, none, integer, float; float needs torch.")] = "anchor,none,integer",
    frames: Frames = "auto",
    codec: CodecName = "x265",
    model: ModelFile = None,
    kernel: Kernel = "auto",
    position: Position = "before_deblocking",
    method: Annotated[str, typer.Option(help="Interpolation of the curves: pchip, cubic or akima.")] = "pchip",
    check: Annotated[bool, typer.Option("--check", help="Also compare every filtered picture with the oracle and the decoder.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, BD-rates and provenance.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Rows.")] = None,
    plot: Annotated[Path | None, typer.Option(help="RD curves as PNG.")] = None,
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """BD-rate of the network against the codec's own in-loop filters, all-intra.

    anchor: deblocking and SAO on. none: both off. integer, float: the network in their place, everywhere. Negative is better.
    """
    settings = evaluation.Settings(
        codec,
        parse_numbers(qp),
        tuple(word.strip() for word in variants.split(",")),
        parse_frames(frames),
        model,
        kernel,
        position,
        check=check,
    )
    if "anchor" not in settings.variants:
        raise VrcnnError("BD-rate needs the variant anchor to compare with")
    if len(settings.qps) < 4:
        raise VrcnnError(f"BD-rate needs at least four QPs, not {len(settings.qps)}")
    if method not in METHODS:
        raise VrcnnError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    outputs = [path for path in (json_file, csv_file, plot) if path is not None]
    if len(set(outputs)) < len(outputs):
        raise VrcnnError("--json, --csv and --plot need files of their own")
    if plot is not None and plot.suffix.lower() != ".png":
        raise VrcnnError(f"the plot is a .png, not {plot.name!r}")
    for path in outputs:
        if path.is_dir():
            raise VrcnnError(f"{path} is a folder; give a file name")
        path.parent.mkdir(parents=True, exist_ok=True)
    found = find(sequences, search_path, size, pixel_format)
    outcomes = run_evaluation(found, settings, workers)
    rows = [row for outcome in outcomes for row in outcome.rows]
    models = evaluation.load_models(settings)
    origin = provenance(
        model=models.identity,
        kernels=sorted({row["kernel"] for row in rows} - {None}),
        encoder=outcomes[0].encoder,
        encoder_settings={str(q): outcomes[i].commands for i, q in enumerate(settings.qps)},
        method=method,
        sequences=[
            {"name": sequence.name, "pictures": outcome.rows[0]["pictures"], "md5": outcome.originals_md5}
            for sequence, outcome in zip(found, outcomes[:: len(settings.qps)], strict=True)
        ],
    )
    document = {"provenance": origin, "rows": rows, **report.summarise(rows, method)}
    # Results before pictures of them: a plot that fails must not cost an evaluation.
    if json_file:
        report.write_json(json_file, document)
    if csv_file:
        report.write_csv(csv_file, rows)
    report.print_table(document, console)
    console.print(f"model set {models.identity[:16]}, {outcomes[0].encoder}", highlight=False)
    if check:
        say_checked(*totals(outcomes))
    if plot:
        report.write_plot(plot, document)
    if outputs:
        console.print(f"wrote {', '.join(map(str, outputs))}", soft_wrap=True, highlight=False)
    missing = report.missing(document)
    if missing:
        raise VrcnnError(f"{len(missing)} BD-rates are missing: {missing[0]}" + (" (more above)" if len(missing) > 1 else ""))


@app.command()
def check(
    streams: Annotated[list[Path] | None, typer.Argument(help="HEVC streams to check instead of coding sequences.")] = None,
    sequences: Annotated[list[str] | None, typer.Option(help="As for bdrate; default: builtin.")] = None,
    qp: Qps = "22,27,32,37",
    frames: Frames = "auto",
    codec: CodecName = "x265",
    model: ModelFile = None,
    kernel: Kernel = "auto",
    position: Position = "before_deblocking",
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Check bit for bit, picture by picture: oracle = C library = the decoder's output after filtering.

    The encoder's side filters whole pictures; the decoder's side decodes the stream again (picture hashes verified) and filters
    64x64 units; the oracle is plain numpy. The first layer, channel and sample that differ are an error. Given streams are checked
    with the network of each QP.
    """
    settings = evaluation.Settings(codec, parse_numbers(qp), ("integer",), parse_frames(frames), model, kernel, position, check=True)
    if not streams:
        say_checked(*totals(run_evaluation(find(sequences or ["builtin"], search_path, size, pixel_format), settings, workers)))
        return
    if sequences:
        raise VrcnnError("give either streams or --sequences")
    evaluation.check_settings(settings)
    models = evaluation.load_models(settings)
    for stream in streams:
        try:
            results = [evaluation.check_stream(stream, number, settings, models) for number in settings.qps]
        except CodecError as error:
            raise CodecError(f"{stream}: {error}") from None
        console.print(f"{stream}:", end=" ", highlight=False, soft_wrap=True)
        say_checked(sum(pictures for pictures, _, _ in results), sum(samples for _, samples, _ in results), results[0][2])


@app.command("filter")
def filter_video(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Decoded video (.yuv, .y4m, containers) or an HEVC stream.")],
    out: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Filtered video: .yuv or .y4m.")],
    qp: Annotated[int | None, typer.Option(help="QP the video was coded at: chooses the network.", min=-12, max=51)] = None,
    index: Annotated[int | None, typer.Option(help="Network of the set, instead of --qp.", min=0)] = None,
    original: Annotated[Path | None, typer.Option(help="Original video: prints PSNR before and after, picture by picture.")] = None,
    backend: Annotated[str, typer.Option(help="c (the C library), oracle (numpy, slow) or float (needs torch; not bit-exact).")] = "c",
    scale: Annotated[int, typer.Option(help="Output scale c, in eighths.", min=1, max=10)] = 8,
    frames: Annotated[int | None, typer.Option(help="Filter at most so many pictures.", min=1)] = None,
    rate: Annotated[
        str | None, typer.Option(help="Pictures a second to write into .y4m, such as 30000/1001; default: the input's.")
    ] = None,
    model: ModelFile = None,
    kernel: Kernel = "auto",
    position: Annotated[str, typer.Option(help=f"With --qp: where the filter stands, {' or '.join(POSITIONS)}.")] = "before_deblocking",
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Filter a decoded video (luma; chroma passes through). HEVC streams are filtered uncropped, then cropped."""
    if (qp is None) == (index is None):
        raise VrcnnError("give either --qp or --index, to choose the network")
    if out.suffix.lower() not in (".yuv", ".y4m"):
        raise VrcnnError(f"the output is .yuv or .y4m, not {out.name!r}")
    settings = evaluation.Settings(model=model, kernel=kernel, position=position)
    evaluation.check_settings(settings)
    models = evaluation.load_models(settings)
    number = models.index_for_qp(qp, position) if index is None else index  # type: ignore[arg-type]
    if number >= len(models.networks):
        raise VrcnnError(f"the model set has no network {number}; it has 0 to {len(models.networks) - 1}")
    try:
        given_rate = Fraction(rate) if rate else None
    except (ValueError, ZeroDivisionError):
        raise VrcnnError(f"{rate!r} is not a rate such as 30 or 30000/1001") from None

    if backend not in (*BACKENDS, "float"):
        raise VrcnnError(f"unknown backend {backend!r}; there are {', '.join(BACKENDS)} and float")
    if backend == "float":
        if scale != integer.UNIT_SCALE:
            raise VrcnnError("the float network has no output scale")
        apply = evaluation.float_filter(settings, models, number)
    else:
        filter_ = Filter(model, kernel, backend)

        def apply(plane: NDArray[np.integer], bit_depth: int) -> NDArray[np.integer]:
            return filter_.filter_plane(plane, bit_depth, number, scale)

    def results(video: Video, reference: Iterator[Picture] | None) -> Iterator[Picture]:
        for count, picture in enumerate(video):
            before, after = picture.cropped(), picture.with_luma(apply(picture.planes[0], picture.bit_depth)).cropped()
            if reference is not None:
                truth = next(reference, None)
                if truth is None:
                    raise VideoError(f"{original} ends after {count} pictures, {source} goes on")
                psnrs = zip("YUV", picture_psnr(before, truth), picture_psnr(after, truth), strict=False)
                figures = ", ".join(f"{plane} {a:.3f} -> {b:.3f} dB" for plane, a, b in psnrs)
                console.print(f"picture {count}: {figures}", highlight=False, soft_wrap=True)
            yield after

    raw = source.suffix.lower() == ".yuv"
    dimensions = parse_size(size)
    with open_video(source, dimensions if raw else None, pixel_format if raw else None, given_rate, frames, cropping=False) as video:
        reference = None
        if original is not None:
            is_yuv = original.suffix.lower() == ".yuv"
            reference = iter(open_video(original, dimensions if is_yuv else None, pixel_format if is_yuv else None))
        pictures = results(video, reference)
        count = write_yuv(out, pictures) if out.suffix.lower() == ".yuv" else write_y4m(out, pictures, video.rate)
    console.print(
        f"wrote {out}: {count} pictures, network {number} of set {models.identity[:16]}, {backend}", soft_wrap=True, highlight=False
    )


@pairs_app.command("make")
def make_pairs(
    original: Annotated[Path, typer.Argument(help="Original video, or a folder of pictures.")],
    recon: Annotated[Path, typer.Argument(help="Its coded reconstruction: the HEVC stream, or a decoded video.")],
    out: Annotated[Path, typer.Option(help="Pair file to write (.npz).")],
    qp: Annotated[int, typer.Option(help="QP it was coded at.", min=-12, max=51)],
    position: Position = "before_deblocking",
    frames: Annotated[int | None, typer.Option(help="At most so many pictures.", min=1)] = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Pack an original and its coded reconstruction (all in-loop filters off, for before_deblocking) into a pair file."""
    if position not in POSITIONS:
        raise VrcnnError(f"unknown position {position!r}; there are {', '.join(POSITIONS)}")
    count = training_pairs.make(original, recon, out, qp, position, parse_size(size), pixel_format, frames)
    console.print(f"wrote {out}: {count} pictures at QP {qp}", soft_wrap=True)


@app.command("bench")
def run_bench(
    sizes: Annotated[str, typer.Option(help="Picture sizes, separated by commas.")] = ",".join(f"{w}x{h}" for w, h in SIZES),
    repeats: Annotated[int, typer.Option(help="Measured pictures a size.", min=1)] = 3,
    model: ModelFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows and provenance.")] = None,
) -> None:
    """Time every kernel that this machine supports: one thread, median of a few pictures of noise."""

    def show(row: dict[str, Any]) -> None:
        figures = f"{row['ms']:.1f} ms (minimum {row['ms_minimum']:.1f}), {row['gmacs']:.2f} GMAC/s"
        console.print(f"{row['kernel']}, {row['width']}x{row['height']}, {row['threads']} thread: {figures}", highlight=False)

    wanted = [parse_size(part) for part in sizes.split(",")]
    rows = bench([size for size in wanted if size], model, repeats, show)
    if json_file:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        models = evaluation.load_models(evaluation.Settings(model=model))
        report.write_json(json_file, {"provenance": provenance(model=models.identity), "rows": rows})


def main() -> None:
    """Entry point of the command `codec-bridge`."""
    run(app)


if __name__ == "__main__":
    main()
