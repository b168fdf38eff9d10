"""Summaries, tables, files and plots."""

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from codec_bridge.bd_rate import bd_rate
from codec_bridge.report import ROW_KEYS, missing, print_table, summarise, write_csv, write_json, write_plot
from vrcnn_int.errors import VrcnnError


def rows_of(sequence: str, variant: str, rate: float = 1.0, gray: bool = False, gain: float = 0.0) -> list[dict[str, Any]]:
    rows = []
    for qp, bits, psnr in ((22, 400_000, 42.0), (27, 200_000, 39.0), (32, 100_000, 36.5), (37, 50_000, 34.0)):
        chroma = None if gray else psnr + 2
        rows.append(
            dict.fromkeys(ROW_KEYS)
            | {"sequence": sequence, "width": 416, "height": 240, "pictures": 4, "qp": qp, "variant": variant, "codec": "x265"}
            | {"bits": rate * bits, "kbps": rate * bits / 80, "side_information_bits": 0, "ssim_y": 0.9}
            | {"psnr_y": psnr + gain, "psnr_u": chroma, "psnr_v": chroma, "encode_seconds": 0.1, "filter_seconds": 0.0}
        )
    return rows


def document_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {"provenance": {"codec": "x265"}, "rows": rows, **summarise(rows)}


def shown(document: dict[str, Any], width: int = 160) -> str:
    stream = io.StringIO()
    print_table(document, Console(file=stream, width=width, color_system=None, markup=False))
    return stream.getvalue()


def test_summary_and_mean() -> None:
    rows = [row for name, rate in (("a", 0.9), ("b", 0.96)) for row in rows_of(name, "anchor") + rows_of(name, "integer", rate)]
    rows += rows_of("g", "anchor", gray=True) + rows_of("g", "integer", 0.8, gray=True)
    summary = summarise(rows)
    assert [entry["sequence"] for entry in summary["sequences"]] == ["a", "b", "g"]
    first, _, gray = (entry["integer"] for entry in summary["sequences"])
    for plane in "yuv":
        assert math.isclose(first[f"bd_rate_{plane}"], -10)
    assert first["overlap_y"] == 100
    assert first["bd_psnr_y"] > 0
    assert first["warnings"] == []
    assert math.isclose(gray["bd_rate_y"], -20)
    assert (gray["bd_rate_u"], gray["bd_rate_v"]) == (None, None)
    mean = summary["mean"]["integer"]
    assert math.isclose(mean["bd_rate_y"], (-10 - 4 - 20) / 3)
    assert math.isclose(mean["bd_rate_u"], -7), "the mean of the sequences that have chroma"
    assert list(summary["mean"]) == ["integer"]


def test_summary_uses_bits_psnr_and_method() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", gain=-0.3)
    points = [[(row["bits"], row["psnr_y"]) for row in rows if row["variant"] == v] for v in ("anchor", "none")]
    for method in ("pchip", "cubic", "akima"):
        expected = bd_rate(points[0], points[1], method)
        entry = summarise(rows, method)["sequences"][0]["none"]
        assert (entry["bd_rate_y"], entry["bd_psnr_y"]) == (expected.bd_rate, expected.bd_psnr)
        assert entry["bd_rate_u"] == 0


def test_a_figure_that_cannot_be_had_is_none_with_its_reason() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9) + rows_of("b", "anchor") + rows_of("b", "integer", gain=30)
    document = document_of(rows)
    failed = document["sequences"][1]["integer"]
    assert failed["bd_rate_y"] is None
    assert "no PSNR in common" in failed["warnings"][0]
    assert failed["bd_rate_u"] == 0
    assert document["mean"]["integer"]["bd_rate_y"] is None, "a mean without one sequence would mislead"
    assert "warning: b, integer: Y: the curves have no PSNR in common" in " ".join(shown(document).split())


def test_lossless_chroma_has_no_bd_rate() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9)
    rows[0]["psnr_u"] = rows[4]["psnr_u"] = 999.99
    entry = summarise(rows)["sequences"][0]["integer"]
    assert entry["bd_rate_u"] is None
    assert entry["bd_rate_v"] is not None
    assert "equal to the original" in entry["warnings"][0]


def test_missing_anchor_and_double_rows() -> None:
    with pytest.raises(VrcnnError, match="a has no anchor"):
        summarise(rows_of("a", "integer"))
    with pytest.raises(VrcnnError, match=r"a, anchor: there are two results for the same QP"):
        summarise(rows_of("a", "anchor") + rows_of("a", "anchor"))


def test_too_few_points_are_a_warning() -> None:
    rows = rows_of("a", "anchor")[:3] + rows_of("a", "none")[:3]
    entry = summarise(rows)["sequences"][0]["none"]
    assert entry["bd_rate_y"] is None
    assert "at least 4 points" in entry["warnings"][0]


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


def test_json_and_csv_come_back(tmp_path: Path) -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", 1.05)
    document = document_of(rows)
    write_json(tmp_path / "a.json", document)
    assert json.loads((tmp_path / "a.json").read_text()) == document
    write_csv(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        back = list(csv.DictReader(file))
    assert len(back) == 8
    assert tuple(back[0]) == ROW_KEYS
    assert (back[0]["sequence"], back[0]["qp"], back[0]["model"], float(back[7]["psnr_y"])) == ("a", "22", "", 34.0)


class _Unwritable:
    def __str__(self) -> str:
        raise TypeError("qp")


def test_nothing_half_written(tmp_path: Path) -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", 1.05)
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", document_of(rows) | {"provenance": {"x": float("nan")}})
    with pytest.raises(VrcnnError):
        write_json(tmp_path / "no" / "a.json", document_of(rows))
    with pytest.raises(TypeError, match="qp"):
        write_csv(tmp_path / "a.csv", [{"sequence": "a", "qp": _Unwritable()}])
    with pytest.raises(VrcnnError):
        write_plot(tmp_path / "a.png", {"rows": [], "sequences": [], "mean": {}})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_plot_has_a_panel_per_sequence_and_a_curve_per_variant(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    save = Figure.savefig

    def spy(figure: Figure, *args: Any, **kwargs: Any) -> None:
        figures.append(figure)
        save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", spy)
    rows = [row for k in range(count) for v in ("anchor", "none", "integer") for row in rows_of(f"s{k}", v)]
    write_plot(tmp_path / "a.png", document_of(rows))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [len(axes.lines) for axes in figures[0].axes] == count * [3]
    assert [axes.get_title().split("\n")[0] for axes in figures[0].axes] == [f"s{k}" for k in range(count)]
    assert sorted(figures[0].axes[0].lines[0].get_ydata()) == [34.0, 36.5, 39.0, 42.0]


def test_the_least_overlap_is_printed() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", gain=1.0) + rows_of("b", "anchor") + rows_of("b", "integer", 0.9)
    document = document_of(rows)
    least = document["sequences"][0]["integer"]["overlap_y"]
    assert least < 100
    assert f"overlap by at least {least:.0f} % (a, integer)" in shown(document)


def test_missing_figures_are_named_with_their_reason() -> None:
    """Curves that do not overlap give no number; the command line makes an error of it."""
    rows = rows_of("a", "anchor") + rows_of("a", "integer", gain=20.0) + rows_of("b", "anchor") + rows_of("b", "integer", 0.9)
    found = missing(document_of(rows))
    assert len(found) == 1
    assert found[0].startswith("a, integer: ")
    assert "overlap" in found[0]
