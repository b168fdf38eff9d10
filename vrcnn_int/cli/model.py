"""vrcnn-int quantize, export, inspect: model sets."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict

import typer
from rich import box
from rich.table import Table

from vrcnn_int.cli.options import Force, ModelSetFile
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.integer import IntegerNetwork, ModelSet
from vrcnn_int.io.console import console, console_beside, show_table
from vrcnn_int.io.documents import checked, read_json
from vrcnn_int.models import builtin_path, float_networks_of, float_path, set_names, starts_path
from vrcnn_int.network import INPUTS, KINDS, FloatNetwork, load_float_networks, macs_per_sample, save_float_networks
from vrcnn_int.proofs import prove
from vrcnn_int.text import counted
from vrcnn_int.training.runs import load_start, read_run, records


class SetRecord(TypedDict):
    """What the record beside a model set (.json) must say."""

    identity: str
    networks: list[dict[str, Any]]
    starts: NotRequired[list[dict[str, Any]]]


class Source(NamedTuple):
    """What a set is put together from: integer networks, the float networks they were quantized from, how they were trained."""

    networks: Sequence[IntegerNetwork]
    plain: Sequence[FloatNetwork]
    records: list[dict[str, Any]]
    starts: Sequence[FloatNetwork] = ()
    start_records: Sequence[dict[str, Any]] = ()


def read_source(path: Path) -> Source:
    """A training folder, a file of one run, or a finished set with what lies beside it. Raises VrcnnError."""
    if path.suffix == ".vrcnn":
        return _read_set(path)
    from vrcnn_int.quantize.plan import to_integer

    tuned, plain = read_run(path)
    return Source([to_integer(network) for network in tuned], plain, records([path], [tuned]))


def _read_set(path: Path) -> Source:
    models = ModelSet.load(path)
    plain, told = load_float_networks(float_path(path), KINDS)
    beside = path.with_suffix(".json")
    if not beside.is_file():
        raise VrcnnError(f"there is no {beside}, the record of how the networks of {path.name} were trained")
    record: SetRecord = read_json(beside)
    checked(record, SetRecord, str(beside))
    identities = {record["identity"], told.get("set", models.identity), models.identity}
    if len(identities) > 1 or not len(models.networks) == len(plain) == len(record["networks"]):
        raise VrcnnError(f"{path.name}, {float_path(path).name} and {beside.name} are not of one set")
    starts, told = load_float_networks(starts_path(path), KINDS) if record.get("starts") else ([], {})
    if told.get("set", models.identity) != models.identity or len(starts) != len(record.get("starts", [])):
        raise VrcnnError(f"{path.name} and {starts_path(path).name} are not of one set")
    return Source(models.networks, plain, record["networks"], starts, record.get("starts", []))


def quantize(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Training folders, float network files, or finished sets (.vrcnn, or a shipped name), whose networks stay; in order."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Model set to write (.vrcnn); .float.npz and .json are written beside it.")],
    start: Annotated[
        list[Path] | None, typer.Option(help="Training folder of a network that others began with; kept beside the set (.starts.npz).")
    ] = None,
    force: Force = False,
) -> None:
    """Turn trained networks into one integer model set, proven free of overflow."""
    if out.is_dir():
        raise VrcnnError(f"cannot write {out}: it is a folder; give a file name")
    runs = [builtin_path(str(path)) if str(path) in set_names() else path for path in runs]
    if out.suffix != ".vrcnn":
        raise VrcnnError(f"a model set's name ends in .vrcnn, not {out.name!r}")
    written = [out, out.with_suffix(".json"), float_path(out), starts_path(out)]
    read_from = [path / name if path.is_dir() else path for path in (*runs, *(start or [])) for name in ("tuned.npz", "float.npz")]
    read_from += [beside(path) for path in runs if path.suffix == ".vrcnn" for beside in (float_path, starts_path)]
    check_outputs(written, read_from, force)
    sources = [read_source(path) for path in runs]
    begun = [[load_start(float_networks_of(path))] for path in start or []]
    models = ModelSet(tuple(network for source in sources for network in source.networks))
    record: dict[str, Any] = {"identity": models.identity, "networks": [entry for source in sources for entry in source.records]}
    starts = [network for source in sources for network in source.starts] + [network for (network,) in begun]
    if starts:
        record["starts"] = [entry for source in sources for entry in source.start_records] + records(start or [], begun)
        save_float_networks(starts_path(out), starts, {"set": models.identity})
    else:
        starts_path(out).unlink(missing_ok=True)  # of the set that this one replaces
    save_float_networks(float_path(out), [network for source in sources for network in source.plain], {"set": models.identity})
    write_text(out.with_suffix(".json"), json.dumps(record, indent=1) + "\n")
    models.save(out)
    console.print(f"wrote {out}: {counted(len(models.networks), 'network')}, identity {models.identity}", soft_wrap=True)


def export(
    model: Annotated[Path, ModelSetFile],
    header: Annotated[Path | None, typer.Option(help="C header to write.")] = None,
    binary: Annotated[Path | None, typer.Option(help="Binary model to write: the set again, checked and canonical.")] = None,
    name: Annotated[str | None, typer.Option(help="C name of the array; default: the set's file name.")] = None,
    force: Force = False,
) -> None:
    """Write a model set as C header or binary model, after proving every network free of overflow."""
    from vrcnn_int.export import write_c_header

    if header is None and binary is None:
        raise VrcnnError("nothing to write; give --header FILE or --binary FILE")
    written = [path for path in (header, binary) if path is not None]
    check_outputs(written, [model], force)
    models = ModelSet.load(model)
    for network in models.networks:
        prove(network)
    said = console_beside(*written)
    if header is not None:
        write_c_header(models, name or model.stem.replace("-", "_"), header)
        said.print(f"wrote {header}", soft_wrap=True)
    if binary is not None:
        models.save(binary)
        said.print(f"wrote {binary}", soft_wrap=True)


def inspect(
    model: Annotated[Path | None, ModelSetFile] = None,
) -> None:
    """Show identity, networks, layers and overflow proofs of a model set; by default of vrcnn_intra."""
    path = model or builtin_path()
    models = ModelSet.load(path)
    console.print(f"{path.name}: {counted(len(models.networks), 'network')}, {len(models.to_bytes())} bytes", highlight=False)
    console.print(f"identity {models.identity}", soft_wrap=True, highlight=False)
    for number, network in enumerate(models.networks):
        show_table(describe(number, network))


def describe(number: int, network: IntegerNetwork) -> Table:
    """Layers, requantization and proofs of a network of a set as a table."""
    title = f"network {number}: QP {network.qp}, {network.position}, {macs_per_sample(network.architecture) / 1000:.1f} kMAC a sample"
    if network.kind == "joint":
        title += f", joint, {network.size}, {network.heads} head{'s' * (network.heads > 1)}"
    names = ("layer", "convolution", "s1", "m", "lowest sum", "highest sum", "pair sum", "exact in float32")
    table = Table(*names, title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    inputs = INPUTS[network.kind]
    proofs = iter(prove(network))
    for above, (layer, back) in enumerate(zip(network.layers, network.added, strict=True)):
        adds = f" + layer {above + 1 - back}" if back else ""
        for branch in layer:
            proof = next(proofs)
            k, outputs = branch.kernel, len(branch.bias)
            numbers = (branch.shift, branch.multiplier, proof.lowest, proof.highest, proof.pair_sum)
            exact = "yes" if proof.float32_exact else "no"
            table.add_row(str(proof.layer), f"{k}x{k}, {inputs} -> {outputs}{adds}", *map(str, numbers), exact)
        inputs = sum(len(branch.bias) for branch in layer)
    return table
