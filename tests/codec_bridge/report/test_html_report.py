"""The HTML page and the Markdown file: what is in them, and that names and texts of a document stay text."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt

from codec_bridge.figures.row import VARIANTS, Crop, Units
from codec_bridge.report import markdown as markdown_report
from codec_bridge.report import page as html_report
from codec_bridge.report import view as report_view
from codec_bridge.report.document import Document, write_json
from tests.codec_bridge.cli.test_command_lines import bridge, refused
from tests.support.documents import CROP, document_of, rows_of, with_crops
from vrcnn_int.errors import VrcnnError

NONE = report_view.NONE
PLUS, MINUS = 4 * ["+3.00"], 4 * ["\N{MINUS SIGN}5.00"]  # Y, Cb, Cr and YUV of none and of integer in these documents
HOSTILE = """</script><script>document.title="broken"</script><img src=x onerror="document.title='broken'">' {{ 7 * 7 }} & | `a` *b* _c_"""


class Page(HTMLParser):
    """A page taken apart: attributes by element, rows of cells of each table, the scripts, texts by the id of their section."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.scripts: list[str] = []
        self.sections: dict[str, str] = {}
        self.section = ""
        self.cell = self.script = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.script = tag == "script"
        if tag == "script":
            self.scripts.append("")
        elif tag == "section":
            self.section = dict(attrs)["id"] or ""
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.cell = True
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self.cell = self.cell and tag not in ("td", "th")
        self.script = False

    def handle_data(self, data: str) -> None:
        if self.script:
            self.scripts[-1] += data
            return
        self.sections[self.section] = self.sections.get(self.section, "") + data
        if self.cell:
            self.tables[-1][-1][-1] += data

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])

    def values(self, name: str) -> list[str | None]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def usual(sequences: int = 2, variants: tuple[str, ...] = ("anchor", "none", "integer")) -> dict[str, Any]:
    return document_of([row for n in range(sequences) for variant in variants for row in rows_of(f"Sequence_{n}", variant)])


def render(document: dict[str, Any], folder: Path | None = None) -> str:
    return html_report.render(Document.from_json(document), folder)


def render_markdown(document: dict[str, Any]) -> str:
    return markdown_report.render(Document.from_json(document))


def test_the_page_has_every_section_and_figure() -> None:
    page = Page(render(usual()))
    assert [target for target in page.values("href") if target and target.startswith("#")] == [f"#{name}" for name in html_report.SECTIONS]
    assert list(page.sections)[1:] == list(html_report.SECTIONS)
    summary, sequences, gains, methods = page.tables[:4]
    assert gains[0] == ["sequence", "variant", "QP 22", "QP 27", "QP 32", "QP 37"]
    assert gains[-1] == ["mean", "integer network", *4 * ["0.000"]]
    lines = [["no filter", *PLUS, "100 %", "0.0", "2"], ["integer network", *MINUS, "300 %", "53.9", "2"]]
    assert summary[1:] == [["class D (size)"], *lines, ["all sequences"], *lines], "nothing is flagged"
    assert sequences[1][:6] == ["Sequence_0class D (size), 4 of 416x240", "no filter", *PLUS]
    assert sequences[2][:5] == ["integer network", *MINUS]
    assert sequences[2][7:] == ["100 %", "300 %", "53.9"], "encoding, decoding, kMAC"
    assert sequences[2][6] == "100 %", "overlap"
    assert methods[1] == ["Sequence_0", "no filter", *3 * ["+3.00"]]
    assert report_view.NO_FLAGS in page.sections["flags"]
    assert "harness overhead 2.0 %" in page.sections["timing"]
    for text in ("fac5693b05d8df30" * 4, "avx2", "ab" * 32, "codec-bridge bdrate --sequences builtin", "0123456789abcdef" * 2, "x265 4.1"):
        assert text in page.sections["provenance"]
    assert "2026-01-02T03:04:05+00:00" in page.sections["provenance"]
    assert "--qp 37 --variant integer" in page.sections["provenance"]


def test_encoding_is_a_sum_and_other_times_a_picture() -> None:
    document = usual()
    table = next(table for table in Page(render(document)).tables if table[0][:2] == ["variant", "rows"])
    assert table[0][1:] == ["rows", "encoding, sum", *report_view.TIMES.values(), "samples filtered", "kMAC a sample"]
    assert table[1] == ["deblocking and SAO", "8", "64.0", "0", "0.0500", "0", "0 %", "0.0"]
    assert table[3] == ["integer network", "8", "64.0", "0.100", "0.0500", "0", "100 %", "53.9"]
    document["rows"][0]["flag"] = "failed"
    table = next(table for table in Page(render(document)).tables if table[0][:2] == ["variant", "rows"])
    assert table[1][:3] == ["deblocking and SAO", "7 of 8", NONE], "the sum of some would be taken for that of all"


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    text = render(with_crops(usual(), tmp_path), tmp_path)
    page = Page(text)
    assert "://" not in text
    assert not re.search(r"@import|url\((?!#\$\{this\.clip\}\))|\b(fetch|XMLHttpRequest|WebSocket|EventSource|import)\b\s*\(", text)
    for name in ("src", "href", "srcset", "action", "poster", "data", "background", "formaction"):
        assert all(value is not None and value.startswith(("#", "data:")) for value in page.values(name)), name
    policy = next(attributes["content"] for _, attributes in page.elements if "http-equiv" in attributes)
    digest = base64.b64encode(hashlib.sha256(page.scripts[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(image.startswith("data:image/png;base64,") for image in page.data["images"].values())


def test_names_and_texts_stay_text(tmp_path: Path) -> None:
    rows = [row for variant in ("anchor", "map") for row in rows_of(HOSTILE, variant, size=HOSTILE, encoder=HOSTILE, command=HOSTILE)]
    rows += [row for variant in ("anchor", "map") for row in rows_of("b", variant)]
    rows[0]["flag"] = HOSTILE
    document = with_crops(document_of(rows, processor=HOSTILE, command_line=[HOSTILE], programs={HOSTILE: {"encoder": HOSTILE}}), tmp_path)
    document["plan"]["preset"] = HOSTILE
    page = Page(render(document, tmp_path))
    usual_page = Page(render(with_crops(usual(), tmp_path), tmp_path))
    assert len(page.scripts) == 2
    assert page.scripts[1] == usual_page.scripts[1]
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in usual_page.elements}
    assert {name for _, attributes in page.elements for name in attributes} <= {
        "colspan",  # of reasons
        *(name for _, attributes in usual_page.elements for name in attributes),
    }
    for section in ("summary", "sequences", "flags", "curves", "pictures", "timing", "provenance"):
        assert HOSTILE in page.sections[section], section
    assert [curve["label"] for curve in page.data["curves"]] == [HOSTILE, "b"]


def test_a_flagged_row_has_no_figure_and_its_reason() -> None:
    reason = "the decoder's picture 3 is not the encoder's"
    figures = dict.fromkeys(("bits", "kbps", "psnr_y", "psnr_u", "psnr_v", "psnr_yuv", "ssim_y", "encode_seconds", "decode_seconds"))
    rows = [row for n in range(3) for variant in ("anchor", "integer") for row in rows_of(f"s{n}", variant)]
    rows[5] |= {"flag": reason, "filter_seconds": None, "filtered_share": None, "kmac_per_sample": None, **figures}
    page = Page(render(document_of(rows)))
    summary, sequences, gains, methods, flags = page.tables[:5]
    assert [line[:2] for line in gains[1:]] == [["s1", "integer network"], ["s2", "integer network"]], "no mean without s0"
    assert summary[1:] == [
        ["class D (size)"],
        ["integer network", *6 * [NONE], "3"],
        ["all sequences"],
        ["integer network", *6 * [NONE], "3"],
        ["all without flagged"],
        ["integer network", *MINUS, "300 %", "53.9", "2"],
    ]
    assert sequences[1][1:] == ["integer network", *9 * [NONE]]
    assert sequences[2] == [f"error: QP 27 of integer is flagged: {reason}"]
    assert sequences[3][2] == MINUS[0]
    assert methods[1] == ["s0", "integer network", *3 * [NONE]]
    assert flags[1:] == [["error", "s0x265, all intra, integer network, QP 27", reason]]
    assert "1 error, 0 warnings" in page.sections["summary"]
    curve = page.data["curves"][0]
    assert [point["qp"] for point in curve["variants"]["integer"]] == [37, 32, 22]
    assert curve["figures"] == "No luma BD-rate: see the flagged rows."


def test_an_error_hides_what_could_still_be_computed() -> None:
    """Chroma may have a BD-rate where luma's curves do not overlap; beside a failure it would be taken for a result."""
    rows = rows_of("a", "anchor") + [row | {"psnr_y": row["psnr_y"] + 30} for row in rows_of("a", "integer")]
    document = document_of(rows)
    assert document["sequences"][0]["variants"]["integer"]["bd_rate_u"] is not None
    sequences = Page(render(document)).tables[1]
    assert sequences[1][1:] == ["integer network", *8 * [NONE], "53.9"]
    assert sequences[2][0].startswith("error: the curves have no PSNR in common")


