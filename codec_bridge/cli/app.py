"""codec-bridge: filter coded video, evaluate BD-rate, and check that encoder and decoder agree bit for bit."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from codec_bridge import pairs as training_pairs
from codec_bridge.bench import cuda as bench_cuda
from codec_bridge.bench import peers as bench_peers
from codec_bridge.bench import report as bench_report
from codec_bridge.bench import run as bench
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import insertion
from codec_bridge.codecs.base import IN_LOOP
from codec_bridge.codecs.hm.places import HM
from codec_bridge.codecs.hm.run import CONFIGURATIONS, side_information
from codec_bridge.codecs.libde265.places import LIBDE265
from codec_bridge.codecs.x265.places import X265
from codec_bridge.evaluation import cluster, contact_sheet, jobs
from codec_bridge.evaluation import plan as planning
from codec_bridge.evaluation import work as evaluation
from codec_bridge.evaluation.plan import Plan, parse_size
from codec_bridge.evaluation.progress import Bars, json_line
from codec_bridge.evaluation.store import Store
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.filter import BACKENDS, Filter
from codec_bridge.library.conformance import CLibrary
from codec_bridge.provenance import provenance
from codec_bridge.report import document as report
from codec_bridge.report import markdown as markdown_report
from codec_bridge.report import page as html_report
from codec_bridge.report import view as report_view
from codec_bridge.research import compare as methods
from codec_bridge.research.super_resolution import make as upscale
from codec_bridge.video.catalogue import Sequence, resolve
from codec_bridge.video.video import Picture, Video, VideoError, open_video, write_y4m, write_yuv
from vrcnn_int import integer, pairs
from vrcnn_int.conformance import Suite
from vrcnn_int.conformance.verify import show_results, verify
from vrcnn_int.console import console, notices, progress_bar, run
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS
from vrcnn_int.research import comparison

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
pairs_app = typer.Typer(no_args_is_help=True, help="Training pairs for `vrcnn-int train`.")
app.add_typer(pairs_app, name="pairs")


def source_tree_app(codec: insertion.Codec, option: str = "--source") -> typer.Typer:
    """Commands install, status and uninstall for a codec's source tree."""
    commands = typer.Typer(no_args_is_help=True, help=f"The filter inside {codec.name}: put it into a {codec.tree}, or out again.")
    source_option = typer.Option(option, help=f"Folder of the {codec.name} {codec.tree}.")

    @commands.command("install")
    def install(
        source: Annotated[Path, source_option],
        vrcnn: Annotated[Path | None, typer.Option(help="Where libvrcnn is installed (its PREFIX); default: pkg-config knows.")] = None,
        force: Annotated[bool, typer.Option("--force", help="Also for versions that were never tested.")] = False,
    ) -> None:
        """Put the filter in; build the codec afterwards as its manual says. Nothing changes if a place is not recognised."""
        changed = insertion.install(codec, source, insertion.find_library(vrcnn), force)
        for path in changed:
            console.print(f"{path}", highlight=False, soft_wrap=True)
        console.print(f"{len(changed)} files changed; {codec.following}", highlight=False)
        console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    @commands.command("status")
    def status(source: Annotated[Path, source_option]) -> None:
        """Say which version it is and whether the filter is in it."""
        found = insertion.status(codec, source)
        console.print(f"{codec.name} {found.version}, built with {found.build}: {found.state}", highlight=False, soft_wrap=True)
        if found.library:
            console.print(f"library: {found.library}", highlight=False, soft_wrap=True)
            console.print(f"note: {codec.notice}", highlight=False, soft_wrap=True)

    @commands.command("uninstall")
    def uninstall(source: Annotated[Path, source_option]) -> None:
        """Take the filter out again: every file is as it was before."""
        changed = insertion.uninstall(codec, source)
        console.print(f"{len(changed)} files changed; the {codec.tree} is as it was", highlight=False)

    return commands


