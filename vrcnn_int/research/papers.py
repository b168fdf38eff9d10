"""Tables of Zhao et al. 2020 with our figures beside the paper's: from what `vrcnn-int compare`, `residual` and `classify` write.

The paper's figures are printed in it; ours are read from result files, never written here. Tables 1 to 3 are about ResNet-18 and
ResNet-152 on ImageNet, which was not run here: ours are ResNet-18 on other pictures and, for Table 3, the residual filter in dB. No torch.
"""

from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.table import Table

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.documents import DocumentError, checked, read_json
from vrcnn_int.research.comparison import RATES, Rates, Row, results, spread

FACTORS = ("x2", "x3", "x4")

VDSR_PSNR = {
    "float32": (37.55, 33.78, 31.44),
    "int8": (37.51, 33.78, 31.42),
    8: (37.52, 33.78, 31.42),
    7: (37.51, 33.78, 31.42),
    6: (37.49, 33.76, 31.40),
    5: (37.39, 33.69, 31.29),
    4: (36.08, 33.24, 30.74),
}
"""Tables 4 and 5: dB on Set-5 at factors 2, 3 and 4; by activation bits, weights of 8 bits. int8: 7-bit activations."""

VDSR_MEGABYTES = {"float32": 2.54, "int8": 0.65}
VRCNN_RATE = {"float32": -5.3, "int8": -5.3}
VRCNN_KILOBYTES = {"float32": 214, "int8": 54}

RESNET18 = {"float32": ("69.76", "89.08"), "integer": ("69.56 or 70.10", "88.99 or 89.36")}
"""Table 1, top-1 and top-5 in percent. The copy of the paper at hand runs two rows of ResNet-18 together under one name."""
RESNET18_MEGABYTES = {"float32": 44.6, "integer": 11.1}
RESNET18_MILLISECONDS = {"float32": 35.1, "integer": 16.2}
CONFIGURATIONS = {"FPN": 78.314, "ReLU6": 77.602, "ReLU6+RS": 77.810, "BReLU": 77.754, "BReLU+RS": 78.008}
"""Table 3: top-1 of ResNet-152 in percent."""


def epochs(row: Row) -> float:
    """How often training saw each sample."""
    settings = row["run"]["settings"]
    return float(row["steps"] * settings["batch"] * settings["patch"] ** 2 / row["training_samples"])


def found(folder: Path, network: str, method: str) -> list[Row]:
    """Rows of a method and network, one a QP and seed; VrcnnError that says what to run."""
    rows = [row for _, row in results(folder) if row["network"] == network and row["method"] == method]
    if not rows:
        command = f"vrcnn-int compare --methods '{method}' --set network={network}"
        raise VrcnnError(f"{folder} has no result of {method} for {network}; make it with {command}")
    return rows


def psnr(rows: list[Row], label: str, figure: str) -> str:
    """Mean PSNR over the seeds, of the integer network (gain) or the float one."""
    values = [row["unfiltered"][label] + row[figure][label] for row in rows if label in row[figure]]
    return spread(values, 2).lstrip("+") if values else "-"


def said(rows: list[Row], data: str) -> str:
    """What differs from the paper's experiment."""
    row = rows[0]
    return (
        f"ours: {data}; {row['steps']} steps of {row['run']['settings']['batch']} patches, {epochs(row):.3g} epochs of "
        f"{row['training_samples'] / 1e6:.3g} million samples; seeds {', '.join(map(str, sorted({row['seed'] for row in rows})))}"
    )


def result(folder: Path, kind: str, command: str) -> Row:
    """The result of a single run; VrcnnError that says what to run."""
    try:
        row: Row = read_json(folder / "result.json")
        if row["kind"] != kind:
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, DocumentError):
        raise VrcnnError(f"{folder} has no result of a {kind}; make it with `{command}`") from None
    return row


def classifier(folder: Path) -> tuple[Row, str]:
    """(result, what differs) of ResNet-18."""
    row = result(folder, "classifier", "vrcnn-int classify train")
    settings = row["run"]["settings"]
    seen = settings["float_steps"] * settings["batch"] / row["pictures"][0]
    return row, (
        f"ours: {row['network']} with a 3x3 stem on {row['pictures'][1]} held-out pictures of {row['size']}x{row['size']} in "
        f"{row['classes']} classes, {seen:.3g} epochs of {row['pictures'][0]} pictures, n = {row['sigma']:g}; "
        "paper: ILSVRC-2012. ImageNet was not run"
    )


def table_1(folder: Path) -> tuple[Table, str]:
    """ResNet-18, accuracy."""
    row, differences = classifier(folder)
    table = Table("ResNet-18", "paper, top-1", "paper, top-5", "ours, top-1", "ours, top-5", box=box.SIMPLE_HEAD)
    for name in ("float32", "integer"):
        table.add_row(name, *RESNET18[name], *(f"{100 * row['forms'][name][key]:.2f}" for key in ("top1", "top5")))
    same = f"; the integer network names the float network's class for {row['same_class']} of {row['pictures'][1]}"
    return table, differences + same