def test_warnings_keep_their_figure() -> None:
    rows = rows_of("a", "anchor") + [row | {"psnr_y": row["psnr_y"] + 2.5} for row in rows_of("a", "integer")]
    document = document_of(rows)
    warnings = document["sequences"][0]["variants"]["integer"]["warnings"]
    assert any("share only" in text for text in warnings)
    page = Page(render(document))
    assert page.tables[1][1][2] == report_view.signed(document["sequences"][0]["variants"]["integer"]["bd_rate_y"])
    assert page.tables[1][2] == ["warnings: " + "; ".join(warnings)]
    assert page.tables[0][-2:] == [["all without flagged"], ["integer network", *6 * [NONE], "0"]]
    assert f"0 errors, {len(warnings)} warning" in page.sections["summary"]


def test_pictures_without_chroma() -> None:
    rows = rows_of("g", "anchor", gray=True) + rows_of("g", "integer", gray=True)
    page = Page(render(document_of(rows)))
    assert page.tables[0][-1] == ["integer network", MINUS[0], NONE, NONE, NONE, "300 %", "53.9", "1"]
    assert page.tables[1][1][1:6] == ["integer network", MINUS[0], NONE, NONE, NONE]
    assert {point["u"] for points in page.data["curves"][0]["variants"].values() for point in points} == {None}


