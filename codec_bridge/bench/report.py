"""Results of codec-bridge bench: tables and the plot.

A document is ``{"provenance": {...}, "peaks": [...], "rows": [...], "halo": [...], "left_out": [...]}`` as run.bench returns them, and with
peers ``"peers": {...}`` as peers.compare returns it. With ``"gpu": name`` it is cuda.bench's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codec_bridge.bench.input import OURS
from vrcnn_int.files import write_bytes
from vrcnn_int.io.console import show_table
from vrcnn_int.io.drawing import new_figure, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console
    from rich.table import Table

BUSY = 0.1
"""From which share of the peak rate missing on the results carry a warning."""

Row = Mapping[str, Any]
Document = Mapping[str, Any]


def print_tables(document: Document, console: "Console") -> None:
    """Print peaks and memory, the rows by picture size, what was left out, and the peers."""
    if "gpu" in document:
        console.print(document["gpu"], highlight=False)
    _print_peaks(document["peaks"], console)
    _print_rows(document["rows"], console)
    for row in document.get("halo", []):
        halves, whole = _number(row["ms_halves"]), _number(row["ms"])
        size = f"{row['width']}x{row['height']} in two halves {halves} ms, in one piece {whole} ms"
        console.print(f"halo: {row['network']}, {row['kernel']}: {size}: {100 * row['cost']:+.1f} %", highlight=False)
    if document["left_out"]:
        skipped: dict[str, list[str]] = {}
        for row in document["left_out"]:
            skipped.setdefault(f"{_who(row, document['rows'])} on {_threads(row['threads'])}", []).append(_picture(row))
        what = "; ".join(f"{who}: {', '.join(pictures)}" for who, pictures in skipped.items())
        console.print(f"left out, they would take longer than --budget allows ({what})", highlight=False)
    if (slack := busy(document["peaks"])) > BUSY:
        line = (
            f"warning: the machine was busy, peak rates fell to {100 - 100 * slack:.0f} % of their best: take these times for what they are"
        )
        console.print(line, style="yellow", highlight=False)
    if "peers" in document:
        if "gpu" in document:
            _print_gpu_peers(document["peers"], console)
        else:
            _print_timings(document["peers"]["timings"], document["peers"].get("network", "luma"), console)
            _print_peers(document["peers"], console)
        for line in (*document["peers"]["left_out"], *(f"failed: {line}" for line in document["peers"]["failures"])):
            console.print(line, style="yellow", highlight=False)


def busy(peaks: Sequence[Row]) -> float:
    """By how much the median of a peak rate fell below the best one measured, the worst of all peaks: 0 on a quiet machine."""
    return max((1 - peak["gmacs"] / peak["gmacs_maximum"] for peak in peaks if peak["gmacs"]), default=0.0)


def _table(title: str, *columns: str) -> "Table":
    """A table whose first column is text and whose other columns are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def _print_peaks(peaks: Sequence[Row], console: "Console") -> None:
    columns = ["kernel", "threads", "GMAC/s", "memory", *(["a thread"] if _several(peaks) else []), "resident", "with"]
    table = _table("peak rates of this machine (median of this run), memory", *columns)
    table.columns[-1].justify = "left"
    for peak in peaks:
        sizes = [_megabytes(peak[key]) for key in ("memory", *(["thread_memory"] if _several(peaks) else []), "resident")]
        table.add_row(_who(peak, peaks), _count(peak["threads"]), _number(peak["gmacs"]), *sizes, peak["instruction"] or "-")
    show_table(table, console)
    console.print(
        "memory: what the library holds for filtering, all packed networks included. resident: by how much the process grew.",
        highlight=False,
    )