hm_app = source_tree_app(HM, "--hm")
app.add_typer(hm_app, name="hm")
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
Backend = Annotated[str, typer.Option(help="What filters decoded pictures: c (the C library) or cuda (a GPU; `make cuda`).")]
Position = Annotated[str, typer.Option(help=f"Where the filter stands: {' or '.join(POSITIONS)}.")]
Workers = Annotated[int | None, typer.Option(help="Jobs at once; default: one a core.", min=1)]
CsvFile = Annotated[Path | None, typer.Option("--csv", help="Rows.")]
HtmlFile = Annotated[Path | None, typer.Option("--html", help="The report as one page that needs nothing else.")]
MarkdownFile = Annotated[Path | None, typer.Option("--markdown", help="The report's tables as Markdown.")]
PlotFile = Annotated[Path | None, typer.Option("--plot", help="RD curves as PNG.")]
Size = Annotated[str | None, typer.Option(help="Size of .yuv files, WIDTHxHEIGHT.")]
PixelFormat = Annotated[str | None, typer.Option("--format", help="Format of .yuv files: yuv420p, yuv420p10le, gray, ...")]

PLAN_OPTIONS = {
    "sequences", "qp", "variants", "frames", "codec", "model", "kernel", "position", "method", "configuration", "hm", "anchor_hm",
    "codecs", "check", "backend", "keep_streams", "search_path", "size", "pixel_format", "apart", "stream_cache",
}  # fmt: skip


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


@contextmanager
def results_folder(results: Path | None) -> Iterator[Path]:
    """The folder that the user named, or one that goes away; an interruption says what is left."""
    try:
        if results:
            yield results
        else:
            with tempfile.TemporaryDirectory(prefix="vrcnn-results-") as folder:
                yield Path(folder)
    except KeyboardInterrupt:
        text = "nothing is kept: with --results FOLDER an evaluation can go on"
        if results:
            text = f"{len(list(results.glob('jobs/*.json')))} results are kept in {results}; the same command goes on from there"
        notices.print(text, highlight=False, soft_wrap=True)
        raise


def find(words: list[str], search_path: str | None, size: str | None, pixel_format: str | None) -> tuple[Sequence, ...]:
    """The sequences that the options name."""
    return tuple(sequence for word in words for sequence in resolve(word, search_path, size=parse_size(size), pixel_format=pixel_format))


def evaluate(plan: Plan, store: Store, place: cluster.Place, json_lines: bool = False) -> cluster.Evaluation:
    """cluster.evaluate() with progress on standard error, or events on standard output."""
    if json_lines:
        return cluster.evaluate(plan, store, place, json_line)
    with Bars().shown() as bars:
        return cluster.evaluate(plan, store, place, bars)


def check_outputs(*paths: Path | None, plot: Path | None) -> list[Path]:
    """The files that were asked for, their folders made. Raises VrcnnError for one that cannot be, before any work is done."""
    outputs = [path for path in (*paths, plot) if path is not None]
    if len(set(outputs)) < len(outputs):
        raise VrcnnError("every output needs a file of its own")
    if plot is not None and plot.suffix.lower() != ".png":
        raise VrcnnError(f"the plot is a .png, not {plot.name!r}")
    for path in outputs:
        if path.is_dir():
            raise VrcnnError(f"{path} is a folder; give a file name")
        path.parent.mkdir(parents=True, exist_ok=True)
    return outputs


def write_views(document: dict[str, Any], folder: Path | None, html: Path | None, markdown: Path | None, plot: Path | None) -> None:
    """Those of the page, the Markdown tables and the RD curves that were asked for; folder: where the crops are."""
    if html:
        html_report.write_html(html, document, folder)
    if markdown:
        markdown_report.write_markdown(markdown, document)
    if plot:
        report.write_plot(plot, document)


def totals(rows: list[dict[str, Any]]) -> tuple[int, int, str]:
    """Pictures and samples that were checked, and the kernels that filtered them."""
    kernels = ", ".join(sorted({row["kernel"] for row in rows} - {None}))
    return sum(row["checked_pictures"] or 0 for row in rows), sum(row["checked_samples"] or 0 for row in rows), kernels


def document_of(plan: Plan, found: cluster.Evaluation) -> dict[str, Any]:
    """What the JSON file holds."""
    rows = found.rows
    origin = provenance(
        model=evaluation.load_models(plan.runs[0]).identity,
        kernels=sorted({row["kernel"] for row in rows} - {None}),
        programs=jobs.programs_of(found.jobs),
        timing=found.timing,
    )
    facts = jobs.facts(plan, found.jobs)
    return {"schema": report.SCHEMA, "provenance": origin, "plan": facts, "rows": rows, **report.summarise(rows, plan.method, plan.apart)}