def test_a_plane_equal_to_its_original_is_not_drawn() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer")
    rows[0]["psnr_u"] = 999.99
    points = Page(render(document_of(rows))).data["curves"][0]["variants"]["anchor"]
    assert [point["u"] for point in points] == [36.0, 38.5, 41.0, None]


def test_gain_curves_are_what_bd_psnr_integrates() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer") + rows_of("a", "map")
    for row in rows[4:8]:
        row["psnr_y"] += 0.01 * (row["qp"] - 20)
    rows[8]["flag"] = "failed"
    document = document_of(rows)
    gains = Page(render(document)).data["curves"][0]["gains"]
    assert list(gains) == ["integer"], "a curve with an error has none"
    rates, levels = zip(*gains["integer"]["y"], strict=True)
    assert (min(rates), max(rates)) == (50_000 / 80, 0.95 * 400_000 / 80)
    logs = np.log(rates)
    assert np.allclose(np.diff(logs), (logs[-1] - logs[0]) / 48, atol=1e-5)
    mean = (sum(levels) - (levels[0] + levels[-1]) / 2) / (len(levels) - 1)  # by the trapezoidal rule
    assert abs(mean - document["sequences"][0]["variants"]["integer"]["methods"]["pchip"]["bd_psnr_y"]) < 5e-4


def test_gain_curves_need_rates_in_common() -> None:
    points = [{"kbps": rate, "y": level, "u": None} for rate, level in ((100.0, 30.0), (200.0, 33.0))]
    far = [{"kbps": 10 * point["kbps"], "y": 40.0, "u": 40.0} for point in points]
    assert html_report.gain(points, far, "y") == []
    assert html_report.gain(points, points, "u") == []
    assert html_report.gain(points, points[:1], "y") == []
    assert html_report.gain(points, [points[0], points[0]], "y") == []
    assert {level for _, level in html_report.gain(points, points, "y")} == {0.0}


def test_codecs_and_configurations_stay_apart() -> None:
    rows = [row for variant in ("anchor", "integer") for row in rows_of("a", variant)]
    rows += [row for variant in ("anchor", "map") for row in rows_of("a", variant, codec="hm", configuration="ra")]
    page = Page(render(document_of(rows)))
    assert [table[2][0] for table in page.tables[:2]] == ["integer network", "network by unit"]
    assert [curve["label"] for curve in page.data["curves"]] == ["a (x265, all intra)", "a (HM, random access)"]
    assert [set(curve["variants"]) for curve in page.data["curves"]] == [{"anchor", "integer"}, {"anchor", "map"}]
    assert page.data["curves"][1]["figures"] == "Luma BD-rate: network by unit \N{MINUS SIGN}6.00 %"