def _print_rows(rows: Sequence[Row], console: "Console") -> None:
    several = _several(rows)
    columns = [
        "picture",
        "kernel",
        "threads",
        "median",
        "minimum",
        "count",
        "GMAC/s",
        "of peak",
        *(["a second", "speed"] if several else []),
    ]
    table = _table("ms a picture", *columns)
    table.columns[1].justify = "left"
    last = None
    for row in rows:
        picture = _picture(row)
        if last not in (None, picture):
            table.add_section()
        fraction = "-" if row["fraction_of_peak"] is None else f"{100 * row['fraction_of_peak']:.1f} %"
        figures = [_number(row[key]) for key in ("ms", "ms_minimum")]
        shown = "" if picture == last else picture
        kernel = f"{row['kernel']}, {_how(row)}" if "path" in row else _who(row, rows)
        speed = [_number(row["pictures_per_second"]), "-" if row["speed"] is None else f"{_number(row['speed'], 3)}x"] if several else []
        table.add_row(shown, kernel, _count(row["threads"]), *figures, str(row["repeats"]), _number(row["gmacs"]), fraction, *speed)
        last = picture
    show_table(table, console)
    mapped = next((row["units"] for row in rows if row["units"]), None)
    if mapped:
        console.print(
            f"map: half-filled with {mapped['unit_size']}x{mapped['unit_size']} units, {100 * mapped['share']:.0f} % of the samples "
            f"filtered, by {mapped['networks']} network{'s' * (mapped['networks'] > 1)}; GMAC/s count those.",
            highlight=False,
        )
    if several:
        each = ", ".join(f"{name} {row['kmac']:.1f}" for name, row in {row["network"]: row for row in rows}.items())
        console.print(f"kMAC a luma sample: {each}; speed: times that of the network luma", highlight=False)


def _several(rows: Sequence[Row]) -> bool:
    """Whether they are of several networks, or of another one than luma."""
    return any(row.get("network", "luma") != "luma" for row in rows)


def _who(row: Row, rows: Sequence[Row]) -> str:
    """The kernel and, if rows are of several networks, the network."""
    return f"{row['network']}, {row['kernel']}" if _several(rows) else str(row["kernel"])


def _print_timings(timings: Sequence[Row], network: str, console: "Console") -> None:
    names = list(dict.fromkeys(row["contender"] for row in timings))
    sizes = sorted({(row["width"], row["height"]) for row in timings})
    table = _table(f"the same network ({network}): ms a picture (median), ratio", "engine", "threads", *(f"{w}x{h}" for w, h in sizes))
    table.padding = 0  # four sizes fit 80 columns
    found = {(row["contender"], row["threads"], row["width"], row["height"]): row for row in timings}
    for threads in sorted({row["threads"] for row in timings}):
        for name in names:
            cells = []
            for size in sizes:
                row = found.get((name, threads, *size))
                ratio = "" if row is None or name == OURS else f" {_number(row['ratio'], 3):>4}x"
                cells.append("-" if row is None else _number(row["ms"]) + ratio)
            table.add_row(name, str(threads), *cells)
        table.add_section()
    show_table(table, console)


def _print_peers(peers: Mapping[str, Any], console: "Console") -> None:
    timings, bits = peers["timings"], peers["bits"]
    sets = list(dict.fromkeys(row["isa"] for row in bits))
    table = _table("memory, and samples that a lesser instruction set changes", "engine", "memory", *sets)
    largest = max((row["width"] * row["height"] for row in timings), default=0)
    for name in dict.fromkeys(row["contender"] for row in timings):
        taken = [row["resident"] for row in timings if row["contender"] == name and row["width"] * row["height"] == largest]
        cells = ["-" if None in taken or not taken else _megabytes(max(taken))]
        for isa in sets:
            row = next((row for row in bits if (row["contender"], row["isa"]) == (name, isa)), None)
            if row is None or row["changed"] is None:
                cells.append("-" if row is None else row["method"])
            else:
                cells.append(f"{row['changed']} ({100 * row['changed'] / row['samples']:.2f} %)")
        table.add_row(name, *cells)
    show_table(table, console)
    said = "memory: by how much the process grew, from before the engine is loaded to the largest picture."
    samples = max((row["samples"] for row in bits), default=0)
    said += f" changed: of {samples} 8-bit output samples, against the same engine with all that this machine has." if samples else ""
    console.print(said, highlight=False)
    if not bits:
        console.print("this machine has only one instruction set to choose from, so none was forbidden", highlight=False)


def _print_gpu_peers(peers: Mapping[str, Any], console: "Console") -> None:
    if peers["timings"]:
        ours = peers["timings"][0]
        title = f"the same network, {ours['width']}x{ours['height']}: ms a picture (median)"
        table = _table(title, "engine", "on the GPU", "ratio", "with copies", "ratio")
        for row in peers["timings"]:
            cells = [(_number(row[key]), f"{_number(row[key] / ours[key], 3)}x") for key in ("ms", "ms_end_to_end")]
            table.add_row(row["contender"], *cells[0], *cells[1])
        show_table(table, console)
    for row in peers["bits"]:
        line = f"{row['contender']}: {row['changed']} of {row['samples']} 8-bit output samples are not {OURS}'s"
        console.print(line, highlight=False, soft_wrap=True)


