"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from codec_bridge import bench, bench_peers, bench_report, insertion, report
from codec_bridge import evaluate as evaluation
from codec_bridge import pairs as training_pairs
from codec_bridge.bd_rate import METHODS
from codec_bridge.catalogue import Sequence, resolve
from codec_bridge.codecs import IN_LOOP, CodecError
from codec_bridge.codecs.hm import CONFIGURATIONS, side_information
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.hm import installer
from codec_bridge.libde265 import LIBDE265
from codec_bridge.metrics import picture_psnr
from codec_bridge.provenance import provenance
from codec_bridge.video import Picture, Video, VideoError, open_video, write_y4m, write_yuv
from codec_bridge.x265 import X265
from vrcnn_int import integer, pairs
from vrcnn_int.console import console, progress_bar, run
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
pairs_app = typer.Typer(no_args_is_help=True, help="Training pairs for `vrcnn-int train`.")
app.add_typer(pairs_app, name="pairs")
hm_app = typer.Typer(
    no_args_is_help=True, help="The filter inside HM, the HEVC reference software: put it into your checkout, or out again."
)
app.add_typer(hm_app, name="hm")


def source_tree_app(codec: insertion.Codec) -> typer.Typer:
    """Commands install, status and uninstall for a codec's source tree."""
    commands = typer.Typer(no_args_is_help=True, help=f"The filter inside {codec.name}: put it into a source tree, or out again.")
    source_option = typer.Option("--source", help=f"Folder of the source tree of {codec.name}.")

    @commands.command("install")
    def install(
        source: Annotated[Path, source_option],
        vrcnn: Annotated[Path | None, typer.Option(help="Where libvrcnn is installed (its PREFIX); default: pkg-config knows.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Also for versions that were never tested.")] = False,
    ) -> None:
        """Put the filter into a source tree; build it afterwards with CMake. Nothing changes if a place is not recognised."""
        changed = insertion.install(codec, source, insertion.find_library(vrcnn), force)
        for path in changed:
            console.print(f"{path}", highlight=False, soft_wrap=True)
        console.print(f"{len(changed)} files changed; build {codec.name} with CMake", highlight=False)
        console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    @commands.command("status")
    def status(source: Annotated[Path, source_option]) -> None:
        """Say which version a source tree is and whether the filter is in it."""
        found = insertion.status(codec, source)
        console.print(f"{codec.name} {found.version}: {found.state}", highlight=False, soft_wrap=True)
        if found.library:
            console.print(f"library: {found.library}", highlight=False, soft_wrap=True)

    @commands.command("uninstall")
    def uninstall(source: Annotated[Path, source_option]) -> None:
        """Take the filter out again: every file is as it was before."""
        changed = insertion.uninstall(codec, source)
        console.print(f"{len(changed)} files changed; the source tree is as it was", highlight=False)

    return commands


for _codec in (X265, LIBDE265):
    app.add_typer(source_tree_app(_codec), name=_codec.name)

Sequences = Annotated[
    list[str], typer.Option(help="A set (builtin, ctc, ctc:B), a catalogued sequence, a folder or a video file; may be given again.")
]
SearchPath = Annotated[str | None, typer.Option(help="Folders with catalogued sequences; default: environment variable VRCNN_SEQUENCES.")]
Qps = Annotated[str, typer.Option(help="QPs, separated by commas.")]
Frames = Annotated[
    str, typer.Option(help="Pictures a sequence, or auto: 4 under 110 000 samples, 2 under 900 000, else 1; 16 if not all-intra.")
]
CodecName = Annotated[
    str,
    typer.Option(help="x265 (through PyAV; filtered after decoding); with the filter inside hm (your build), x265-loop (make codecs)."),
]
Configuration = Annotated[str, typer.Option(help=f"hm: {', '.join(CONFIGURATIONS)}; x265-loop: ai, ldp, ra; x265: ai.")]
CodecsFolder = Annotated[Path | None, typer.Option("--codecs", help="x265-loop's programs; default: VRCNN_CODECS, or build/codecs/bin.")]
HmFolder = Annotated[Path | None, typer.Option("--hm", help="HM's folder; default: environment variables HM_ROOT, HM_ENCODER, HM_DECODER.")]
AnchorFolder = Annotated[
    Path | None, typer.Option("--anchor-hm", help="Folder of an HM without adapter for the anchor; default: the same HM, filter off.")
]
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