@pytest.mark.parametrize(("sequences", "variants"), [(1, ("anchor", "map")), (12, ("anchor", "none", "picture", "map", "after"))])
def test_few_and_many(sequences: int, variants: tuple[str, ...], tmp_path: Path) -> None:
    text = render(with_crops(usual(sequences, variants), tmp_path, (22, 37)), tmp_path)
    page = Page(text)
    others = len(variants) - 1
    assert len(page.tables[0]) == 1 + 2 * (1 + others), "a class and all, and the lines of each variant"
    assert len(page.tables[1]) == 1 + sequences * others
    assert len(page.data["curves"]) == sequences
    assert len(page.data["pictures"]) == 2 * sequences
    assert list(page.data["looks"]) == list(variants)
    assert f"{sequences} sequence{'s' if sequences > 1 else ''}" in page.sections[""]
    assert len(text) < 500_000


def test_every_variant_has_its_colour_and_marker() -> None:
    style = (Path(html_report.__file__).parent / "html" / "page.css").read_text()
    script = (Path(html_report.__file__).parent / "html" / "chart.js").read_text()
    assert len(set(html_report.MARKERS)) == len(VARIANTS)
    assert all(f".n{number} {{ --n:" in style for number in range(html_report.UNIT_COLOURS + 1))
    for variant, marker in zip(VARIANTS, html_report.MARKERS, strict=True):
        assert f".{html_report.look(variant)} {{ --c:" in style
        assert f"  {marker}: " in script


def test_crops_are_in_the_page(tmp_path: Path) -> None:
    document = with_crops(usual(1, ("anchor", "none", "map")), tmp_path, (22, 37))
    data = Page(render(document, tmp_path)).data
    assert [picture["label"] for picture in data["pictures"]] == ["Sequence_0, QP 37", "Sequence_0, QP 22"]
    picture = data["pictures"][0]
    assert list(picture["images"]) == ["original", "anchor", "none", "map"]
    assert (picture["left"], picture["right"]) == ("anchor", "map")
    assert len(data["images"]) == 4, "the original is there once"
    stored = base64.b64decode(data["images"][picture["images"]["none"]].partition(",")[2])
    assert stored == (tmp_path / "crops" / "none.png").read_bytes()
    assert list(picture["maps"]) == ["map"]
    assert "Picture 0, 96x64 samples at 40, 16" in picture["note"]


def test_unit_maps_are_cut_to_the_crop() -> None:
    choices = [[0, 1, 2, 0, 1, 2, 0], [1, 2, 0, 1, 2, 0, 1], [2, 0, 1, 2, 0, 1, 2], [0, 1, 2, 0, 1, 2, 0]]
    found = html_report.unit_map(Crop("a.png", "b.png", **CROP, units=None), Units("map", [3, 2], 64, choices))
    assert found["names"] == ["not filtered", "network 3", "network 2"]
    assert found["looks"] == ["n0", "n4", "n3"]
    left, right = (
        [(0, top, 24, height, network), (24, top, 64, height, other), (88, top, 8, height, last)]
        for top, height, network, other, last in ((0, 48, 0, 1, 2), (48, 16, 1, 2, 0))
    )
    assert [tuple(unit.values()) for unit in found["units"]] == [*left, *right]
    assert sum(unit["width"] * unit["height"] for unit in found["units"]) == CROP["width"] * CROP["height"]


def test_without_crops_the_page_says_so(tmp_path: Path) -> None:
    assert "This run made no crops" in Page(render(usual(), tmp_path)).sections["pictures"]
    document = with_crops(usual(), tmp_path)
    assert "in the results folder; make this page from there" in Page(render(document)).sections["pictures"]


