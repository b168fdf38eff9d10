"""vrcnn-int: train, quantize, export and inspect integer in-loop filters."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.progress import TextColumn
from rich.table import Table

from vrcnn_int import conformance
from vrcnn_int.conformance.verify import Oracle, Program, show_results, verify
from vrcnn_int.console import console, progress_bar, run
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import replacing
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.models import float_path, starts_path
from vrcnn_int.network import FloatNetwork, load_float_networks, macs_per_sample, save_float_networks
from vrcnn_int.proofs import prove

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
conformance_app = typer.Typer(
    no_args_is_help=True, help="Models, pictures and side information with what every implementation must make of them."
)
app.add_typer(conformance_app, name="conformance")
classify_app = typer.Typer(
    no_args_is_help=True, help="ResNet-18 with integers only, on a folder that has a folder of pictures for each label."
)
app.add_typer(classify_app, name="classify")


def parse_settings(pairs: list[str], settings: Any) -> Any:
    """``settings`` (a dataclass) with NAME=VALUE applied; raises VrcnnError for unknown names and values of the wrong type."""
    known = {field.name: field.type for field in fields(settings)}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in known:
            raise VrcnnError(f"unknown setting {name!r}; there are {', '.join(known)}")
        kind = str(getattr(known[name], "__name__", known[name]))
        try:
            if kind == "str":
                changes[name] = text
            elif kind == "bool":
                changes[name] = {"true": True, "false": False}[text.lower()]
            elif kind == "int":
                changes[name] = int(text)
            else:
                changes[name] = None if text == "none" else float(text)
        except (ValueError, KeyError):
            raise VrcnnError(f"{text!r} is not a value for {name} ({kind})") from None
    return replace(settings, **changes)


@app.command()
def train(
    training: Annotated[list[Path], typer.Argument(help="Pair files of one QP, from `codec-bridge pairs make`.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, log and networks; an unfinished run there goes on.")],
    set: Annotated[list[str] | None, typer.Option(help="A setting, NAME=VALUE; see vrcnn_int/training/settings.py.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    start: Annotated[Path | None, typer.Option(help="Begin with the weights of this float network (float.npz), of any QP.")] = None,
) -> None:
    """Train one network: float with bounded ReLU, then discretized weights, then quantized bounds.

    Interrupted with Ctrl-C it saves a checkpoint; the same command goes on from there.
    """
    try:
        import torch
    except ImportError:
        raise VrcnnError("training needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    from vrcnn_int.training.loop import train as run_training
    from vrcnn_int.training.settings import TrainSettings

    torch.set_num_threads(threads)
    settings = parse_settings(set or [], TrainSettings())
    with progress_bar(TextColumn("loss {task.fields[loss]:.3f}")) as progress:
        tasks = {}

        def show(stage: str, step: int, steps: int, values: dict[str, Any]) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=steps, loss=0.0)
            progress.update(tasks[stage], completed=step, loss=values["loss"])

        path = run_training(training, validate, out, settings, show, start=load_start(start) if start else None)
    for line in (out / "log.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "validation_gain" in entry:
            console.print(
                f"{entry['stage']} step {entry['step']}: {entry['validation_psnr']:.3f} dB unfiltered, "
                f"{entry['validation_gain']:+.4f} dB filtered"
            )
    console.print(f"wrote {path}", soft_wrap=True)


@app.command()
def teach(
    source: Annotated[Path, typer.Argument(help="Pair file, from `codec-bridge pairs make`.")],
    teacher: Annotated[list[Path], typer.Option(help="Float network (float.npz); several: the mean of their outputs.")],
    out: Annotated[Path, typer.Option(help="Pair file to write, with what the teachers make of each picture in its original's place.")],
    share: Annotated[float, typer.Option(help="Share of the teachers in it; the rest is the original's.", min=0, max=1)] = 1.0,
    orientations: Annotated[
        int, typer.Option(help="Mirrored and transposed views that each teacher's output is the mean of.", min=1, max=8)
    ] = 8,
    seed: Annotated[int, typer.Option(help="Of the dither.", min=0)] = 1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Distillation: a pair file to train from that says what larger networks, or the same one from eight sides, make of the pictures."""
    need_torch(threads)
    from vrcnn_int import pairs
    from vrcnn_int.training.teach import teach as taught

    file = pairs.read(source)
    networks = [load_start(path) for path in teacher]
    with progress_bar() as progress:
        task = progress.add_task("teaching", total=len(file.recon))
        result, before, gain = taught(file, networks, share, orientations, seed, device, lambda: progress.advance(task))
    pairs.write(out, zip(result.recon, result.original, strict=True), result.meta)
    console.print(f"wrote {out}: {before:.3f} dB unfiltered, {gain:+.4f} dB by the teachers", soft_wrap=True)


