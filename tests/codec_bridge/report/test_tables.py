"""Tables in the terminal, rows as CSV."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from codec_bridge.figures.row import KEYS, Row
from codec_bridge.report.document import Document
from codec_bridge.report.markdown import render
from codec_bridge.report.tables import write_csv
from tests.codec_bridge.report.curves import document_of, rows_of, shown


@pytest.mark.parametrize(("width", "tables"), [(160, 1), (80, 1), (71, 1), (70, 2), (50, 2)])
def test_table(width: int, tables: int) -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", 1.05) + rows_of("a", "integer", 0.9)
    text = shown(document_of(rows), width)
    cells = [cell for line in text.splitlines() for cell in line.split() if line.split()[0] in ("a", "mean")]
    none, integer = 3 * ["+5.00"], 3 * ["-10.00"]
    if tables == 1:
        assert cells == ["a", "4", "of", "416x240", *none, *integer, "mean", *none, *integer]
    else:
        head = ["a", "4", "of", "416x240"]
        assert cells == [*head, *none, "mean", *none, *head, *integer, "mean", *integer]
    gray = shown(document_of(rows_of("g", "anchor", gray=True) + rows_of("g", "none", 1.05, gray=True)))
    assert ["g", "4", "of", "416x240", "+5.00", "-", "-"] in [line.split() for line in gray.splitlines()]


def test_the_least_overlap_is_printed() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", gain=1.0) + rows_of("b", "anchor") + rows_of("b", "integer", 0.9)
    document = document_of(rows)
    least = document["sequences"][0]["variants"]["integer"]["overlap_y"]
    assert least < 100
    assert f"overlap by at least {int(least)} % (a, integer)" in shown(document)


def test_rows_as_csv(tmp_path: Path) -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", 1.05)
    write_csv(tmp_path / "a.csv", map(Row.from_json, rows))
    with (tmp_path / "a.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    assert len(back) == 8
    assert list(back[0]) == [key for key in KEYS if key != "crop"]
    assert (back[0]["sequence"], back[0]["qp"], back[0]["model"], float(back[7]["psnr_y"])) == ("a", "22", "", 34.0)


class _Unwritable:
    def __str__(self) -> str:
        raise TypeError("qp")


def test_no_table_half_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="qp"):
        write_csv(tmp_path / "a.csv", [replace(Row.from_json(rows_of("a", "anchor")[0]), codec=_Unwritable())])
    assert list(tmp_path.iterdir()) == []


def test_means_over_unlike_populations_say_so() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9)
    grey = rows_of("b", "anchor", gray=True) + rows_of("b", "integer", 0.8, gray=True)
    said = "mean: Y over 2 sequences, Cb and Cr over the 1 that has them"
    assert said in shown(document_of(rows + grey))
    for alike in (rows, grey):
        assert "over the" not in shown(document_of(alike))
    text = render(Document.from_json(document_of(rows + grey)))
    assert "| all sequences | integer network | 2 (Cb, Cr: 1) |" in text


def test_a_legend_is_of_the_variants_that_it_is_true_of() -> None:
    """Where a variant is flagged in all sequences, its unflagged mean is over none of them."""
    rows = [row for name, gray in (("a", False), ("b", True)) for row in rows_of(name, "anchor", gray=gray)]
    for name, gray in (("a", False), ("b", True)):
        rows += rows_of(name, "none", 1.05, gray=gray) + rows_of(name, "integer", 0.9, gain=4.0, gray=gray)
    lines = [line.strip() for line in shown(document_of(rows)).splitlines()]
    assert "mean: Y over 2 sequences, Cb and Cr over the 1 that has them" in lines
    assert "mean, unflagged: none: Y over 2 sequences, Cb and Cr over the 1 that has them" in lines
    (cells,) = (line.split() for line in lines if line.startswith("mean, unflagged "))
    assert cells[-3:] == ["-"] * 3
