"""codec-bridge bdrate: an evaluation, run or gone on with, and what came of it."""

from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console

from codec_bridge import codecs as known_codecs
from codec_bridge.cli.evaluation import (
    evaluate,
    fail_if_flagged,
    filtered_planes,
    kernels_of,
    results_folder,
    say_far_qps,
    say_rows_checked,
)
from codec_bridge.cli.options import (
    DEFAULT_QPS,
    DEFAULT_VARIANTS,
    Backend,
    CodecName,
    Configuration,
    CsvFile,
    Folders,
    Frames,
    HtmlFile,
    Kernel,
    Kind,
    MarkdownFile,
    ModelFile,
    NetworkSize,
    PixelFormat,
    PlotFile,
    Position,
    Qps,
    SearchPath,
    Sequences,
    Size,
    Workers,
    check_folders,
    given,
    parse_frames,
    parse_numbers,
    parse_sequences,
    takes_folders,
)
from codec_bridge.cli.outputs import Outputs
from codec_bridge.evaluation import cluster, jobs
from codec_bridge.evaluation import plan as planning
from codec_bridge.evaluation.dask import slurm_cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.progress import json_line
from codec_bridge.evaluation.settings import Settings, load_models
from codec_bridge.evaluation.store import Store, own_places
from codec_bridge.figures.perceptual import NAMES as METRICS
from codec_bridge.provenance import provenance
from codec_bridge.report.document import RESULT_FILE, Document, write_json
from codec_bridge.report.summary import summarise
from codec_bridge.report.tables import print_table
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import is_standard_output
from vrcnn_int.io.console import console, notices
from vrcnn_int.text import counted, plain

BESIDE_A_PLAN = (
    *("plan_file", "results", "json_file", "csv_file", "html", "markdown", "plot"),
    *("workers", "scheduler", "slurm", "dry_run", "json_lines", "allow_programs"),
)
"""Parameters of bdrate that say nothing about what is run: a plan file leaves them to the command line."""