def load_start(path: Path) -> FloatNetwork:
    """The network to start from: the only one of a file."""
    networks, _ = load_float_networks(path)
    if len(networks) != 1:
        raise VrcnnError(f"{path} holds {len(networks)} networks, not one to start from")
    return networks[0]


def find_start(paths: list[Path], identity: str) -> FloatNetwork:
    """The network with an identity, in the first file that has it."""
    for path in paths:
        if path.exists() and (found := [network for network in load_float_networks(path)[0] if network.identity == identity]):
            return found[0]
    names = " and ".join(path.name for path in paths)
    missing = "".join(f"; there is no {path} (wheels leave it out, source trees have it)" for path in paths if not path.exists())
    raise VrcnnError(f"the network that this one began with ({identity[:16]}) is not in {names}; give its file with --start{missing}")


def read_run(path: Path) -> tuple[list[FloatNetwork], list[FloatNetwork]]:
    """(networks to quantize, float networks to ship beside them) of a training folder or a float network file of one run."""
    if path.is_dir():
        tuned, plain = path / "tuned.npz", path / "float.npz"
        if not tuned.is_file():
            raise VrcnnError(f"{path} has no tuned.npz: its training is not finished; run the same `vrcnn-int train` again")
    else:
        tuned = plain = path
    networks = [load_float_networks(file)[0] for file in (tuned, plain)]
    passing = ("stage", "torch", "threads", "hardware")  # a run may go on elsewhere
    records = [{key: value for key, value in network.provenance.items() if key not in passing} for found in networks for network in found]
    if any(record != records[0] for record in records):
        if tuned == plain:
            raise VrcnnError(f"{path} holds networks of several runs; give training folders or files of one run")
        raise VrcnnError(f"{path}: float.npz and tuned.npz come from different runs; train again into another folder")
    if any(network.tuning for network in networks[1]):
        raise VrcnnError(f"{path} is a tuned network; give its training folder, which also holds the float network to ship beside it")
    return networks[0], networks[1]


def read_log(run: Path) -> list[dict[str, Any]]:
    """The log entries of a training folder; nothing for a file."""
    if not run.is_dir():
        return []
    try:
        return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    except (OSError, ValueError) as error:
        raise VrcnnError(f"cannot read {run / 'log.jsonl'} ({error}); the training folder is not whole") from None