def test_crops_that_would_be_too_many_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = with_crops(usual(2, ("anchor", "integer")), tmp_path, (22, 37))
    for row in document["rows"]:
        if row["crop"]:
            name = f"crops/{row['sequence']}-{row['variant']}-{row['qp']}.png"
            (tmp_path / name).write_bytes((tmp_path / row["crop"]["file"]).read_bytes())
            row["crop"]["file"] = name
    whole = Page(render(document, tmp_path))
    assert len(whole.data["pictures"]) == 4
    assert "more are in the results folder" not in whole.sections["pictures"]
    monkeypatch.setattr(html_report, "PAGE_BYTES", len(render(document, tmp_path).encode()))
    text = render(document, tmp_path)
    assert len(text.encode()) <= html_report.PAGE_BYTES
    part = Page(text)
    kept = [(picture["sequence"], picture["label"][-2:]) for picture in part.data["pictures"]]
    coarse_first = [("Sequence_0", "37"), ("Sequence_1", "37"), ("Sequence_0", "22"), ("Sequence_1", "22")]
    assert 1 <= len(kept) < 4
    assert set(kept) == set(coarse_first[: len(kept)])
    assert f"{4 - len(kept)} more are in the results folder" in part.sections["pictures"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crops/missing.png", "cannot read the crop"),
        ("../secret.png", "not inside the results folder"),
        ("crops/text.png", "not a PNG file"),
    ],
)
def test_a_crop_that_cannot_be_had_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    document = with_crops(usual(), folder)
    (folder / "crops" / "text.png").write_text("not a picture")
    document["rows"][3]["crop"]["file"] = name
    with pytest.raises(VrcnnError, match=message):
        html_report.write_html(tmp_path / "page.html", Document.from_json(document), folder)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("make", [render, render_markdown])
def test_other_documents_are_refused(make: Any) -> None:
    with pytest.raises(VrcnnError, match="schema None"):
        make({"rows": [], "sequences": []})
    with pytest.raises(VrcnnError, match="has no rows"):
        make(usual() | {"rows": []})
    with pytest.raises(VrcnnError, match="sequences is missing"):
        make({key: value for key, value in usual().items() if key != "sequences"})


def test_figures_as_text() -> None:
    assert [report_view.signed(value) for value in (-4.114, 0.001, -0.001, 1.2, None)] == [
        "\N{MINUS SIGN}4.11",
        "0.00",
        "0.00",
        "+1.20",
        NONE,
    ]
    assert [report_view.seconds(value) for value in (0.0, 0.002346, 12.34, 99.96, 1234.5, None)] == (
        ["0", "0.00235", "12.3", "100", "1234", NONE]
    )
    assert [html_report.tone(value) for value in (-1.0, 0.001, 1.0, None)] == ["good", "plain", "bad", "quiet"]


def markdown_tables(text: str) -> list[list[list[str]]]:
    """Cells of the tables that a Markdown parser finds, as they would be read."""
    tables: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and token.level > 3:
            children = token.children or []
            assert {child.type for child in children} <= {"text"}, [child.type for child in children]
            tables[-1][-1].append("".join(child.content for child in children))
    return tables


def test_markdown_has_the_same_figures() -> None:
    text = render_markdown(usual())
    classes, sequences, gains, timing, provenance, originals = markdown_tables(text)
    assert gains[0] == ["sequence", "variant", "QP 22", "QP 27", "QP 32", "QP 37"]
    assert gains[-1] == ["mean", "integer network", *4 * ["0.000"]]
    assert classes[1:] == [
        [name, *line]
        for name in ("class D (size)", "all sequences")
        for line in (["no filter", "2", *PLUS, "100 %", "0.0"], ["integer network", "2", *MINUS, "300 %", "53.9"])
    ]
    assert sequences[1][:7] == ["Sequence_0", "class D (size), 4 of 416x240", "no filter", *PLUS]
    assert len(sequences) == 5
    assert timing[3] == ["integer network", "8", "64.0", "0.100", "0.0500", "0", "100 %", "53.9"]
    assert ["model set", "fac5693b05d8df30" * 4] in provenance
    assert originals[1] == ["Sequence_0", "D (size)", "416x240", "8", "4", "30000/1001", "0123456789abcdef" * 2]
    assert report_view.NO_FLAGS in text
    assert "Sequence_0" in text, "names stay readable where nothing has to be escaped"


def test_other_qualities_have_bd_rates_and_curves() -> None:
    rows = [row for name in ("a", "b") for variant in ("anchor", "integer") for row in rows_of(name, variant)]
    for row in rows:
        row["ssim_y"] = row["psnr_y"] / 50
        if row["sequence"] == "a":
            row["more"] = {"ssim_u": row["psnr_u"] / 50, "vmaf": 2 * row["psnr_y"], "measured_by": "stub 1"}
    document = document_of(rows)
    page = Page(render(document))
    table = next(table for table in page.tables if "VMAF" in table[0])
    rate = MINUS[0]
    assert table[0] == ["sequence", "variant", "SSIM", "SSIM Cb", "VMAF"]
    assert table[1:] == [
        ["a", "integer network", *3 * [rate]],
        ["b", "integer network", rate, NONE, NONE],
        ["mean", "integer network", f"{rate} (2)", f"{rate} (1)", f"{rate} (1)"],
    ], "a mean says over how many sequences it is"
    assert [page.data["metrics"][key]["name"] for key in ("y", "ssim_y", "vmaf")] == ["PSNR of luma", "SSIM", "VMAF"]
    assert page.data["curves"][0]["gains"]["integer"]["vmaf"]
    assert page.data["curves"][1]["gains"]["integer"]["vmaf"] == []
    assert "## BD-rate (%) over other qualities, x265, all intra" in render_markdown(document)