def list_jobs(plan: Plan, store: Store, place: cluster.Place, json_lines: bool) -> None:
    """Print the jobs of a plan and whether they are done, and Slurm's job script where it is wanted."""
    wanted = jobs.expand(plan)
    done, missing = cluster.look_up(wanted, store)
    for job in wanted:
        state = f"impossible: {job.source.problem}" if job.source.problem else "done" if job.key in done else "missing"
        if json_lines:
            json_line({"event": "job", "state": state, **job.names})
        else:
            console.print(f"{job.key[:16]}  {job}: {state}", highlight=False, soft_wrap=True)
    if json_lines:
        return
    tasks = len(jobs.groups(missing))
    console.print(f"{len(wanted)} jobs, {len(done)} of them done; {len(missing)} need {tasks} streams", highlight=False)
    if place.slurm:
        with cluster.slurm_cluster(plan) as slurm:
            console.print(slurm.job_script(), highlight=False, soft_wrap=True)


def say_timing(timing: dict[str, Any]) -> None:
    """One line on what was computed and what the evaluation itself took of the workers' time."""
    counts = timing["jobs"]
    text = f"{counts['done']} jobs done, {counts['cached']} done before, {counts['failed']} failed"
    if timing["overhead_percent"] is not None:
        text += (
            f"; {timing['wall_seconds']:.1f} s with {timing['workers']} workers, of whose time {timing['overhead_percent']:.1f} % were not"
        )
        text += " spent in encoders, decoders, filters and metrics"
    console.print(text, highlight=False, soft_wrap=True)


def fail_if_flagged(flags: list[dict[str, Any]]) -> None:
    """Raise VrcnnError if results are missing; what is only doubtful is no error."""
    errors = [report.describe(flag) for flag in flags if flag["severity"] == "error"]
    if errors:
        results = "1 result is" if len(errors) == 1 else f"{len(errors)} results are"
        raise VrcnnError(f"{results} missing: {errors[0]}" + (" (more above)" if len(errors) > 1 else ""))


