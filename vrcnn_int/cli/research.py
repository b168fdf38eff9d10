"""Commands on the methods and networks of papers, the only ones that import them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from vrcnn_int.cli.options import Threads, need_torch, parse_settings
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.console import console, progress_bar, show_table
from vrcnn_int.text import counted


def ablate(
    networks: Annotated[list[Path], typer.Argument(help="Float network files (float.npz of training folders, or a set's .float.npz).")],
    validate: Annotated[list[Path], typer.Option(help="Pair file to measure on; each network takes those of its QP and position.")],
    threads: Threads = 1,
) -> None:
    """Measure what ratio synchronization, the choice of bounds and activation bits are worth, without fine-tuning.

    Train with --set bound_rule=relu6 or relu (maximum scaling) for the rows to compare with.
    """
    need_torch(threads)
    from vrcnn_int.io import pairs
    from vrcnn_int.research.ablation import FORMS, measure, networks_of

    measured = networks_of(networks, [pairs.read(path) for path in validate])
    if not measured:
        raise VrcnnError("no network has the QP and position of a pair file")
    names = ("QP", "bounds", *("no sync." if form == "unsynchronized" else form for form in FORMS))
    table = Table(*names, title="PSNR gain, dB; 8-bit weights", title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    with progress_bar() as progress:
        task = progress.add_task("measuring", total=len(measured) * len(FORMS))
        for network, files in measured:
            row = measure(network, files, advance=lambda: progress.advance(task))
            table.add_row(str(row["qp"]), row["bound_rule"], *(f"{row[form]:+.4f}" for form in FORMS))
    show_table(table)


def compare(
    training: Annotated[list[Path], typer.Argument(help="Pair files; one network of each method for each QP.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation, of each QP.")],
    out: Annotated[Path, typer.Option(help="Folder for networks and results; what is finished there is kept.")],
    methods: Annotated[str, typer.Option(help="Methods, separated by commas, or all; `float` is the network before quantization.")] = "all",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "1",
    set: Annotated[list[str] | None, typer.Option(help="A setting of training, NAME=VALUE; see vrcnn_int/training/settings.py.")] = None,
    threads: Threads = 1,
) -> None:
    """Quantization methods side by side: trained on the same data for the same steps, measured as integer networks.

    Interrupted with Ctrl-C it saves a checkpoint; the same command goes on from there. `codec-bridge compare` adds exactness in the C
    library and BD-rate.
    """
    need_torch(threads)
    from vrcnn_int.research import comparison
    from vrcnn_int.research.compare import FLOATS, METHODS
    from vrcnn_int.research.compare import run as run_comparison
    from vrcnn_int.training.settings import TrainSettings

    settings = parse_settings(set or [], TrainSettings())
    names = [*FLOATS, *METHODS] if methods == "all" else [word.strip() for word in methods.split(",")]
    if not all(word.strip().isdecimal() for word in seeds.split(",")):
        raise VrcnnError(f"{seeds!r} is not a list of seeds such as 1,2,3")
    with progress_bar() as progress:
        task = progress.add_task("starting", total=1)

        def show(method: str) -> Callable[[str, int, int, dict[str, Any]], None]:
            return lambda stage, step, steps, _: progress.update(task, completed=step, total=steps, description=f"{method}, {stage}")

        rows = run_comparison(training, validate, out, names, [int(word) for word in seeds.split(",")], settings, show)
    show_table(comparison.table(rows))
    for line in comparison.reasons(rows):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"wrote {out / 'compare.json'}", soft_wrap=True)


def show_paper_table(
    number: Annotated[int, typer.Argument(help="Table of Zhao et al. 2020.")],
    folder: Annotated[
        Path,
        typer.Argument(help="The --out folder of `vrcnn-int classify train` (Tables 1 and 2), `residual` (3) or `compare` (4 to 6)."),
    ],
) -> None:
    """Print a table of the paper with our figures, from our results, and say what differs."""
    from vrcnn_int.research.papers import paper_table

    table, differences = paper_table(number, folder)
    show_table(table)
    console.print(differences, highlight=False, soft_wrap=True)


def residual(
    training: Annotated[list[Path], typer.Argument(help="Pair files of one QP, from `codec-bridge pairs make`.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, model and results; an unfinished run there goes on.")],
    set: Annotated[list[str] | None, typer.Option(help="A setting, NAME=VALUE; see vrcnn_int/research/residual/filter.py.")] = None,
    threads: Threads = 1,
) -> None:
    """Train an in-loop filter of residual blocks with batch normalization, and measure its integer forms (the paper's Table 3)."""
    need_torch(threads)
    from vrcnn_int.research.residual.filter import FilterSettings, run

    settings = parse_settings(set or [], FilterSettings())
    with stages_shown() as shown:
        row = run(training, validate, out, settings, shown)
    print_trained(out, row, 3)


def classify_train(
    folder: Annotated[Path, typer.Argument(help="Training pictures: a folder for each label.")],
    validate: Annotated[Path, typer.Option(help="Held-out pictures, the same way.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, model and results; an unfinished run there goes on.")],
    set: Annotated[list[str] | None, typer.Option(help="A setting, NAME=VALUE; see vrcnn_int/research/resnet.py.")] = None,
    threads: Threads = 1,
) -> None:
    """Train ResNet-18, bring it to integers, and print float beside integer accuracy (the paper's Tables 1 and 2)."""
    need_torch(threads)
    from vrcnn_int.research.resnet import ClassifierSettings, train

    settings = parse_settings(set or [], ClassifierSettings())
    with stages_shown() as shown:
        row = train(folder, validate, out, settings, shown)
    print_trained(out, row, 1, 2)


def classify_evaluate(
    run: Annotated[Path, typer.Argument(help="What `vrcnn-int classify train --out` wrote.")],
    folder: Annotated[Path, typer.Argument(help="Pictures: a folder for each label.")],
) -> None:
    """Accuracy of a trained network on other pictures: float in torch, integer in the numpy oracle."""
    need_torch(1)
    from vrcnn_int.research import classify
    from vrcnn_int.research.resnet import float_scores

    network = classify.classifier(run / "model.vrcnn")
    pictures = classify.read(folder, network.meta["size"], network.channels, network.meta["names"])
    table = Table(
        "network", "top-1, %", "top-5, %", title=f"{counted(len(pictures.labels), 'picture')}", title_justify="left", box=box.SIMPLE_HEAD
    )
    for name, values in (("float32", float_scores(run, pictures)), ("integer", classify.sums(network, pictures))):
        shares = classify.accuracy(values, pictures.labels)
        table.add_row(name, f"{100 * shares.top1:.2f}", f"{100 * shares.top5:.2f}")
    show_table(table)


@contextmanager
def stages_shown() -> Iterator[Callable[[str, int, int, float], None]]:
    """A progress bar that follows the stages of one run."""
    with progress_bar() as progress:
        task = progress.add_task("starting", total=1)
        yield lambda stage, step, steps, _: progress.update(task, completed=step, total=steps, description=stage)


def print_trained(out: Path, row: dict[str, Any], *tables: int) -> None:
    """The paper's tables of a run of residual networks, and what it wrote."""
    from vrcnn_int.research.papers import paper_table

    for number in tables:
        table, differences = paper_table(number, out)
        show_table(table)
        console.print(differences, soft_wrap=True)
    dead = sum(len(channels) for channels in row["dead_channels"].values())
    console.print(
        f"{counted(dead, 'dead channel')} pruned; wrote {out / 'model.vrcnn'}: {row['bytes']} bytes of parameters", soft_wrap=True
    )
