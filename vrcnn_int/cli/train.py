"""vrcnn-int train, teach, reproduce: networks out of pair files."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import TextColumn

from vrcnn_int.cli.options import Force, Threads, need_torch, parse_settings
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs
from vrcnn_int.io.console import console, progress_bar
from vrcnn_int.io.options import finite
from vrcnn_int.models import float_networks_of, float_path, starts_path
from vrcnn_int.network import KINDS, load_float_networks
from vrcnn_int.training.runs import MOST_THREADS, load_start, read_log


def train(
    training: Annotated[list[Path], typer.Argument(help="Pair files of one QP, from `codec-bridge pairs make`.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and networks; an unfinished run there goes on.")],
    set: Annotated[
        list[str] | None,
        typer.Option(help="A setting, NAME=VALUE, of those in vrcnn_int/training/settings.py; of one given twice the last counts."),
    ] = None,
    threads: Threads = 1,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Begin with the weights of this float network (float.npz, or its training folder), of any QP; "
            "of several (.float.npz, or the name of a shipped set) with the first of the pairs' QP and position; "
            "of a set that has none of this position, with the first of their QP."
        ),
    ] = None,
) -> None:
    """Train one network: float with bounded ReLU, then discretized weights, then quantized bounds.

    Interrupted with Ctrl-C it saves a checkpoint; the same command goes on from there.
    """
    need_torch(threads)
    from vrcnn_int.training.loop import WRITTEN
    from vrcnn_int.training.loop import train as run_training
    from vrcnn_int.training.settings import TrainSettings

    settings = parse_settings(set or [], TrainSettings())
    begin = None
    if start is not None:
        check_outputs((out / name for name in WRITTEN), [file := float_networks_of(start)], make_folders=True)
        begin = load_float_networks(file, KINDS)[0]
    with progress_bar(TextColumn("loss {task.fields[loss]:.3f}")) as progress:
        tasks = {}

        def show(stage: str, step: int, steps: int, values: dict[str, Any]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=steps, loss=0.0)
            progress.update(tasks[stage], completed=step, loss=values["loss"])

        path = run_training(training, validate, out, settings, show, start=begin)
    say_validations(out)
    console.print(f"wrote {path}", soft_wrap=True)


def say_validations(run: Path) -> None:
    """A line for each validation that a training folder's log has."""
    for entry in read_log(run):
        if "validation_gain" in entry:
            chroma = "".join(f", {name} {gain:+.3f} dB" for name, gain in zip(("Cb", "Cr"), entry.get("chroma", []), strict=False))
            console.print(
                f"{entry['stage']} step {entry['step']}: {entry['validation_psnr']:.3f} dB unfiltered, "
                f"{entry['validation_gain']:+.4f} dB filtered{chroma}",
                soft_wrap=True,
            )


def teach(
    source: Annotated[Path, typer.Argument(help="Pair file, from `codec-bridge pairs make`.")],
    teacher: Annotated[list[Path], typer.Option(help="Float network (float.npz); several: the mean of their outputs.")],
    out: Annotated[Path, typer.Option(help="Pair file to write, with what the teachers make of each picture in its original's place.")],
    share: Annotated[
        float, typer.Option(help="Share of the teachers in it; the rest is the original's.", min=0, max=1, callback=finite)
    ] = 1.0,
    orientations: Annotated[
        int, typer.Option(help="Mirrored and transposed views that each teacher's output is the mean of.", min=1, max=8)
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of the dither.", min=0)] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Threads = 1,
    force: Force = False,
) -> None:
    """Distillation: a pair file to train from that says what larger networks, or the same one from eight sides, make of the pictures."""
    need_torch(threads)
    from vrcnn_int.io import pairs
    from vrcnn_int.training.teach import teach as taught

    check_outputs([out], [source, *teacher], force)
    file = pairs.read(source)
    networks = [load_start(float_networks_of(path)) for path in teacher]
    with progress_bar() as progress:
        task = progress.add_task("teaching", total=len(file.recon))
        result, before, gain = taught(file, networks, share, orientations, seed, device, lambda: progress.advance(task))
    pairs.write(out, zip(result.recon, result.original, strict=True), result.meta)
    console.print(f"wrote {out}: {before:.3f} dB unfiltered, {gain:+.4f} dB by the teachers", soft_wrap=True)


def relative(logged: float, now: float) -> float:
    """The difference of losses; those of equal pictures are 0."""
    return abs(now - logged) / logged if logged else float("inf") if now else 0.0


def reproduce(
    record: Annotated[Path, typer.Argument(help="Record of a model set (.json), or a training folder.")],
    training: Annotated[list[Path], typer.Argument(help="The pair files that the network was trained from, in the same order.")],
    steps: Annotated[int, typer.Option(help="Steps to run again.", min=1)] = 200,
    tolerance: Annotated[
        float, typer.Option(help="Allowed relative difference of a loss; a GPU's losses differ by rounding.", min=0, callback=finite)
    ] = 0.0,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: as recorded.", min=1, max=MOST_THREADS)] = None,
    start: Annotated[Path | None, typer.Option(help="File of the float network that it began with; default: beside the record.")] = None,
    number: Annotated[int, typer.Option(help="Which of the runs that trained from these files, in the record's order.", min=1)] = 1,
) -> None:
    """Train the first steps of a network again on the CPU and compare the losses with the logged ones."""
    need_torch(threads)
    from vrcnn_int.training.reproduce import again, read_record

    run = read_record(record, training, number)
    if threads is None:
        need_torch(run.threads)
    beside = [] if record.is_dir() else [float_path(record), starts_path(record)]
    losses = again(run, training, steps, [float_networks_of(start)] if start else beside)
    for step, logged, now in losses:
        differs = "" if relative(logged, now) <= tolerance else ", differs"
        console.print(f"step {step}: logged {logged!r}, now {now!r}{differs}", highlight=False)
    largest = max(relative(logged, now) for _, logged, now in losses)
    if largest > tolerance:
        raise VrcnnError(f"the losses differ by up to {largest:.2g} (relative); {tolerance:g} is allowed")
    console.print(f"{len(losses)} losses up to step {losses[-1][0]} are {'within the tolerance' if tolerance else 'the same'}")