def say_checked(pictures: int, samples: int, kernel: str) -> None:
    """One line on what was compared."""
    library = "CUDA library" if kernel == "cuda" else f"C library ({kernel})"
    console.print(
        f"bit-consistency: {pictures} coded pictures, {samples} luma samples: oracle = {library} = "
        "filtered decoder output, no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


def say_checked_in_loop(pictures: int, samples: int, kernel: str, replayed: bool) -> None:
    """One line on what was compared with a codec that has the filter inside; replayed: all-intra pictures were among them."""
    replay = " = offline replay by the oracle (all-intra)" if replayed else ""
    console.print(
        f"bit-consistency: {pictures} coded pictures, {samples} luma samples: encoder's reconstruction = decoder's output ({kernel})"
        f"{replay}, no sample differs; every picture hash verified",
        highlight=False,
        soft_wrap=True,
    )


def say_rows_checked(rows: list[dict[str, Any]]) -> None:
    """One line on what was compared for rows of one codec."""
    if rows[0]["codec"] in IN_LOOP:
        say_checked_in_loop(*totals(rows), replayed=any(row["configuration"] == "ai" for row in rows))
    else:
        say_checked(*totals(rows))


@app.command()
def bdrate(
    context: typer.Context,
    sequences: Sequences = ["builtin"],  # noqa: B006 (typer copies it)
    plan_file: Annotated[Path | None, typer.Option("--plan", help="A plan (TOML) instead of the options that say what is run.")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder that keeps each result; what it holds is not computed again.")] = None,
    qp: Qps = "22,27,32,37",
    variants: Annotated[
        str | None,
        typer.Option(help="Default: x265 anchor,none,integer; inside anchor,map. More, by codec: float (torch), choice, picture, after."),
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
    backend: Backend = "c",
    keep_streams: Annotated[bool, typer.Option("--keep-streams", help="Keep the streams in the results folder.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, BD-rates and provenance.")] = None,
    csv_file: CsvFile = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    plot: PlotFile = None,
    workers: Workers = None,
    scheduler: Annotated[str | None, typer.Option(help="Run on the workers of this Dask scheduler, such as tcp://host:8786.")] = None,
    slurm: Annotated[bool, typer.Option("--slurm", help="Run on Slurm, as the plan's table slurm says.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs and which are done; run nothing.")] = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="Print events as lines of JSON instead of tables.")] = False,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
    apart: Annotated[list[str] | None, typer.Option(help="Sequence that is in no mean; may be given again.")] = None,
    stream_cache: Annotated[Path | None, typer.Option(help="Folder that keeps streams without a network for other evaluations.")] = None,
) -> None:
    """BD-rate of the network against the codec's own in-loop filters.

    anchor: deblocking and SAO on. none: both off. integer, float: the network in their place, everywhere. choice: the same, where it
    pays, decided offline. picture, map: the encoder decides, for whole pictures or for units of a picture. Negative is better.

    Streams whose decoder has other pictures than their encoder give no figures: their rows say why, and the exit code is 1.
    """
    if plan_file:
        said = {name: context.get_parameter_source(name) for name in context.params}
        of_the_plan = PLAN_OPTIONS & {name for name, source in said.items() if source and source.name == "COMMANDLINE"}
        if of_the_plan:
            raise VrcnnError(f"{', '.join(sorted(of_the_plan))}: give this in the plan {plan_file}, not as an option beside --plan")
        plan = planning.load(plan_file)
    else:
        words = (variants or evaluation.DEFAULT_VARIANTS.get(codec, "anchor")).split(",")
        settings = evaluation.Settings(
            codec,
            parse_numbers(qp),
            tuple(word.strip() for word in words),
            parse_frames(frames),
            model,
            kernel,
            position,
            check=check,
            configuration=configuration,
            hm=hm,
            anchor_hm=anchor_hm,
            codecs=codecs,
            stream_cache=stream_cache,
            backend=backend,
        )
        found_sequences = find(sequences, search_path, size, pixel_format)
        plan = Plan(found_sequences, (settings,), method, keep_streams=keep_streams, apart=tuple(apart or ()))
    plan.check_curves()
    if scheduler and slurm:
        raise VrcnnError("give either --scheduler or --slurm")
    outputs = check_outputs(json_file, csv_file, html, markdown, plot=plot)
    place = cluster.Place(workers, scheduler, slurm)
    with results_folder(results) as folder:
        if dry_run:
            list_jobs(plan, Store(folder), place, json_lines)
            return
        store = Store(folder)
        found = evaluate(plan, store, place, json_lines)
        document = document_of(plan, found)
        # Results before pictures of them: a plot that fails must not cost an evaluation.
        if results:
            report.write_json(folder / report_view.RESULT_FILE, document)
        if json_file:
            report.write_json(json_file, document)
        if csv_file:
            report.write_csv(csv_file, found.rows)
        if json_lines:
            json_line({"event": "summary", "timing": found.timing, "means": document["means"], "flags": document["flags"]})
        else:
            report.print_table(document, console)
            encoders = ", ".join(dict.fromkeys(row["encoder"] for row in found.rows if row["encoder"]))
            console.print(f"model set {document['provenance']['model'][:16]}, {encoders}", highlight=False)
            say_timing(found.timing)
            if any(settings.check for settings in plan.runs):
                say_rows_checked(found.rows)
        write_views(document, folder, html, markdown, plot)
    if outputs and not json_lines:
        console.print(f"wrote {', '.join(map(str, outputs))}", soft_wrap=True, highlight=False)
    fail_if_flagged(document["flags"])


@app.command("contact-sheet")
def make_contact_sheet(
    out: Annotated[Path, typer.Option(help="PNG file to write.")],
    sequences: Sequences = ["astronaut", "chelsea", "coffee", "camera"],  # noqa: B006 (typer copies it)
    qp: Annotated[int, typer.Option(help="QP.", min=0, max=51)] = 37,
    model: ModelFile = None,
    search_path: SearchPath = None,
) -> None:
    """Show crops of pictures before and after the network, beside the original and the ordinary filters, in one picture."""
    contact_sheet.make(out, find(sequences, search_path, None, None), qp, model)
    console.print(f"wrote {out}", soft_wrap=True, highlight=False)


@app.command("report")
def make_report(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="JSON file of bdrate, or the results folder that one was kept in.")],
    results: Annotated[Path | None, typer.Option(help="Results folder with the crops; default: the JSON file's folder.")] = None,
    html: HtmlFile = None,
    markdown: MarkdownFile = None,
    csv_file: CsvFile = None,
    plot: PlotFile = None,
) -> None:
    """Make tables, page and plot again from what bdrate found; without options: print the table."""
    outputs = check_outputs(csv_file, html, markdown, plot=plot)
    path = result / report_view.RESULT_FILE if result.is_dir() else result
    if path in outputs:
        raise VrcnnError(f"{path} is the result itself; give the report a file of its own")
    folder = results or (path.parent if (path.parent / "crops").is_dir() else None)
    document = report_view.read(path)
    with report_view.rendering(path):
        if csv_file:
            report.write_csv(csv_file, document["rows"])
        write_views(document, folder, html, markdown, plot)
        if not outputs:
            report.print_table(document, console)
    if outputs:
        console.print(f"wrote {', '.join(map(str, outputs))}", soft_wrap=True, highlight=False)


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
    backend: Backend = "c",
    workers: Workers = None,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
) -> None:
    """Check bit for bit, picture by picture: oracle = C library (or GPU) = the decoder's output after filtering.

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
        backend=backend,
    )
    if not streams:
        plan = Plan(find(sequences or ["builtin"], search_path, size, pixel_format), (settings,))
        with results_folder(None) as folder:
            rows = evaluate(plan, Store(folder), cluster.Place(workers)).rows
        fail_if_flagged(report.flags_of_rows(rows))
        say_rows_checked(rows)
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
    backend: Annotated[str, typer.Option(help="c (the C library), cuda, oracle (numpy, slow) or float (torch; not bit-exact).")] = "c",
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
    codec: Annotated[str, typer.Option(help="Encoder: x265, or hm (your build).")] = "x265",
    downscale: Annotated[int, typer.Option(help="Average so many samples in each direction first.", min=1)] = 1,
    workers: Workers = None,
    hm: HmFolder = None,
) -> None:
    """Code pictures all-intra and pack them as pair files, one a QP."""
    if position not in POSITIONS:
        raise VrcnnError(f"unknown position {position!r}; there are {', '.join(POSITIONS)}")
    if not all(part.strip().isdecimal() and int(part) <= 51 for part in qps.split(",")):
        raise VrcnnError(f"{qps!r} is not a list of QPs from 0 to 51 such as 22,27,32,37")
    with progress_bar() as progress:
        task = progress.add_task("files", total=len(resolve(images, rate=Fraction(1))))
        wanted = [int(part) for part in qps.split(",")]
        files = training_pairs.code(images, wanted, out, position, codec, downscale, workers, lambda: progress.advance(task), hm)
    for file in files:
        console.print(f"wrote {file}", soft_wrap=True)


@pairs_app.command("upscale")
def upscale_pairs(
    source: Annotated[Path, typer.Argument(help="Video, or a folder of pictures.")],
    out: Annotated[Path, typer.Option(help="Pair file to write (.npz).")],
    factor: Annotated[int, typer.Option(help="How much smaller they are made, and as large again.", min=2, max=8)] = 2,
    frames: Annotated[int | None, typer.Option(help="At most so many pictures.", min=1)] = None,
) -> None:
    """Pack pictures beside themselves made smaller and upscaled, for super-resolution: `vrcnn-int train --set network=vdsr`."""
    count = upscale(source, out, factor, frames)
    console.print(f"wrote {out}: {count} pictures, factor {factor}", soft_wrap=True)


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
    console.print(f"note: {HM.notice}", highlight=False, soft_wrap=True)


@app.command("conformance")
def check_conformance(
    folder: Annotated[Path | None, typer.Argument(help="The suite; default: the one that is shipped.")] = None,
    kernel: Kernel = "auto",
    threads: Annotated[int, typer.Option(help="Threads that work on a picture.", min=1, max=64)] = 1,
) -> None:
    """Compare the C library with the conformance suite, bit for bit (`vrcnn-int conformance verify` does it for any program)."""
    library = CLibrary(kernel, threads)
    show_results(library.name, verify(Suite.load(folder), library))


@app.command("bench")
def run_bench(
    context: typer.Context,
    sizes: Annotated[str, typer.Option(help="Picture sizes, separated by commas.")] = ",".join(f"{w}x{h}" for w, h in bench.SIZES),
    threads: Annotated[str, typer.Option(help="Thread counts, separated by commas.")] = ",".join(map(str, bench.THREADS)),
    kernels: Annotated[str | None, typer.Option(help="Kernels, separated by commas; default: all that this machine supports.")] = None,
    repeats: Annotated[int, typer.Option(help="Measured pictures a row, at least.", min=1)] = bench.REPEATS,
    budget: Annotated[
        float, typer.Option(help="Leave out rows that would take longer, in seconds (scalar ones of large pictures). 0: none.", min=0)
    ] = bench.BUDGET,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with other engines too: those of the bench extra.")] = False,
    backend: Annotated[str, typer.Option(help="c (the C library) or cuda (a GPU; --peers is torch there).")] = "c",
    model: ModelFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, peaks and provenance.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Rates and times over picture size as PNG.")] = None,
) -> None:
    """Time the filter on this machine: every kernel that it supports, beside the peak rate of the instruction that the kernel uses.

    --peers: also the same network in OpenVINO, ONNX Runtime and PyTorch, in turns, and how many samples each changes with the
    instruction set.

    --backend cuda: pictures in the GPU's memory, and from ordinary memory and back, beside the rate of its int8 tensor cores; --peers:
    also PyTorch's forms on that GPU, at the largest size up to 2560x1600.
    """
    if backend not in evaluation.BACKENDS:
        raise VrcnnError(f"unknown backend {backend!r}; there are {' and '.join(evaluation.BACKENDS)}")
    if backend == "cuda":
        said = {name: context.get_parameter_source(name) for name in ("threads", "kernels", "budget")}
        if unfit := [name for name, source in said.items() if source and source.name == "COMMANDLINE"]:
            raise VrcnnError(f"--{unfit[0]} is for backend c: a GPU has no such choice")
        bench_cuda.check(model, peers)
    elif peers:
        bench_peers.check(model)
    wanted = [size for size in map(parse_size, sizes.split(",")) if size]
    counts = parse_numbers(threads)
    outputs = check_outputs(json_file, plot=plot)
    with progress_bar() as progress:
        task = progress.add_task("starting", total=100)

        def show(what: str, share: float) -> None:
            progress.update(task, completed=int(100 * share), description=what)

        document: dict[str, Any]
        if backend == "cuda":
            document = bench_cuda.bench(bench.photograph(), wanted, model, repeats, show)
            if peers:
                show("peers", 0.99)
                document["peers"] = bench_cuda.compare(bench.photograph(), document["rows"], model)
        else:
            names = kernels.split(",") if kernels else None
            document = bench.bench(wanted, counts, names, model, repeats, budget, show)
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


@app.command("compare")
def compare_methods(
    folder: Annotated[Path, typer.Argument(help="What `vrcnn-int compare --out` wrote.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file that the C library is compared with the oracle on, of each QP.")],
    sequences: Annotated[list[str] | None, typer.Option(help="Also BD-rate on these: a set, a folder or a video file.")] = None,
    qp: Qps = "22,27,32,37",
    frames: Frames = "auto",
    search_path: SearchPath = None,
) -> None:
    """Complete a comparison of quantization methods: every kernel of the C library against the oracle, and BD-rate where asked.

    What was evaluated before is kept in the folder. Exit code 1 if a kernel differs.
    """
    settings = evaluation.Settings(qps=parse_numbers(qp), frames=parse_frames(frames))
    found = find(sequences, search_path, None, None) if sequences else ()
    warnings: list[str] = []
    with progress_bar() as progress:
        task = progress.add_task("comparing", total=None)
        held_out = [pairs.read(path) for path in validate]
        rows, more = methods.columns(
            folder, held_out, found, settings, lambda text: progress.update(task, description=text), warnings.append
        )
    console.print(comparison.table(rows, more))
    for text in warnings:
        console.print(f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    for line in comparison.reasons(rows):
        console.print(line, highlight=False, soft_wrap=True)
    wrong = [f"{method}: {text}" for method, text in more["exact"].items() if text.startswith("NO")]
    if wrong:
        raise VrcnnError(f"the C library differs from the oracle: {'; '.join(wrong)}")


def main() -> None:
    """Entry point of the command `codec-bridge`."""
    run(app)
