"""The results of `vrcnn-int compare` as a table. No torch here: `codec-bridge compare` adds what the C library and a codec say."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from msgspec import Struct
from rich import box
from rich.table import Table

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line
from vrcnn_int.io.documents import DocumentError, checked, read_json

Row = dict[str, Any]
RATES = "bd_rates.json"
"""What `codec-bridge compare --sequences` writes into the folder: BD-rates by method, one a seed."""


Gain = float
"""In dB."""


class _Result(Struct):
    """What tables want of a result."""

    method: str
    qp: int
    seed: int
    network: str
    run: dict[str, Any]
    parameters: int
    training_samples: int
    float: dict[str, Gain]
    unfiltered: dict[str, Gain]
    gain: dict[str, Gain]
    bytes: int
    integer_only: bool
    runs_in: str
    steps: int
    seconds: Gain
    exact: dict[str, Any] | None
    model: str | None = None


def read_result(path: Path) -> Row:
    """A method's result.json. Raises VrcnnError if it is none."""
    try:
        row: Row = read_json(path)
        checked(row, _Result, str(path))
    except (OSError, DocumentError) as error:
        raise VrcnnError(f"cannot read {path} ({one_line(error)}); delete it and run `vrcnn-int compare` again") from None
    return row


def results(folder: Path) -> Iterator[tuple[Path, Row]]:
    """(folder, row) of every result in a comparison; VrcnnError if there is none."""
    found = sorted(folder.glob("q*/seed*/*/result.json"))
    if not found:
        raise VrcnnError(f"{folder} holds no results; make them with `vrcnn-int compare`")
    for path in found:
        yield path.parent, read_result(path)


class Rates(TypedDict):
    """What tables want of RATES."""

    sequences: list[str]
    qps: list[int]
    codec: str
    rates: dict[str, list[Gain]]


def spread(values: list[float], digits: int = 4) -> str:
    """Mean of signed figures, with half of their range where there are several."""
    mean = sum(values) / len(values)
    return f"{mean:+.{digits}f}" + (f" ±{(max(values) - min(values)) / 2:.{digits}f}" if len(values) > 1 else "")


def ordered(rows: list[Row]) -> list[str]:
    """Methods in the order of their best column, the float networks first."""

    def key(name: str) -> tuple[bool, float]:
        gains = [sum(row["gain"].values()) / len(row["gain"]) for row in rows if row["method"] == name]
        return not name.startswith("float"), -sum(gains) / len(gains)

    return sorted({row["method"] for row in rows}, key=key)


def table(rows: list[Row], more: Mapping[str, Mapping[str, str]] | None = None) -> Table:
    """Rows methods; PSNR gain (dB) of the integer network by QP, size, where it runs, whether any float is left, exactness, time.

    ``more``: further columns, name -> method -> text; a column called "exact" takes the place of the rows' own.
    """
    more = dict(more or {})
    labels = list(dict.fromkeys(label for row in rows for label in row["gain"]))
    exact = more.pop("exact", {})
    columns = ["method", *labels, *more, "bytes", "runs in", "integer only", "exact", "minutes", "seeds"]
    found = Table(*columns, title="PSNR gain of the integer network, dB", title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for name in ordered(rows):
        mine = [row for row in rows if row["method"] == name]
        gains = [[row["gain"][label] for row in mine if label in row["gain"]] for label in labels]
        own = "oracle, 2 ways" if mine[0]["exact"] else "-"
        found.add_row(
            name,
            *(spread(values) if values else "" for values in gains),
            *(column.get(name, "") for column in more.values()),
            " / ".join(str(size) for size in sorted({row["bytes"] for row in mine})),
            " / ".join(sorted({row["runs_in"] for row in mine})),
            "yes" if all(row["integer_only"] for row in mine) else "no",
            exact.get(name, own),
            f"{sum(row['seconds'] for row in mine) / len(mine) / 60:.1f}",
            ", ".join(str(seed) for seed in sorted({row["seed"] for row in mine})),
        )
    return found


def reasons(rows: list[Row]) -> list[str]:
    """Why networks are not normative, one line a method."""
    return sorted({f"{row['method']}: oracle only, {row['reason']}" for row in rows if row.get("reason")})