def _how(row: Row) -> str:
    """What tells rows of one kernel apart: threads, or where pictures lie."""
    return f"{row['path']} to {row['path']}" if "path" in row else _threads(row["threads"])


def _count(threads: int | None) -> str:
    return "-" if threads is None else str(threads)


def _picture(row: Row) -> str:
    return f"{row['width']}x{row['height']}" + (" map" if row["units"] else "")


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def _number(value: float | None, digits: int = 4) -> str:
    """With so many significant digits: 3.512, 35.12, 351.2, 3512."""
    return "-" if value is None else f"{value:.{max(0, digits - len(str(int(value))))}f}"


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.{1 if size < 1e8 else 0}f} MB"


STYLES = {1: "-", 2: "--", "device": "-", "host": "--"}


def write_plot(path: str | Path, document: Document) -> None:
    """Write a PNG: rates over picture size with their peaks, and, if there are peers, times. Raises VrcnnError if it cannot be written."""
    panels = 2 if "peers" in document and "gpu" not in document else 1
    figure = new_figure(5.6 * panels, 5.2)
    _plot_rates(figure.add_subplot(1, panels, 1), document)
    if panels > 1:
        _plot_times(figure.add_subplot(1, panels, 2), document["peers"]["timings"])
    origin = document["provenance"]
    said = [f"{key} {str(origin[key])[:40]}" for key in ("processor", "model", "git_revision", "time") if origin.get(key)]
    figure.supxlabel(", ".join(said), x=0.995, ha="right", fontsize=6, color="0.4", parse_math=False)
    write_bytes(path, png(figure, 130))


def _plot_rates(axes: "Axes", document: Document) -> None:
    rows = [row for row in document["rows"] if not row["units"]]
    names = list(dict.fromkeys((_who(row, rows), row["kernel"]) for row in rows))
    for number, (name, kernel) in enumerate(names):
        colour = f"C{number}"
        for how in sorted({_how(row) for row in rows}):
            curve = [row for row in rows if (_who(row, rows), _how(row)) == (name, how)]
            threads = curve[0]["threads"] if curve else None
            sizes = [row["width"] * row["height"] for row in curve]
            style = STYLES.get(curve[0].get("path", threads) if curve else None, ":")
            label = f"{name}, {how}"
            axes.plot(sizes, [row["gmacs"] for row in curve], style, color=colour, marker="o", markersize=3.5, linewidth=1.2, label=label)
            for peak in document["peaks"]:
                if (peak["kernel"], peak["threads"]) == (kernel, threads) and peak["gmacs"]:
                    axes.axhline(peak["gmacs"], color=colour, linestyle=style, linewidth=0.6, alpha=0.6)
    axes.set_ylabel("GMAC/s", fontsize=9)
    library = document.get("gpu", "C library by kernel")
    axes.set_title(f"{library}; thin lines: peak of the instruction", fontsize=9)
    _size_axis(axes, rows)


def _plot_times(axes: "Axes", timings: Sequence[Row]) -> None:
    for number, name in enumerate(dict.fromkeys(row["contender"] for row in timings)):
        for threads in sorted({row["threads"] for row in timings}):
            curve = [row for row in timings if (row["contender"], row["threads"]) == (name, threads)]
            sizes = [row["width"] * row["height"] for row in curve]
            style, label = STYLES.get(threads, ":"), f"{name}, {_threads(threads)}"
            axes.plot(
                sizes, [row["ms"] for row in curve], style, color=f"C{number}", marker="o", markersize=3.5, linewidth=1.2, label=label
            )
    axes.set_ylabel("ms a picture", fontsize=9)
    axes.set_title("the same network in other engines", fontsize=9)
    _size_axis(axes, timings)


def _size_axis(axes: "Axes", rows: Sequence[Row]) -> None:
    """Both axes logarithmic with plain numbers, picture sizes by name; the legend below."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    sizes = {row["width"] * row["height"]: f"{row['width']}x{row['height']}" for row in rows}
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(list(sizes), list(sizes.values()), rotation=20)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
        axis.set_minor_formatter(NullFormatter())
    axes.tick_params(labelsize=8)
    axes.grid(color="0.9")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False, fontsize=7, ncols=3)