def test_markdown_names_and_texts_stay_text() -> None:
    hostile = HOSTILE + " [x](y) ~~z~~ $m$ @who \\"
    rows = [row for variant in ("anchor", "map") for row in rows_of(hostile, variant, size=hostile)]
    rows[0]["flag"] = hostile
    document = document_of(rows, processor=hostile)
    text = render_markdown(document)
    classes, sequences, flags, _timing, provenance, originals = markdown_tables(text)
    assert classes[1][0] == f"class {hostile}"
    assert sequences[1][0] == hostile
    assert flags[1] == ["error", hostile, "x265, all intra, deblocking and SAO, QP 22", hostile]
    assert ["processor", hostile] in provenance
    assert originals[1][:2] == [hostile, hostile]
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert "html_block" not in {token.type for token in tokens}


def test_markdown_lines_stay_lines() -> None:
    assert markdown_report.escaped("a\n| b\r\n# c") == r"a \| b # c"
    assert markdown_report.escaped("see http://x.y and www.x.y, a_b _c_") == r"see http\://x.y and www\.x.y, a_b \_c\_"


def test_report_command(tmp_path: Path) -> None:
    document = with_crops(usual(1, ("anchor", "map")), tmp_path)
    write_json(tmp_path / "result.json", document)
    outputs = {name: tmp_path / "out" / f"a.{name}" for name in ("html", "markdown", "csv", "plot.png")}
    options = [word for name, path in outputs.items() for word in (f"--{name.removesuffix('.png')}", path)]
    done = bridge("report", tmp_path / "result.json", *options)
    assert done.returncode == 0, done.stderr
    assert outputs["html"].read_text() == render(document, tmp_path)
    assert outputs["markdown"].read_text() == render_markdown(document)
    assert len(outputs["csv"].read_text().splitlines()) == 9
    assert outputs["plot.png"].read_bytes().startswith(b"\x89PNG")
    shown = bridge("report", tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "Sequence_0" in shown.stdout
    assert "-6.00" in shown.stdout
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "r.json").write_bytes((tmp_path / "result.json").read_bytes())
    assert bridge("report", elsewhere / "r.json", "--html", elsewhere / "without.html").returncode == 0
    assert "make this page from there" in (elsewhere / "without.html").read_text()
    assert bridge("report", elsewhere / "r.json", "--results", tmp_path, "--html", elsewhere / "with.html").returncode == 0
    assert (elsewhere / "with.html").read_bytes() == outputs["html"].read_bytes()


def test_report_command_refuses(tmp_path: Path) -> None:
    refused(bridge("report", tmp_path / "none.json"), "cannot read", "none.json")
    (tmp_path / "a.json").write_text("{")
    refused(bridge("report", tmp_path / "a.json"), "a.json is not JSON")
    wrong = (
        ("means", [{}], "c.json: means[0]: codec is missing"),
        ("rows", [1], "c.json: rows[0]: 1 is not a table"),
        ("sequences", {"a": 1}, "c.json: sequences: {'a': 1} is not a list"),
        ("means", None, "c.json: means: None is not a list"),
        ("plan", {}, "c.json: plan: "),
    )
    for name, value, said in wrong:
        write_json(tmp_path / "c.json", usual() | {name: value})
        refused(bridge("report", tmp_path / "c.json", "--markdown", tmp_path / "c.md"), said)
        assert not (tmp_path / "c.md").exists()
    write_json(tmp_path / "b.json", usual() | {"schema": 0})
    refused(bridge("report", tmp_path / "b.json"), "b.json", "schema 0")
    refused(bridge("report", tmp_path / "b.json", "--html", tmp_path / "b.json"), "b.json", "is an input of this command")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json", "c.json"]
