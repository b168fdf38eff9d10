"""codec-bridge bench: how fast the filter runs on this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from codec_bridge.bench import cuda as bench_cuda
from codec_bridge.bench import peers as bench_peers
from codec_bridge.bench import report as bench_report
from codec_bridge.bench import run as bench
from codec_bridge.cli.options import ModelFile, given, parse_numbers
from codec_bridge.cli.outputs import Outputs
from codec_bridge.evaluation.plan import parse_size
from codec_bridge.evaluation.settings import BACKENDS, Settings, check_words, load_models
from codec_bridge.library.native import MAX_SIZE, MAX_THREADS
from codec_bridge.provenance import provenance
from codec_bridge.report.document import write_json
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.console import progress_bar
from vrcnn_int.io.options import finite
from vrcnn_int.models import read_files
from vrcnn_int.network import KINDS
from vrcnn_int.network import SIZES as NETWORK_SIZES
from vrcnn_int.text import counted

Show = Callable[[str, float], None]

SIZES = ",".join(f"{width}x{height}" for width, height in bench.SIZES)
THREADS = ",".join(map(str, bench.THREADS))


def run_bench(
    context: typer.Context,
    sizes: Annotated[str, typer.Option(help="Picture sizes, separated by commas.")] = SIZES,
    threads: Annotated[str, typer.Option(help="Thread counts, separated by commas.")] = THREADS,
    kernels: Annotated[str | None, typer.Option(help="Kernels, separated by commas; default: all that this machine supports.")] = None,
    repeats: Annotated[int, typer.Option(help="Measured pictures a row, at least.", min=1)] = bench.REPEATS,
    budget: Annotated[
        float,
        typer.Option(
            help="Leave out rows that would take longer, in seconds (scalar ones of large pictures). 0: none.", min=0, callback=finite
        ),
    ] = bench.BUDGET,
    peers: Annotated[bool, typer.Option("--peers", help="Compare with other engines too: those of the bench extra.")] = False,
    backend: Annotated[str, typer.Option(help="c (the C library) or cuda (a GPU; --peers is torch there).")] = "c",
    model: ModelFile = None,
    kind: Annotated[str | None, typer.Option(help=f"Time networks of this kind only: {' or '.join(KINDS)}.")] = None,
    network_size: Annotated[str | None, typer.Option(help=f"Time networks of this size only: {' or '.join(NETWORK_SIZES)}.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Rows, peaks and provenance.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Rates and times over picture size as PNG.")] = None,
) -> None:
    """Time the filter on this machine: every kernel that it supports, beside the peak rate of the instruction that the kernel uses.

    Of a set with joint networks one of each kind and size is timed, beside the luma network that is shipped if the set has none, and
    what the halo costs.

    --peers: also the same network in OpenVINO, ONNX Runtime and PyTorch, in turns, and how many samples each changes with the
    instruction set: the one of --kind and --network-size, by default luma if the set has it, and best.

    --backend cuda: pictures in the GPU's memory, and from ordinary memory and back, beside the rate of its int8 tensor cores; --peers:
    also PyTorch's forms on that GPU, at the largest size up to 2560x1600.
    """
    check_backend(context, backend)
    check_words(kind, network_size)
    if backend == "cuda":
        bench_cuda.check(model, peers)
    elif peers:
        bench_peers.check(model, kind, network_size)
    wanted = [size for size in map(parse_size, sizes.split(",")) if size]
    counts = parse_numbers(threads)
    check_amounts(wanted, counts)
    outputs = Outputs(json=json_file, plot=plot)
    outputs.prepare(read_files(model))
    document: dict[str, Any]
    with progress_shown() as show:
        if backend == "cuda":
            document = bench_cuda.bench(bench.photograph(), wanted, model, repeats, show)
            if peers:
                show("peers", 0.99)
                document["peers"] = bench_cuda.compare(bench.photograph(), document["rows"], model)
        else:
            names = kernels.split(",") if kernels is not None else None
            document = bench.bench(wanted, counts, names, model, repeats, budget, show, kind, network_size)
            if peers:
                fitting = [size for size in wanted if size[0] * size[1] <= bench_peers.LARGEST]
                document["peers"] = bench_peers.compare(
                    fitting or wanted, counts, model, progress=show, kind=kind, network_size=network_size
                )
    models = load_models(Settings(model=model))
    document = {"provenance": provenance(model=models.identity, **document.get("peers", {}).get("versions", {})), **document}
    show_results(document, outputs)


def check_backend(context: typer.Context, backend: str) -> None:
    """Raises VrcnnError for a backend that there is not, and for options that it has no use for."""
    if backend not in BACKENDS:
        raise VrcnnError(f"unknown backend {backend!r}; there are {' and '.join(BACKENDS)}")
    if backend == "cuda" and (unfit := given(context, ("threads", "kernels", "budget", "kind", "network_size"))):
        raise VrcnnError(f"--{unfit[0].replace('_', '-')} is for backend c: a GPU has no such choice")


def check_amounts(sizes: list[tuple[int, int]], threads: tuple[int, ...]) -> None:
    """Raises VrcnnError for pictures and threads that the library does not take, before a picture is made."""
    for width, height in sizes:
        if max(width, height) > MAX_SIZE:
            raise VrcnnError(f"--sizes: {width}x{height} is more than {MAX_SIZE} samples in a direction")
    for count in threads:
        if not 1 <= count <= MAX_THREADS:
            raise VrcnnError(f"--threads: {count} is not in 1..{MAX_THREADS}")


@contextmanager
def progress_shown() -> Iterator[Show]:
    """A progress bar that is told what is timed, and the share that is done."""
    with progress_bar() as progress:
        task = progress.add_task("starting", total=100)
        yield lambda what, share: progress.update(task, completed=int(100 * share), description=what)


def show_results(document: dict[str, Any], outputs: Outputs) -> None:
    """Tables and files. Raises VrcnnError if a peer failed."""
    if outputs.json:
        write_json(outputs.json, document)
    bench_report.print_tables(document, outputs.console)
    if outputs.plot:
        bench_report.write_plot(outputs.plot, document)
    outputs.say_written()
    if failures := document.get("peers", {}).get("failures"):
        raise VrcnnError(f"{counted(len(failures), 'peer')} failed: {failures[0]}")
