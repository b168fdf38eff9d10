"""RD curves as PNG."""

from pathlib import Path
from typing import Any

import pytest

from codec_bridge.report.document import Document, Summary
from codec_bridge.report.plot import write_plot
from tests.codec_bridge.report.curves import document_of, rows_of
from vrcnn_int.errors import VrcnnError


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
    document = Document.from_json(document_of(rows))
    document.provenance["model"] = 4 * "0123456789abcdef"
    write_plot(tmp_path / "a.png", document)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert [len(axes.lines) for axes in figures[0].axes] == count * [3]
    assert [axes.get_title().split("\n")[0] for axes in figures[0].axes] == [f"s{k}" for k in range(count)]
    assert figures[0].get_supxlabel().split(",")[0] == "model 0123456789abcdef"
    assert sorted(figures[0].axes[0].lines[0].get_ydata()) == [34.0, 36.5, 39.0, 42.0]


def test_no_plot_without_rows(tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match="no results to plot"):
        write_plot(tmp_path / "a.png", Document({}, {}, [], Summary([], [], [], [])))
    assert list(tmp_path.iterdir()) == []