@takes_folders(anchors=True)
def bdrate(
    context: typer.Context,
    sequences: Sequences = ["builtin"],  # noqa: B006 (typer copies it)
    plan_file: Annotated[Path | None, typer.Option("--plan", help="A plan (TOML) instead of the options that say what is run.")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder that keeps each result; what it holds is not computed again.")] = None,
    qp: Qps = DEFAULT_QPS,
    variants: Annotated[
        str | None,
        typer.Option(help=f"Default: {DEFAULT_VARIANTS}. More, by codec: float (torch), choice, picture, after."),
    ] = None,
    frames: Frames = "auto",
    codec: CodecName = known_codecs.DEFAULT,
    model: ModelFile = None,
    kernel: Kernel = "auto",
    kind: Kind = None,
    network_size: NetworkSize = "best",
    position: Position = "before_deblocking",
    method: Annotated[str, typer.Option(help="Interpolation of the curves: pchip, cubic or akima.")] = "pchip",
    metrics: Annotated[
        str | None,
        typer.Option(help=f"Beside PSNR and SSIM of luma: {', '.join(METRICS)} (ssim: of chroma, too), separated by commas."),
    ] = None,
    configuration: Configuration = "ai",
    folders: Folders = MappingProxyType({}),
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
    allow_programs: Annotated[bool, typer.Option("--allow-programs", help="Run the programs that the plan names.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the jobs and which are done; run nothing.")] = False,
    json_lines: Annotated[bool, typer.Option("--json-lines", help="Print events as lines of JSON instead of tables.")] = False,
    search_path: SearchPath = None,
    size: Size = None,
    pixel_format: PixelFormat = None,
    apart: Annotated[list[str] | None, typer.Option(help="Sequence that is in no mean; may be given again.")] = None,
    stream_cache: Annotated[Path | None, typer.Option(help="Folder that keeps streams without a network for other evaluations.")] = None,
) -> None:
    """BD-rate of the network against the codec's own in-loop filters.

    anchor: deblocking and SAO on. none: both off. integer, float: the network in their place, everywhere (joint networks: in chroma, too).
    choice: a luma network where it pays, decided offline. picture, map: the encoder decides, for whole pictures or for units of a picture.
    Negative is better.

    Streams whose decoder has other pictures than their encoder give no figures: their rows say why, and the exit code is 1.
    """
    if plan_file:
        plan = load_plan(context, plan_file, allow_programs)
    else:
        check_folders(codec, folders)
        settings = Settings(
            codec,
            parse_numbers(qp),
            tuple(word.strip() for word in variants.split(",")) if variants is not None else known_codecs.find(codec).default_variants,
            parse_frames(frames),
            model,
            kernel,
            position,
            check=check,
            configuration=configuration,
            folders=folders,
            stream_cache=stream_cache,
            backend=backend,
            kind=kind,
            network_size=network_size,
            metrics=tuple(word.strip() for word in metrics.split(",")) if metrics is not None else (),
        )
        chosen = parse_sequences(sequences, search_path, size, pixel_format)
        plan = Plan(chosen, (settings,), method, keep_streams=keep_streams, apart=tuple(apart or ()))
        plan.check()
    plan.check_curves()
    if scheduler is not None and slurm:
        raise VrcnnError("give either --scheduler or --slurm")
    outputs = Outputs(json_file, csv_file, html, markdown, plot)
    if json_lines and any(map(is_standard_output, outputs.files)):
        raise VrcnnError("standard output has the events of --json-lines; give the other output a file")
    if not dry_run:
        kept = [*own_places(results), results / RESULT_FILE] if results else []
        outputs.prepare([*plan.inputs, plan_file], [*kept, *(settings.stream_cache for settings in plan.runs)])
    place = cluster.Place(workers, scheduler, slurm)
    with results_folder(results) as folder:
        if dry_run:
            list_jobs(plan, Store(folder), place, json_lines)
        else:
            run_plan(plan, folder, bool(results), place, outputs, json_lines)


def load_plan(context: typer.Context, path: Path, allow_programs: bool) -> Plan:
    """The plan of a file. Raises VrcnnError if options say, too, what is to be run, and for programs that are not allowed."""

    def allowed(named: list[str]) -> bool:
        if allow_programs or len(named) > 1:  # the refusal names the only one
            notices.print(f"the plan {path} names what is to run here:", soft_wrap=True, highlight=False)
            for text in named:
                notices.print(f"    {plain(text)}", soft_wrap=True, highlight=False)
        return allow_programs

    if of_the_plan := given(context, sorted(set(context.params) - set(BESIDE_A_PLAN))):
        raise VrcnnError(f"{', '.join(of_the_plan)}: give this in the plan {path}, not as an option beside --plan")
    return planning.load(path, allowed)


def run_plan(plan: Plan, folder: Path, keep: bool, place: cluster.Place, outputs: Outputs, json_lines: bool) -> None:
    """Evaluate, write and say what came of it. keep: the results folder stays, and gets the document, too.

    Raises VrcnnError if results are missing.
    """
    store = Store(folder)
    store.own(RESULT_FILE)
    say_far_qps(plan)
    evaluated = evaluate(plan, store, place, json_lines)
    document = document_of(plan, evaluated)
    # Results before pictures of them: a plot that fails must not cost an evaluation.
    if keep:
        write_json(store.own(RESULT_FILE), document.to_json())
    outputs.write_rows(document)
    if json_lines:
        summary = document.summary.to_json()
        json_line({"event": "summary", "timing": evaluated.timing, "means": summary["means"], "flags": summary["flags"]})
    else:
        say_results(plan, evaluated, document, outputs.console)
    outputs.write_views(document, folder)
    if not json_lines:
        outputs.say_written()
    fail_if_flagged(document.summary.flags)


def document_of(plan: Plan, evaluated: cluster.Evaluation) -> Document:
    """What the JSON file holds."""
    rows = evaluated.rows
    origin = provenance(
        model=load_models(plan.runs[0]).identity,
        kernels=kernels_of(rows),
        programs=jobs.programs_of(evaluated.jobs),
        timing=evaluated.timing,
    )
    return Document(origin, jobs.facts(plan, evaluated.jobs), rows, summarise(rows, plan.method, plan.apart, plan.against))


def say_results(plan: Plan, evaluated: cluster.Evaluation, document: Document, console: Console) -> None:
    """The table, what was used, how long it took and what was checked."""
    print_table(document, console)
    encoders = ", ".join(dict.fromkeys(row.figures.encoder for row in evaluated.rows if row.figures))
    used = any(row.figures and row.figures.model for row in evaluated.rows)
    console.print(f"model set {document.provenance['model'][:16]}, {encoders}" if used else encoders, highlight=False)
    say_timing(evaluated.timing, console)
    if any(settings.check for settings in plan.runs):
        say_rows_checked(evaluated.rows, filtered_planes(plan), console)


def say_timing(timing: dict[str, Any], console: Console) -> None:
    """One line on what was computed and what the evaluation itself took of the workers' time."""
    counts = timing["jobs"]
    text = f"{counted(counts['done'], 'job')} done, {counts['cached']} done before, {counts['failed']} failed"
    if timing["overhead_percent"] is not None:
        text += f"; {timing['wall_seconds']:.1f} s with {counted(timing['workers'], 'worker')}, of whose time"
        text += f" {timing['overhead_percent']:.1f} % were not spent in encoders, decoders, filters and metrics"
    console.print(text, highlight=False, soft_wrap=True)


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
    console.print(
        f"{counted(len(wanted), 'job')}, {len(done)} of them done; "
        f"{len(missing)} need{'s' if len(missing) == 1 else ''} {counted(tasks, 'stream')}",
        highlight=False,
    )
    if place.slurm:
        with slurm_cluster(plan) as slurm:
            for line in slurm.job_script().splitlines():
                console.print(line, highlight=False, soft_wrap=True)