def logged_losses(log: list[dict[str, Any]]) -> list[tuple[int, float]]:
    """(step, loss) of stage 1: all that were logged in the first 1000 steps, about a hundred later ones."""
    losses = [(entry["step"], entry["loss"]) for entry in log if entry["stage"] == "float" and "loss" in entry]
    later = [loss for loss in losses if loss[0] > 1000]
    return [loss for loss in losses if loss[0] <= 1000] + later[:: max(1, len(later) // 100)]


@app.command()
def quantize(
    runs: Annotated[list[Path], typer.Argument(help="Training folders (or float network files), in the order of the set.")],
    out: Annotated[Path, typer.Option(help="Model set to write (.vrcnn); .float.npz and .json are written beside it.")],
    start: Annotated[
        list[Path] | None, typer.Option(help="Training folder of a network that others began with; kept beside the set (.starts.npz).")
    ] = None,
) -> None:
    """Turn trained networks into one integer model set, proven free of overflow."""
    from vrcnn_int.quantize.plan import to_integer

    if out.suffix != ".vrcnn":
        raise VrcnnError(f"a model set's name ends in .vrcnn, not {out.name!r}")
    found = [read_run(path) for path in runs]
    begun = [[load_start(path / "float.npz" if path.is_dir() else path)] for path in start or []]
    models = ModelSet(tuple(to_integer(network) for tuned, _ in found for network in tuned))

    def records(folders: list[Path], networks: list[list[FloatNetwork]]) -> list[dict[str, Any]]:
        entries = []
        for path, some in zip(folders, networks, strict=True):
            log = read_log(path)
            validation = [entry for entry in log if "validation_gain" in entry]
            entries += [{**network.provenance, "validation": validation, "losses": logged_losses(log)} for network in some]
        return entries

    record = {"identity": models.identity, "networks": records(runs, [tuned for tuned, _ in found])}
    if start:
        record["starts"] = records(start, begun)
        save_float_networks(starts_path(out), [network for (network,) in begun], {"set": models.identity})
    save_float_networks(float_path(out), [network for _, plain in found for network in plain], {"set": models.identity})
    with replacing(out.with_suffix(".json")) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
    models.save(out)
    console.print(f"wrote {out}: {len(models.networks)} networks, identity {models.identity}", soft_wrap=True)


@app.command()
def reproduce(
    record: Annotated[Path, typer.Argument(help="Record of a model set (.json), or a training folder.")],
    training: Annotated[list[Path], typer.Argument(help="The pair files that the network was trained from, in the same order.")],
    steps: Annotated[int, typer.Option(help="Steps to run again.", min=1)] = 200,
    tolerance: Annotated[
        float, typer.Option(help="Allowed relative difference of a loss; a GPU's losses differ by rounding.", min=0)
    ] = 0.0,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default: as recorded.", min=1)] = None,
    start: Annotated[Path | None, typer.Option(help="File of the float network that it began with; default: beside the record.")] = None,
    number: Annotated[int, typer.Option(help="Which of the runs that trained from these files, in the record's order.", min=1)] = 1,
) -> None:
    """Train the first steps of a network again on the CPU and compare the losses with the logged ones."""
    try:
        import torch
    except ImportError:
        raise VrcnnError("training needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    from vrcnn_int import pairs
    from vrcnn_int.training.loop import first_losses
    from vrcnn_int.training.settings import TrainSettings

    try:
        text = (record / "settings.json" if record.is_dir() else record).read_text()
        content = json.loads(text)
        is_run = record.is_dir()
        runs = [{**content, "losses": logged_losses(read_log(record))}] if is_run else [*content["networks"], *content.get("starts", [])]
        data = [pairs.read(path).md5 for path in training]
        fitting: list[dict[str, Any]] = []
        for run in (run for run in runs if run["training"] == data):
            if all(run["losses"] != other["losses"] for other in fitting):  # networks trained together are one run
                fitting.append(run)
        if not fitting:
            raise VrcnnError(f"{record} names no network that was trained from these pair files")
        if number > len(fitting):
            raise VrcnnError(f"{record} has {len(fitting)} runs that trained from these pair files, not {number}")
        run = fitting[number - 1]
        torch.set_num_threads(threads or run["threads"])
        settings = TrainSettings(**{**run["settings"], "device": "cpu", "minutes": None})
        logged = [(step, loss) for step, loss in run["losses"] if step <= steps]
        first = run.get("start")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VrcnnError(f"{record} is not a record that this version can run again ({type(error).__name__}: {error})") from None
    if not logged:
        raise VrcnnError(f"{record} has no losses of the first {steps} steps")
    if first and record.is_dir() and not start:
        raise VrcnnError(f"{record} began with another network; give its file with --start")
    beginning = find_start([start] if start else [float_path(record), starts_path(record)], first) if first else None
    again = dict(first_losses(training, settings, logged[-1][0], beginning))
    differences = [abs(again[step] - loss) / loss for step, loss in logged]
    for (step, loss), difference in zip(logged, differences, strict=True):
        console.print(f"step {step}: logged {loss!r}, now {again[step]!r}{'' if difference <= tolerance else ', differs'}", highlight=False)
    if max(differences) > tolerance:
        raise VrcnnError(f"the losses differ by up to {max(differences):.2g} (relative); {tolerance:g} is allowed")
    console.print(f"{len(logged)} losses up to step {logged[-1][0]} are {'within the tolerance' if tolerance else 'the same'}")


@app.command()
def export(
    model: Annotated[Path, typer.Argument(help="Model set (.vrcnn).")],
    header: Annotated[Path | None, typer.Option(help="C header to write.")] = None,
    binary: Annotated[Path | None, typer.Option(help="Binary model to write: the set again, checked and canonical.")] = None,
    name: Annotated[str | None, typer.Option(help="C name of the array; default: the set's file name.")] = None,
) -> None:
    """Write a model set as C header or binary model, after proving every network free of overflow."""
    from vrcnn_int.export import write_c_header

    if header is None and binary is None:
        raise VrcnnError("nothing to write; give --header FILE or --binary FILE")
    models = ModelSet.load(model)
    for network in models.networks:
        prove(network)
    if header is not None:
        write_c_header(models, name or model.stem.replace("-", "_"), header)
        console.print(f"wrote {header}", soft_wrap=True)
    if binary is not None:
        models.save(binary)
        console.print(f"wrote {binary}", soft_wrap=True)


@app.command()
def ablate(
    networks: Annotated[list[Path], typer.Argument(help="Float network files (float.npz of training folders, or a set's .float.npz).")],
    validate: Annotated[list[Path], typer.Option(help="Pair file to measure on; each network takes those of its QP and position.")],
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Measure what ratio synchronization, the choice of bounds and activation bits are worth, without fine-tuning.

    Train with --set bound_rule=relu6 or relu (maximum scaling) for the rows to compare with.
    """
    try:
        import torch
    except ImportError:
        raise VrcnnError("training needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    from vrcnn_int import pairs
    from vrcnn_int.research.ablation import FORMS, measure, networks_of

    torch.set_num_threads(threads)
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
    console.print(table)


@app.command()
def compare(
    training: Annotated[list[Path], typer.Argument(help="Pair files; one network of each method for each QP.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation, of each QP.")],
    out: Annotated[Path, typer.Option(help="Folder for networks and results; what is finished there is kept.")],
    methods: Annotated[str, typer.Option(help="Methods, separated by commas, or all; `float` is the network before quantization.")] = "all",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas.")] = "1",
    set: Annotated[list[str] | None, typer.Option(help="A setting of training, NAME=VALUE; see vrcnn_int/training/settings.py.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Quantization methods side by side: trained on the same data for the same steps, measured as integer networks.

    Interrupted with Ctrl-C it saves a checkpoint; the same command goes on from there. `codec-bridge compare` adds exactness in the C
    library and BD-rate.
    """
    try:
        import torch
    except ImportError:
        raise VrcnnError("training needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    from vrcnn_int.research import comparison
    from vrcnn_int.research.compare import FLOATS, METHODS
    from vrcnn_int.research.compare import run as run_comparison
    from vrcnn_int.training.settings import TrainSettings

    torch.set_num_threads(threads)
    settings = parse_settings(set or [], TrainSettings())
    names = [*FLOATS, *METHODS] if methods == "all" else [word.strip() for word in methods.split(",")]
    if not all(word.strip().isdecimal() for word in seeds.split(",")):
        raise VrcnnError(f"{seeds!r} is not a list of seeds such as 1,2,3")
    with progress_bar() as progress:
        task = progress.add_task("starting", total=1)

        def show(method: str) -> Callable[[str, int, int, dict[str, Any]], None]:
            return lambda stage, step, steps, _: progress.update(task, completed=step, total=steps, description=f"{method}, {stage}")

        rows = run_comparison(training, validate, out, names, [int(word) for word in seeds.split(",")], settings, show)
    console.print(comparison.table(rows))
    for line in comparison.reasons(rows):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(f"wrote {out / 'compare.json'}", soft_wrap=True)


@app.command("paper-table")
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
    console.print(table)
    console.print(differences, highlight=False, soft_wrap=True)


def need_torch(threads: int) -> None:
    """Raise VrcnnError unless torch is installed; set its threads."""
    try:
        import torch
    except ImportError:
        raise VrcnnError("training needs torch; install it with: pip install 'vrcnn-int[train]'") from None
    torch.set_num_threads(threads)


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
        for line in paper_table(number, out):
            console.print(line, highlight=False, soft_wrap=isinstance(line, str))
    dead = sum(len(channels) for channels in row["dead_channels"].values())
    console.print(f"{dead} dead channels pruned; wrote {out / 'model.vrcnn'}: {row['bytes']} bytes of parameters", soft_wrap=True)


@app.command()
def residual(
    training: Annotated[list[Path], typer.Argument(help="Pair files of one QP, from `codec-bridge pairs make`.")],
    validate: Annotated[list[Path], typer.Option(help="Pair file held out for validation.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, model and results; an unfinished run there goes on.")],
    set: Annotated[list[str] | None, typer.Option(help="A setting, NAME=VALUE; see vrcnn_int/research/residual/filter.py.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Train an in-loop filter of residual blocks with batch normalization, and measure its integer forms (the paper's Table 3)."""
    need_torch(threads)
    from vrcnn_int.research.residual.filter import FilterSettings, run

    settings = parse_settings(set or [], FilterSettings())
    with stages_shown() as shown:
        row = run(training, validate, out, settings, shown)
    print_trained(out, row, 3)


@classify_app.command("train")
def classify_train(
    folder: Annotated[Path, typer.Argument(help="Training pictures: a folder for each label.")],
    validate: Annotated[Path, typer.Option(help="Held-out pictures, the same way.")],
    out: Annotated[Path, typer.Option(help="Folder for checkpoint, model and results; an unfinished run there goes on.")],
    set: Annotated[list[str] | None, typer.Option(help="A setting, NAME=VALUE; see vrcnn_int/research/resnet.py.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
) -> None:
    """Train ResNet-18, bring it to integers, and print float beside integer accuracy (the paper's Tables 1 and 2)."""
    need_torch(threads)
    from vrcnn_int.research.resnet import ClassifierSettings, train

    settings = parse_settings(set or [], ClassifierSettings())
    with stages_shown() as shown:
        row = train(folder, validate, out, settings, shown)
    print_trained(out, row, 1, 2)


@classify_app.command("evaluate")
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
    table = Table("network", "top-1, %", "top-5, %", title=f"{len(pictures.labels)} pictures", title_justify="left", box=box.SIMPLE_HEAD)
    for name, values in (("float32", float_scores(run, pictures)), ("integer", classify.sums(network, pictures))):
        found = classify.accuracy(values, pictures.labels)
        table.add_row(name, f"{100 * found.top1:.2f}", f"{100 * found.top5:.2f}")
    console.print(table)


def describe(network: IntegerNetwork) -> Table:
    """Layers, requantization and proofs of a network as a table."""
    title = f"QP {network.qp}, {network.position}, {macs_per_sample(network.architecture) / 1000:.1f} kMAC a sample"
    names = ("layer", "convolution", "s1", "m", "lowest sum", "highest sum", "pair sum", "exact in float32")
    table = Table(*names, title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    inputs = 1
    proofs = iter(prove(network))
    for layer in network.layers:
        for branch in layer:
            proof = next(proofs)
            k, outputs = branch.kernel, len(branch.bias)
            numbers = (branch.shift, branch.multiplier, proof.lowest, proof.highest, proof.pair_sum)
            exact = "yes" if proof.float32_exact else "no"
            table.add_row(str(proof.layer), f"{k}x{k}, {inputs} -> {outputs}", *map(str, numbers), exact)
        inputs = sum(len(branch.bias) for branch in layer)
    return table


@app.command()
def inspect(
    model: Annotated[Path | None, typer.Argument(help="Model set (.vrcnn); default: the shipped one.")] = None,
) -> None:
    """Show identity, networks, layers and overflow proofs of a model set."""
    from vrcnn_int.models import builtin_path

    path = model or builtin_path()
    models = ModelSet.load(path)
    console.print(f"{path.name}: {len(models.networks)} networks, {len(models.to_bytes())} bytes", highlight=False)
    console.print(f"identity {models.identity}", soft_wrap=True, highlight=False)
    for network in models.networks:
        console.print(describe(network))


@conformance_app.command("make")
def conformance_make(folder: Annotated[Path, typer.Argument(help="Folder to make.")]) -> None:
    """Write the suite from the oracle: the same bytes on every machine, and those that are shipped."""
    from vrcnn_int.conformance.make import make

    suite = make(folder)
    vectors = len(suite.filter) + len(suite.refused) + len(suite.sideinfo)
    console.print(f"wrote {folder}: {vectors} vectors", soft_wrap=True, highlight=False)


@conformance_app.command("verify")
def conformance_verify(
    folder: Annotated[Path | None, typer.Argument(help="The suite; default: the one that is shipped.")] = None,
    command: Annotated[
        str | None,
        typer.Option(help="A program that filters a picture, with {model} {network} {width} {height} {depth} {scale} {input} {output}."),
    ] = None,
    layer_command: Annotated[
        str | None, typer.Option(help="One that writes the values of a hidden layer: with {layer}, from 0, instead of {scale}.")
    ] = None,
    sideinfo_command: Annotated[
        str | None, typer.Option(help="One that prints what side information means: {width} {height} {irap} {input}.")
    ] = None,
    largest: Annotated[int | None, typer.Option(help="Leave out pictures of more samples.", min=1)] = None,
    timeout: Annotated[float, typer.Option(help="Seconds for one run of a program.", min=0.01)] = 600,
) -> None:
    """Compare any implementation with the suite, bit for bit; without a command: the oracle of this installation.

    What the files hold and what programs print: c/SPECIFICATION.md, section 9.
    """
    suite = conformance.Suite.load(folder)
    commands = (command, layer_command, sideinfo_command)
    implementation = Oracle() if commands == (None, None, None) else Program(*commands, timeout)
    with progress_bar() as progress:
        task = progress.add_task("conformance", total=len(suite.filter) + len(suite.refused) + len(suite.sideinfo))
        results = verify(suite, implementation, largest, lambda name: progress.advance(task))
    show_results("\n".join(filter(None, commands)) or "oracle", results)


def main() -> None:
    """Entry point of the command `vrcnn-int`."""
    run(app)