def check_outputs(*paths: Path | None, plot: Path | None) -> list[Path]:
    """The files that were asked for, their folders made. Raises VrcnnError for one that cannot be, before any work is done."""
    outputs = [path for path in (*paths, plot) if path is not None]
    if len(set(outputs)) < len(outputs):
        raise VrcnnError("--json, --csv and --plot need files of their own")
    if plot is not None and plot.suffix.lower() != ".png":
        raise VrcnnError(f"the plot is a .png, not {plot.name!r}")
    for path in outputs:
        if path.is_dir():
            raise VrcnnError(f"{path} is a folder; give a file name")
        path.parent.mkdir(parents=True, exist_ok=True)
    return outputs


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


def say_checked_in_loop(pictures: int, samples: int, kernel: str) -> None:
    """One line on what was compared with a codec that has the filter inside."""
    console.print(
        f"bit-consistency: {pictures} coded pictures, {samples} luma samples: encoder's reconstruction = decoder's output ({kernel}) = "
        "offline replay by the oracle (all-intra), no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def bdrate(
    sequences: Sequences = ["builtin"],  # noqa: B006 (typer copies it)
    qp: Qps = "22,27,32,37",
    variants: Annotated[
        str | None,
        typer.Option(help="x265: anchor,none,integer (and float, with torch). Filter inside: anchor,map (and none, picture, after)."),
    ] = None,
    frames: Frames = "auto",
    codec: CodecName = "x265",
    model: ModelFile = None,
    kernel: Kernel = "auto",
    position: Position = "before_deblocking",
    method: Annotated[str, typer.Option(help="Interpolation of the curves: pchip, cubic or akima.")] = "pchip",
    configuration: Configuration = "ai",
    hm: HmFolder = None,
    anchor_hm: AnchorFolder = None,
    codecs: CodecsFolder = None,
    check: Annotated[bool, typer.Option("--check", help="Also compare every filtered picture with the oracle and the decoder.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, BD-rates and provenance.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Rows.")] = None,
    plot: Annotated[Path | None, typer.Option(help="RD curves as PNG.")] = None,
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """BD-rate of the network against the codec's own in-loop filters.

    anchor: deblocking and SAO on. none: both off. integer, float: the network in their place, everywhere. picture, map: the encoder
    decides, for whole pictures or for units of a picture. Negative is better.
    """
    settings = evaluation.Settings(
        codec,
        parse_numbers(qp),
        tuple(word.strip() for word in (variants or evaluation.DEFAULT_VARIANTS.get(codec, "anchor")).split(",")),
        parse_frames(frames),
        model,
        kernel,
        position,
        check=check,
        configuration=configuration,
        hm=hm,
        anchor_hm=anchor_hm,
        codecs=codecs,
    )
    if "anchor" not in settings.variants:
        raise VrcnnError("BD-rate needs the variant anchor to compare with")
    if len(settings.qps) < 4:
        raise VrcnnError(f"BD-rate needs at least four QPs, not {len(settings.qps)}")
    if method not in METHODS:
        raise VrcnnError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    outputs = check_outputs(json_file, csv_file, plot=plot)
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
        (say_checked_in_loop if codec in IN_LOOP else say_checked)(*totals(outcomes))
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
    configuration: Configuration = "ai",
    hm: HmFolder = None,
    codecs: CodecsFolder = None,
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Check bit for bit, picture by picture: oracle = C library = the decoder's output after filtering.

    x265: the encoder's side filters whole pictures; the decoder's side decodes the stream again (picture hashes verified) and filters
    64x64 units; the oracle is plain numpy. The first layer, channel and sample that differ are an error. Given streams are checked
    with the network of each QP.

    hm, x265-loop: the encoder's reconstruction = the decoder's output = the stream's picture hashes, and all-intra = the oracle
    offline, with the side information read from the stream by a parser of its own. Given streams: their picture hashes.
    """
    variants = ("map",) if codec in IN_LOOP else ("integer",)
    settings = evaluation.Settings(
        codec,
        parse_numbers(qp),
        variants,
        parse_frames(frames),
        model,
        kernel,
        position,
        check=True,
        configuration=configuration,
        hm=hm,
        codecs=codecs,
    )
    if not streams:
        outcomes = run_evaluation(find(sequences or ["builtin"], search_path, size, pixel_format), settings, workers)
        (say_checked_in_loop if codec in IN_LOOP else say_checked)(*totals(outcomes))
        return
    if sequences:
        raise VrcnnError("give either streams or --sequences")
    evaluation.check_settings(settings)
    if codec in IN_LOOP:
        for stream in streams:
            check_one = evaluation.check_hm_stream if codec == "hm" else evaluation.check_x265_loop_stream
            pictures, filtered = check_one(stream, settings)
            console.print(
                f"{stream}: {pictures} pictures, {filtered} of them filtered, every picture hash OK", highlight=False, soft_wrap=True
            )
        return
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
    threads: Annotated[int, typer.Option(help="That work on a picture; any number gives the same bits.", min=1, max=64)] = 1,
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
        filter_ = Filter(model, kernel, backend, threads)

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


@pairs_app.command("code")
def code_pairs(
    images: Annotated[Path, typer.Argument(help="Folder of pictures (and videos).")],
    out: Annotated[Path, typer.Option(help="Folder to write pairs.qQP.npz into; what an interrupted run coded there is used.")],
    qps: Annotated[str, typer.Option("--qp", help="QPs, separated by commas.")] = "22,27,32,37",
    position: Position = "before_deblocking",
    codec: Annotated[str, typer.Option(help="Encoder: x265.")] = "x265",
    downscale: Annotated[int, typer.Option(help="Average so many samples in each direction first.", min=1)] = 1,
    workers: Workers = None,
) -> None:
    """Code pictures all-intra and pack them as pair files, one a QP."""
    if position not in POSITIONS:
        raise VrcnnError(f"unknown position {position!r}; there are {', '.join(POSITIONS)}")
    if not all(part.strip().isdecimal() and int(part) <= 51 for part in qps.split(",")):
        raise VrcnnError(f"{qps!r} is not a list of QPs from 0 to 51 such as 22,27,32,37")
    with progress_bar() as progress:
        task = progress.add_task("files", total=len(resolve(images, rate=Fraction(1))))
        wanted = [int(part) for part in qps.split(",")]
        files = training_pairs.code(images, wanted, out, position, codec, downscale, workers, lambda: progress.advance(task))
    for file in files:
        console.print(f"wrote {file}", soft_wrap=True)


@pairs_app.command("pack")
def pack_pairs(
    source: Annotated[Path, typer.Argument(help="Pair file.")],
    out: Annotated[Path, typer.Option(help="Packed pair file to write (.npz); training reads it like any other.")],
    megabytes: Annotated[float | None, typer.Option(help="At most so many (million bytes): pictures are drawn until it is full.")] = None,
    seed: Annotated[int, typer.Option(help="Of the drawing.", min=0)] = 1,
) -> None:
    """Compress a pair file without loss, for machines that it must be carried to."""
    found = pairs.read(source)
    count = pairs.pack(found, out, round(megabytes * 1e6) if megabytes is not None else None, seed)
    console.print(f"wrote {out}: {count} of {len(found.recon)} pictures, {out.stat().st_size / 1e6:.1f} MB", soft_wrap=True)


@hm_app.command("install")
def hm_install(
    hm: Annotated[Path, typer.Option("--hm", help="Folder of the HM checkout.")],
    vrcnn: Annotated[Path | None, typer.Option(help="Where libvrcnn is installed (its PREFIX); default: pkg-config knows.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also for versions of HM that were never tested.")] = False,
) -> None:
    """Put the filter into a checkout of HM; build HM afterwards as its manual says. Nothing changes if a place is not recognised."""
    changed = installer.install(hm, installer.find_library(vrcnn), force)
    for path in changed:
        console.print(f"{path}", highlight=False, soft_wrap=True)
    console.print(f"{len(changed)} files changed; build HM, then code with --VRCNN=1", highlight=False)
    console.print(f"note: {installer.NOT_CONFORMING}", highlight=False, soft_wrap=True)


@hm_app.command("status")
def hm_status(hm: Annotated[Path, typer.Option("--hm", help="Folder of the HM checkout.")]) -> None:
    """Say which HM a checkout is and whether the filter is in it."""
    found = installer.status(hm)
    console.print(f"HM {found.version}, built with {found.build}: {found.state}", highlight=False, soft_wrap=True)
    if found.library:
        console.print(f"library: {found.library}", highlight=False, soft_wrap=True)
        console.print(f"note: {installer.NOT_CONFORMING}", highlight=False, soft_wrap=True)


@hm_app.command("uninstall")
def hm_uninstall(hm: Annotated[Path, typer.Option("--hm", help="Folder of the HM checkout.")]) -> None:
    """Take the filter out again: every file is as it was before."""
    changed = installer.uninstall(hm)
    console.print(f"{len(changed)} files changed; the checkout is as it was", highlight=False)


@hm_app.command("inspect")
def hm_inspect(stream: Annotated[Path, typer.Argument(help="HEVC stream.")]) -> None:
    """List the side information of a stream's pictures, in decoding order."""
    for number, side in enumerate(side_information(stream.read_bytes())):
        if side is None:
            console.print(f"picture {number}: none", highlight=False)
            continue
        words = [side.mode]
        if side.mode != "off":
            words += [side.position, f"networks {','.join(map(str, side.indices))}", f"scale {side.scale}"]
        if side.units is not None:
            counts = np.bincount(side.units.ravel(), minlength=len(side.indices) + 1)
            words.append(f"units of {side.unit_size}: {counts[0]} without network, {', '.join(map(str, counts[1:]))} with each")
        identity = f" (model set {side.identity.hex()})" if side.identity else ""
        console.print(f"picture {number}: {', '.join(words)}{identity}", highlight=False, soft_wrap=True)
    console.print(f"note: {installer.NOT_CONFORMING}", highlight=False, soft_wrap=True)


@app.command("bench")
def run_bench(
    sizes: Annotated[str, typer.Option(help="Picture sizes, separated by commas.")] = ",".join(f"{w}x{h}" for w, h in bench.SIZES),
    threads: Annotated[str, typer.Option(help="Thread counts, separated by commas.")] = ",".join(map(str, bench.THREADS)),
    kernels: Annotated[str | None, typer.Option(help="Kernels, separated by commas; default: all that this machine supports.")] = None,
    repeats: Annotated[int, typer.Option(help="Measured pictures a row, at least.", min=1)] = bench.REPEATS,
    budget: Annotated[
        float, typer.Option(help="Leave out rows that would take longer, in seconds (scalar ones of large pictures). 0: none.", min=0)
    ] = bench.BUDGET,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with other engines too: those of the bench extra.")] = False,
    model: ModelFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, peaks and provenance.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Rates and times over picture size as PNG.")] = None,
) -> None:
    """Time the filter on this machine: every kernel that it supports, beside the peak rate of the instruction that the kernel uses.

    --peers: also the same network in OpenVINO, ONNX Runtime and PyTorch, in turns, and how many samples each changes with the
    instruction set.
    """
    wanted = [size for size in map(parse_size, sizes.split(",")) if size]
    counts = parse_numbers(threads)
    outputs = check_outputs(json_file, plot=plot)
    if peers:
        bench_peers.check(model)
    with progress_bar() as progress:
        task = progress.add_task("starting", total=100)

        def show(what: str, share: float) -> None:
            progress.update(task, completed=int(100 * share), description=what)

        names = kernels.split(",") if kernels else None
        document: dict[str, Any] = bench.bench(wanted, counts, names, model, repeats, budget, show)
        if peers:
            fitting = [size for size in wanted if size[0] * size[1] <= bench_peers.LARGEST]
            document["peers"] = bench_peers.compare(fitting or wanted, counts, model, progress=show)
    models = evaluation.load_models(evaluation.Settings(model=model))
    document = {"provenance": provenance(model=models.identity, **document.get("peers", {}).get("versions", {})), **document}
    if json_file:
        report.write_json(json_file, document)
    bench_report.print_tables(document, console)
    if plot:
        bench_report.write_plot(plot, document)
    if outputs:
        console.print(f"wrote {', '.join(map(str, outputs))}", soft_wrap=True, highlight=False)
    if peers and document["peers"]["failures"]:
        raise VrcnnError(f"{len(document['peers']['failures'])} peers failed: {document['peers']['failures'][0]}")


def main() -> None:
    """Entry point of the command `codec-bridge`."""
    run(app)


if __name__ == "__main__":
    main()