def table_2(folder: Path) -> tuple[Table, str]:
    """ResNet-18, size."""
    row, differences = classifier(folder)
    table = Table("ResNet-18", "paper, MB", "paper, ms", "ours, MB", box=box.SIMPLE_HEAD)
    for name, size in (("float32", 4 * row["parameters"]), ("integer", row["bytes"])):
        table.add_row(name, f"{RESNET18_MEGABYTES[name]:.1f}", f"{RESNET18_MILLISECONDS[name]:.1f}", f"{size / 1e6:.2f}")
    return table, differences + "; ours runs in the numpy oracle alone, so that its time has no meaning"


def table_3(folder: Path) -> tuple[Table, str]:
    """With and without ratio synchronization, ReLU6 and bounded ReLU."""
    row = result(folder, "residual filter", "vrcnn-int residual")
    labels = list(row["unfiltered"])
    names = ("configuration", "paper, top-1", "paper, loss", *(f"ours, {label}, dB" for label in labels), *("ours, loss",) * len(labels))
    table = Table(*names, box=box.SIMPLE_HEAD)
    for name, percent in CONFIGURATIONS.items():
        gains = [row["forms"][name][label] for label in labels]
        losses = [row["forms"]["FPN"][label] - gain for label, gain in zip(labels, gains, strict=True)]
        figures = [f"{gain:+.4f}" for gain in gains] + [f"{loss:.4f}" for loss in losses]
        table.add_row(name, f"{percent:.3f}", f"{CONFIGURATIONS['FPN'] - percent:.3f}", *figures)
    settings = row["run"]["settings"]
    seen = settings["float_steps"] * settings["batch"] * settings["patch"] ** 2 / row["training_samples"]
    return table, (
        f"ours: PSNR gain of the in-loop filter of residual blocks, {' + '.join(map(str, row['steps']))} steps, {seen:.3g} epochs of "
        f"{row['training_samples'] / 1e6:.3g} million samples, n = {row['sigma']:g}, multipliers of 8 bits; "
        "paper: ResNet-152 on ILSVRC-2012"
    )


def table_4(folder: Path) -> tuple[Table, str]:
    """VDSR, float and integer."""
    rows = found(folder, "vdsr", "n-sigma 8/7")
    table = Table("VDSR", "paper, float32", "paper, int8", "ours, float", "ours, integer", box=box.SIMPLE_HEAD)
    for i, label in enumerate(FACTORS):
        paper = (f"{VDSR_PSNR[key][i]:.2f}" for key in ("float32", "int8"))
        table.add_row(f"PSNR for {label}, dB", *paper, psnr(rows, label, "float"), psnr(rows, label, "gain"))
    full = 4 * rows[0]["parameters"]
    paper = (f"{VDSR_MEGABYTES[key]:.2f}" for key in ("float32", "int8"))
    table.add_row("model size, MB", *paper, f"{full / 1e6:.2f}", f"{rows[0]['bytes'] / 1e6:.2f}")
    return table, said(rows, "validation pictures of the pair files, paper: Set-5; the paper's convolution times have no like here")


def table_5(folder: Path) -> tuple[Table, str]:
    """VDSR by activation bits."""
    table = Table("bits", *(f"paper, {label}" for label in FACTORS), *(f"ours, {label}" for label in FACTORS), box=box.SIMPLE_HEAD)
    rows: list[Row] = []
    for bits in (8, 7, 6, 5, 4):
        rows = found(folder, "vdsr", f"n-sigma 8/{bits}")
        table.add_row(str(bits), *(f"{value:.2f}" for value in VDSR_PSNR[bits]), *(psnr(rows, label, "gain") for label in FACTORS))
    paper = (f"{value:.2f}" for value in VDSR_PSNR["float32"])
    table.add_row("float32", *paper, *(psnr(rows, label, "float") for label in FACTORS))
    return table, said(rows, "validation pictures of the pair files, paper: Set-5")


def table_6(folder: Path) -> tuple[Table, str]:
    """VRCNN: BD-rate and size."""
    rows = found(folder, "vrcnn", "brelu 8/7")
    try:
        rates = checked(read_json(folder / RATES), Rates, str(folder / RATES))
        ours = spread(rates["rates"]["brelu 8/7"], 2)
    except (OSError, KeyError, DocumentError):
        raise VrcnnError(f"{folder} has no BD-rate of brelu 8/7; run `codec-bridge compare {folder} --sequences ...` first") from None
    table = Table("VRCNN", "paper, float32", "paper, int8", "ours, integer", box=box.SIMPLE_HEAD)
    table.add_row("luma BD-rate, %", *(f"{VRCNN_RATE[key]:+.1f}" for key in ("float32", "int8")), ours)
    table.add_row("model size, KB", *(str(VRCNN_KILOBYTES[key]) for key in ("float32", "int8")), f"{rows[0]['bytes'] / 1000:.0f}")
    data = f"{rates['codec']} at QP {', '.join(map(str, rates['qps']))} on {', '.join(rates['sequences'])}, paper: HM on classes A to E"
    return table, said(rows, data) + "; the time of a 2560x1600 picture is measured by `codec-bridge bench`"


TABLES: dict[int, Callable[[Path], tuple[Table, str]]] = {1: table_1, 2: table_2, 3: table_3, 4: table_4, 5: table_5, 6: table_6}


def paper_table(number: int, folder: Path) -> tuple[Table, str]:
    """(table, what differs from the paper's experiment). Raises VrcnnError if results are missing."""
    if number not in TABLES:
        raise VrcnnError(f"there is no command for Table {number}; there are {', '.join(map(str, TABLES))}")
    return TABLES[number](folder)
