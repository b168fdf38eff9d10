"""`codec-bridge bd` on files of other programs: each figure is what the bjontegaard package says of the numbers in the file."""

import csv
import hashlib
import html
import json
import math
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bjontegaard
import pytest
from typer.testing import CliRunner

from codec_bridge.cli.commands import app
from codec_bridge.figures.bd_rate import METHODS
from codec_bridge.points.compare import compare
from codec_bridge.points.curves import Curves, chosen
from codec_bridge.points.page import render
from codec_bridge.points.record import Columns, Record
from codec_bridge.points.show import Comparison, origin
from codec_bridge.report.markdown import escaped
from tests.codec_bridge.figures.test_bd_rate import ANCHOR, ANCHOR_2, JCTVC_E137, TEST, TEST_2
from tests.support.documents import document_of, rows_of
from vrcnn_int.errors import VrcnnError
from vrcnn_int.version import __version__

DATA = Path(__file__).parent / "data"
"""hm_*.log: HM-18.0, two pictures at four QPs, with and without deblocking and SAO; x265_*.csv: x265 3.5 with --psnr --ssim --csv;
ffmpeg_*.log: FFmpeg 5.1 with libx264, -psnr -ssim 1. All of BasketballPass."""

RESULT = Path(__file__).parents[1] / "report" / "result.json"

Points = Sequence[tuple[float, float]]


def bd(*words: object, folder: Path) -> list[dict[str, str]]:
    """The lines of the CSV file that the command writes."""
    done = CliRunner().invoke(app, ["bd", *map(str, words), "--csv", str(folder / "bd.csv")])
    assert done.exit_code == 0, done.output + repr(done.exception)
    with (folder / "bd.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def refusal(*words: object) -> str:
    done = CliRunner().invoke(app, ["bd", *map(str, words)])
    assert isinstance(done.exception, VrcnnError), done.output + repr(done.exception)
    assert "\n" not in str(done.exception)
    return str(done.exception)


def by_hand(anchor: Points, test: Points, method: str) -> float:
    """The package's own figure."""
    (anchor_rates, anchor_levels), (test_rates, test_levels) = (zip(*sorted(points), strict=True) for points in (anchor, test))
    return float(
        bjontegaard.bd_rate(
            anchor_rates, anchor_levels, test_rates, test_levels, method=method, require_matching_points=False, min_overlap=0
        )
    )


def agrees(line: dict[str, str], anchor: Points, test: Points) -> None:
    for method in METHODS:
        assert math.isclose(float(line[f"bd_rate_{method}_percent"]), by_hand(anchor, test, method), abs_tol=1e-9), method


def line_of(lines: list[dict[str, str]], **wanted: str) -> dict[str, str]:
    (found,) = [line for line in lines if wanted.items() <= line.items()]
    return found


def table(path: Path, points: Points, titles: str = "kbps,psnr") -> Path:
    path.write_text("\n".join([titles, *(f"{rate},{level}" for rate, level in points)]) + "\n")
    return path


# ---- every kind of file ----


@pytest.mark.parametrize(("metric", "column"), [("psnr_y", 1), ("psnr_u", 2), ("psnr_v", 3), ("psnr_yuv", 4)])
def test_logs_of_hm(metric: str, column: int, tmp_path: Path) -> None:
    curves = []
    for name in ("hm_anchor", "hm_test"):
        sums = re.findall(r"^\s+2\s+a\s+(.*)$", (DATA / f"{name}.log").read_text(), re.M)
        assert len(sums) == 4
        curves.append([(float(words[0]), float(words[column])) for words in map(str.split, sums)])
    line = line_of(bd(DATA / "hm_anchor.log", DATA / "hm_test.log", folder=tmp_path), metric=metric)
    assert (line["sequence"], line["test"], line["points"], line["rises"]) == ("BasketballPass", "hm_test", "4", "yes")
    agrees(line, *curves)


def test_a_folder_of_logs_is_their_points(tmp_path: Path) -> None:
    for name in ("anchor", "test"):
        (tmp_path / name).mkdir()
        runs = re.split(r"(?=^HM software)", (DATA / f"hm_{name}.log").read_text(), flags=re.M)[1:]
        for number, run in enumerate(runs):
            (tmp_path / name / f"{number}.log").write_text(run)
        (tmp_path / name / "stream.bin").write_bytes(b"\1\2")
    whole = bd(DATA / "hm_anchor.log", DATA / "hm_test.log", folder=tmp_path)
    assert [line | {"test": "hm_test"} for line in bd(tmp_path / "anchor", tmp_path / "test", folder=tmp_path)] == whole


def test_csv_files_of_x265(tmp_path: Path) -> None:
    curves: dict[str, list[list[tuple[float, float]]]] = {"psnr_y": [], "psnr": [], "ssim": []}
    for name in ("medium", "ultrafast"):
        lines = (DATA / f"x265_{name}.csv").read_text().splitlines()[1:]
        cells = [re.sub(r'^"[^"]*"', "command", line).split(",") for line in lines]
        for metric, column in zip(curves, (5, 8, 9), strict=True):
            curves[metric].append([(float(row[4]), float(row[column])) for row in cells])
    found = bd(DATA / "x265_medium.csv", DATA / "x265_ultrafast.csv", folder=tmp_path)
    assert {line["sequence"] for line in found} == {"BasketballPass"}
    for metric, (anchor, test) in curves.items():
        agrees(line_of(found, metric=metric), anchor, test)


def test_a_csv_file_of_x265_with_lines_of_pictures(tmp_path: Path) -> None:
    """--csv-log-level 1 writes them before the line of the run."""
    text = (DATA / "x265_medium.csv").read_text()
    (tmp_path / "long.csv").write_text("Encode Order, Type, POC, QP, Bits\n0, I-SLICE, 0, 19.00, 155152\n\nSummary\n" + text)
    assert float(bd(tmp_path / "long.csv", DATA / "x265_medium.csv", folder=tmp_path)[0]["bd_rate_pchip_percent"]) == 0


def test_logs_of_ffmpeg(tmp_path: Path) -> None:
    curves: dict[str, list[list[tuple[float, float]]]] = {"psnr_y": [], "psnr_v": [], "psnr": [], "ssim": []}
    pattern = re.compile(r"SSIM Mean Y:([\d.]+) .*\n.*PSNR Mean Y:([\d.]+) U:[\d.]+ V:([\d.]+) Avg:[\d.]+ Global:([\d.]+) kb/s:([\d.]+)")
    for name in ("medium", "ultrafast"):
        runs = [[float(word) for word in run] for run in pattern.findall((DATA / f"ffmpeg_{name}.log").read_text())]
        assert len(runs) == 4
        for metric, column in zip(curves, (1, 2, 3, 0), strict=True):
            curves[metric].append([(run[4], run[column]) for run in runs])
    found = bd(DATA / "ffmpeg_medium.log", DATA / "ffmpeg_ultrafast.log", folder=tmp_path)
    for metric, (anchor, test) in curves.items():
        agrees(line_of(found, metric=metric), anchor, test)


def test_logs_of_ffmpeg_s_filters(tmp_path: Path) -> None:
    """The streams' rate is that of the first input, the sequence that of the second. In FFmpeg's layout, by hand."""

    def log(rate: int, psnr: float, vmaf: float) -> str:
        return (
            f"Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'out_{rate}.mp4':\n  Duration: 00:00:02.00, start: 0.000000, bitrate: {rate} kb/s\n"
            "Input #1, yuv4mpegpipe, from 'clips/foreman_352x288_30.y4m':\n  Duration: 00:00:02.00, bitrate: 36495 kb/s\n"
            "frame=   60 fps=0.0 q=-0.0 Lsize=N/A time=00:00:02.00 bitrate=N/A speed=30x\n"
            f"[Parsed_psnr_0 @ 0x5592f2495280] PSNR y:{psnr} u:{psnr + 4} v:{psnr + 5} average:{psnr + 1} min:33.1 max:38.5\n"
            f"[Parsed_libvmaf_2 @ 0x5592f2495280] VMAF score: {vmaf}\n"
        )

    rates, levels, scores = (4000, 2000, 1000, 500), (40.5, 38.25, 35.75, 32.5), (97.5, 94.25, 86.0, 71.5)
    for name, more in (("a", 0.0), ("b", 0.5)):
        (tmp_path / name).mkdir()
        for number, (rate, level, score) in enumerate(zip(rates, levels, scores, strict=True)):
            (tmp_path / name / f"{number}.log").write_text(log(rate, level + more, score + more))
    found = bd(tmp_path / "a", tmp_path / "b", folder=tmp_path)
    for metric, some in (("psnr_y", levels), ("vmaf", scores)):
        line = line_of(found, metric=metric)
        assert line["sequence"] == "foreman"
        agrees(line, list(zip(rates, some, strict=True)), [(rate, level + 0.5) for rate, level in zip(rates, some, strict=True)])


def test_logs_of_vtm(tmp_path: Path) -> None:
    """In VTM's layout, by hand: there is none of VTM's own here."""

    def log(points: Points) -> str:
        text = ""
        for qp, (rate, level) in zip((37, 32, 27, 22), sorted(points), strict=True):
            text += (
                "\nVVCSoftware: VTM Encoder Version 19.0 [Linux][GCC 11.3.0][64 bit] [SIMD=AVX2] \n"
                f"POC    0 LId:  0 TId: 0 ( IDR_N_LP, I-SLICE, QP {qp} )     398392 bits [Y 36.6308 dB    U 46.5007 dB    V 47.0050 dB]\n"
                "\nLayerId  0\n\tTotal Frames |   Bitrate     Y-PSNR    U-PSNR    V-PSNR    YUV-PSNR   \n"
                f"\t       1    a    {rate:.4f}   {level:.4f}   46.5007   47.0050   38.1852  \n"
                "\nI Slices\n\tTotal Frames |   Bitrate     Y-PSNR    U-PSNR    V-PSNR    YUV-PSNR   \n"
                "\t       1    i    1.0   1.0   1.0   1.0   1.0  \n finished @ Sat Jul 29 22:36:13 2023\n Total Time:      156.532 sec.\n"
            )
        return text

    for name, points in (("anchor", ANCHOR), ("test", TEST)):
        (tmp_path / f"{name}.log").write_text(log(points))
    agrees(bd(tmp_path / "anchor.log", tmp_path / "test.log", "--metric", "psnr_y", folder=tmp_path)[0], ANCHOR, TEST)


def test_a_hand_made_table_of_five_points(tmp_path: Path) -> None:
    anchor = [(100, 30.0), (200, 33.1), (400, 36.0), (800, 38.7), (1600, 41.1)]
    test = [(95, 30.2), (190, 33.2), (390, 36.3), (790, 38.8), (1580, 41.2)]
    (line,) = bd(table(tmp_path / "a.csv", anchor), table(tmp_path / "b.csv", test), folder=tmp_path)
    assert (line["metric"], line["points"]) == ("psnr", "5")
    agrees(line, anchor, test)


def test_json_in_three_forms(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"bitrate": rate, "PSNR-Y": level} for rate, level in ANCHOR]))
    (tmp_path / "b.json").write_text(json.dumps({"points": [{"bitrate": rate, "PSNR-Y": level} for rate, level in TEST]}))
    rates, levels = zip(*TEST, strict=True)
    (tmp_path / "c.json").write_text(json.dumps({"bitrate": rates, "PSNR-Y": levels, "codec": "mine"}))
    for line in bd(tmp_path / "a.json", tmp_path / "b.json", tmp_path / "c.json", folder=tmp_path):
        agrees(line, ANCHOR, TEST)


def jvet(path: Path, sheets: dict[str, dict[tuple[str, str], tuple[Points, Points]]]) -> Path:
    """A workbook as JVET's templates are laid out, by hand: class and sequence in merged cells, reference and test beside each other."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.title = "Summary"
    book.active.append(["", "All Intra", "Over VTM-10.0"])
    titles = ["kbps", "Y psnr", "U psnr", "V psnr", "Enc T [s]", "Dec T [s]"]
    for name, sequences in sheets.items():
        sheet = book.create_sheet(name)
        sheet.append(
            [None, None, None, "Reference:", "VTM-10.0"] + [None] * 4 + ["Tested:", "proposal"] + [None] * 4 + ["BD-rate (piecewise cubic)"]
        )
        sheet.append([None, None, "QP", *titles, *titles, "Y", "U", "V"])
        seen = ""
        for (class_name, sequence), (anchor, test) in sequences.items():
            for number, (left, right) in enumerate(zip(anchor, test, strict=True)):
                first = [class_name if class_name != seen else None, sequence] if number == 0 else [None, None]
                seen = class_name
                own = [value for rate, level in (left, right) for value in (rate, level, level + 4, level + 5, 12.5, 0.5)]
                sheet.append([*first, 22 + 5 * number, *own, "=bdrate()" if number == 0 else None])
        sheet.append(["Average"])
    book.save(path)
    return path


def test_a_workbook_in_jvet_s_layout(tmp_path: Path) -> None:
    (anchor_a, test_a, expected_a), (anchor_b, test_b, expected_b) = JCTVC_E137
    sequences = {
        ("Class A", "Traffic"): (anchor_a, test_a),
        ("Class B", "Kimono"): (anchor_b, test_b),
        ("Class B", "ParkScene"): (ANCHOR, TEST),
    }
    path = jvet(tmp_path / "jvet.xlsx", {"AI": sequences, "RA": {("Class A", "Traffic"): (ANCHOR_2, TEST_2)}})
    found = bd(path, folder=tmp_path)
    for sequence, curves in (("Traffic", (anchor_a, test_a)), ("Kimono", (anchor_b, test_b)), ("ParkScene", (ANCHOR, TEST))):
        agrees(line_of(found, sequence=sequence, configuration="AI", metric="psnr_y"), *curves)
    line = line_of(found, sequence="Traffic", configuration="RA", metric="psnr_y")
    agrees(line, ANCHOR_2, TEST_2)
    assert line["test"] == "Tested: proposal"
    assert math.isclose(
        float(line_of(found, sequence="Traffic", configuration="AI", metric="psnr_y")["bd_rate_pchip_percent"]), expected_a, abs_tol=1e-9
    )
    assert math.isclose(float(line_of(found, sequence="Kimono", metric="psnr_y")["bd_rate_pchip_percent"]), expected_b, abs_tol=1e-9)
    rates = [expected_b, by_hand(ANCHOR, TEST, "pchip")]
    mean = line_of(found, sequence="mean of 2, class B", metric="psnr_y")
    assert math.isclose(float(mean["bd_rate_pchip_percent"]), sum(rates) / 2, abs_tol=1e-9)
    total = line_of(found, sequence="mean of 3, all", metric="psnr_y")
    assert math.isclose(float(total["bd_rate_pchip_percent"]), (expected_a + sum(rates)) / 3, abs_tol=1e-9)
    only = bd(path, "--sheet", "RA", "--metric", "psnr_y", folder=tmp_path)
    assert [line["configuration"] for line in only] == ["RA"]
    assert "has no sheet 'LB'; it has Summary, AI, RA" in refusal(path, "--sheet", "LB")


def test_a_workbook_in_aom_s_layout(tmp_path: Path) -> None:
    """A line a point, an anchor and a test in a workbook each, by hand."""
    openpyxl = pytest.importorskip("openpyxl")
    for name, points in (("anchor", ANCHOR), ("test", TEST)):
        book = openpyxl.Workbook()
        book.active.append(["TestCfg", "CodecName", "Class", "Name", "QP", "Bitrate(kbps)", "PSNR_Y", "SSIM_Y(dB)", "VMAF_Y-NEG"])
        for number, (rate, level) in enumerate(points):
            book.active.append(["RA", name, "A2", "Boat", 110 + number, rate, level, level / 2, 2 * level])
        book.save(tmp_path / f"{name}.xlsx")
    found = bd(tmp_path / "anchor.xlsx", tmp_path / "test.xlsx", folder=tmp_path)
    assert [line["metric"] for line in found] == ["psnr_y", "ssim_db", "vmaf_neg"]
    for line, scale in zip(found, (1, 0.5, 2), strict=True):
        assert (line["configuration"], line["class"], line["sequence"]) == ("RA", "A2", "Boat")
        agrees(line, *([(rate, scale * level) for rate, level in points] for points in (ANCHOR, TEST)))


def test_our_own_results(tmp_path: Path) -> None:
    """The document and its rows as CSV give what the document says."""
    document = json.loads(RESULT.read_text())
    CliRunner().invoke(app, ["report", str(RESULT), "--csv", str(tmp_path / "rows.csv")])
    for path in (RESULT, tmp_path / "rows.csv"):
        found = bd(path, folder=tmp_path)
        assert found
        for entry in document["sequences"]:
            for variant, comparison in entry["variants"].items():
                line = line_of(found, test=variant, sequence=entry["sequence"], metric="psnr_y")
                for method in METHODS:
                    assert math.isclose(float(line[f"bd_rate_{method}_percent"]), comparison["methods"][method]["bd_rate_y"], abs_tol=1e-9)


def test_our_own_results_with_more_qualities(tmp_path: Path) -> None:
    """MS-SSIM and VMAF, which rows have where they were asked for, by document and CSV."""
    rows = [row for variant in ("anchor", "integer") for row in rows_of("a", variant)]
    for row in rows:
        row["ssim_y"] = row["psnr_y"] / 60
        row["more"] = {"ms_ssim_y": row["psnr_y"] / 50, "vmaf": 2 * row["psnr_y"], "measured_by": "stub 1"}
    (tmp_path / "a.json").write_text(json.dumps(document_of(rows)))
    CliRunner().invoke(app, ["report", str(tmp_path / "a.json"), "--csv", str(tmp_path / "rows.csv")])
    for name in ("a.json", "rows.csv"):
        found = bd(tmp_path / name, folder=tmp_path)
        for metric, scale in (("ms_ssim", 1 / 50), ("vmaf", 2.0)):
            anchor, test = ([(row["kbps"], scale * row["psnr_y"]) for row in rows if row["variant"] == v] for v in ("anchor", "integer"))
            agrees(line_of(found, test="integer", metric=metric), anchor, test)


@pytest.mark.parametrize(
    ("curves", "method", "expected"),
    [
        ((ANCHOR, TEST), "cubic", -4.420462706090111),
        ((ANCHOR_2, TEST_2), "cubic", 31.397374054908013),
        *(((anchor, test), "pchip", expected) for anchor, test, expected in JCTVC_E137),
    ],
)
def test_published_examples(curves: tuple[Points, Points], method: str, expected: float, tmp_path: Path) -> None:
    """VCEG-M33's scripts, the bjontegaard package's README, and a contribution with the figures of the group's spreadsheet."""
    anchor, test = (table(tmp_path / f"{number}.csv", points) for number, points in enumerate(curves))
    assert math.isclose(float(bd(anchor, test, folder=tmp_path)[0][f"bd_rate_{method}_percent"]), expected, abs_tol=1e-6)


# ---- columns ----


def test_columns_are_named_by_option(tmp_path: Path) -> None:
    anchor, test = (
        table(tmp_path / f"{name}.csv", [(1000 * rate, level) for rate, level in points], "br (bps),Qualität")
        for name, points in (("a", ANCHOR), ("b", TEST))
    )
    options = ("--column", "rate=br (bps)", "--column", "mos=Qualität")
    (line,) = bd(anchor, test, *options, folder=tmp_path)
    assert line["metric"] == "mos"
    agrees(line, ANCHOR, TEST)
    assert "no line of titles with a rate" in refusal(anchor, test)
    assert "has no column 'VQM' for vqm" in refusal(anchor, test, *options, "--column", "vqm=VQM")
    assert "is not NAME=TITLE" in refusal(anchor, test, "--column", "rate")


@pytest.mark.parametrize(("titles", "scale"), [("bps;psnr_y", 1000), ("Mbit/s;psnr_y", 0.001), ("Bitrate [kb/s];psnr_y", 1)])
def test_units_are_read_from_titles(titles: str, scale: float, tmp_path: Path) -> None:
    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,PSNR Y")
    test = tmp_path / "b.csv"
    test.write_text("\n".join([titles, *(f"{scale * rate};{level}" for rate, level in TEST)]))
    agrees(bd(anchor, test, folder=tmp_path)[0], ANCHOR, TEST)


def test_one_table_of_several_encoders(tmp_path: Path) -> None:
    lines = ["codec,sequence,kbps,psnr_y"]
    for name, points in (("x", ANCHOR), ("y", TEST), ("z", ANCHOR)):
        lines += [f"{name},cat,{rate},{level}" for rate, level in points]
    path = tmp_path / "all.csv"
    path.write_text("\n".join(lines))
    found = bd(f"{path}#x", folder=tmp_path)
    assert [line["test"] for line in found] == ["y", "z"]
    agrees(found[0], ANCHOR, TEST)
    assert [line["test"] for line in bd(f"{path}#x", f"{path}#y", folder=tmp_path)] == ["y"]
    assert "several curves; say which is the anchor" in refusal(path)
    assert "has no curve 'w'" in refusal(f"{path}#w")


# ---- what is refused ----


def changed(points: Points, at: int, rate: float | None = None, level: float | None = None) -> list[tuple[float, float]]:
    return [(rate or r, level if level is not None else q) if n == at else (r, q) for n, (r, q) in enumerate(points)]


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (TEST[:3], "needs at least 4 points (QPs) a curve; the test has 3"),
        (changed(TEST, 1, level=math.inf), "the test's PSNR Y is infinite at 4469 kbit/s: a picture equals its original"),
        (changed(TEST, 1, level=999.99), "the test's PSNR Y is infinite at 4469 kbit/s"),
        (changed(TEST, 1, rate=9787.80), "two points of equal rate or PSNR Y"),
        (changed(TEST, 1, level=42.0), "the test's PSNR Y falls while its rate rises"),
        (changed(TEST, 1, level=math.nan), "not finite numbers"),
        (
            [(rate, level + 10) for rate, level in TEST],
            "no PSNR Y in common: the anchor has 34.851 to 40.037 dB, the test 44.987 to 50.121 dB",
        ),
        ([(rate * 1000, level) for rate, level in TEST], "the rates cannot be of one unit"),
        ([(rate, level / 50) for rate, level in TEST], "PSNR Y cannot be 0.80242 dB at 9787.8 kbit/s"),
        ([(-rate, level) for rate, level in TEST], "a rate that is not positive"),
    ],
)
def test_bad_points_are_refused_by_name(points: Points, words: str, tmp_path: Path) -> None:
    anchor, test = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y"), table(tmp_path / "worse.csv", points, "kbps,psnr_y")
    said = refusal(anchor, test)
    assert said.startswith("1 of 1 comparisons have no BD-rate: worse, PSNR Y: ")
    assert words in said


def test_more_that_cannot_be_compared(tmp_path: Path) -> None:
    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y")
    assert "different units: the anchor's in kbit/s, the test's in bits" in refusal(anchor, table(tmp_path / "b.csv", TEST, "bits,psnr_y"))
    assert "no quality in common: vmaf, and psnr_y" in refusal(anchor, table(tmp_path / "c.csv", TEST, "kbps,vmaf"))
    high = table(tmp_path / "d.csv", [(rate, level + 70) for rate, level in TEST], "kbps,vmaf")
    assert "d, VMAF: the anchor's VMAF cannot be 110.121 at 9787.8 kbit/s: it lies from 0 to 100" in refusal(high, high)
    (tmp_path / "hole.csv").write_text("kbps,psnr_y,psnr_u\n" + "".join(f"{r},{q},{q + 3 if n else ''}\n" for n, (r, q) in enumerate(TEST)))
    assert "hole, PSNR U: the anchor has no PSNR U at 9787.8 kbit/s" in refusal(tmp_path / "hole.csv", tmp_path / "hole.csv")
    (tmp_path / "comma.csv").write_text("kbps;psnr_y\n100;38,5\n")
    assert "row 2: psnr_y: '38,5' is not a number: write a decimal point" in refusal(anchor, tmp_path / "comma.csv")
    (tmp_path / "noise.log").write_text("nothing here")
    assert "is of no known format; known are: " in refusal(anchor, tmp_path / "noise.log")
    assert "cannot read" in refusal(anchor, tmp_path / "missing.csv")
    (tmp_path / "cut.log").write_text((DATA / "hm_test.log").read_text()[:3000])
    assert "cut.log: an encoder's run has no summary of all pictures" in refusal(DATA / "hm_anchor.log", tmp_path / "cut.log")
    assert "unknown method 'linear'" in refusal(anchor, anchor, "--method", "linear")
    assert "give a test to compare with it" in refusal(anchor)


def test_sequences_must_meet(tmp_path: Path) -> None:
    def several(name: str, sequences: Sequence[str]) -> Path:
        lines = [f"{sequence},{rate},{level}" for sequence in sequences for rate, level in ANCHOR]
        (tmp_path / name).write_text("\n".join(["sequence,kbps,psnr_y", *lines]))
        return tmp_path / name

    found = bd(several("a.csv", ["cat", "dog"]), several("b.csv", ["dog"]), folder=tmp_path)
    assert [line["sequence"] for line in found] == ["dog"]
    assert "b: the anchor a has no curve of cow; it has cat, dog" in refusal(tmp_path / "a.csv", several("b.csv", ["dog", "cow"]))
    assert len(bd(several("a.csv", ["cat"]), several("b.csv", ["dog"]), folder=tmp_path)) == 1, "one sequence each needs no name"


def test_another_sequence_is_said(tmp_path: Path) -> None:
    (tmp_path / "other.log").write_text((DATA / "hm_test.log").read_text().replace("BasketballPass", "RaceHorses"))
    (line,) = bd(DATA / "hm_anchor.log", tmp_path / "other.log", "--metric", "psnr_y", folder=tmp_path)
    assert line["notes"] == "compared with the anchor's curve of BasketballPass"


def test_nothing_counts_twice(tmp_path: Path) -> None:
    anchor, test = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y"), table(tmp_path / "b.csv", TEST, "kbps,psnr_y")
    assert len(bd(anchor, test, "--metric", "psnr_y", "--metric", "psnr_y", folder=tmp_path)) == 1, "no mean of one sequence with itself"
    assert "b.csv is given twice" in refusal(anchor, test, test)
    assert "there is no quality 'PSNR'; there are psnr_y" in refusal(anchor, test, "--metric", "PSNR")
    assert "--column vmaf is given twice: 'x' and 'y'" in refusal(anchor, test, "--column", "vmaf=x", "--column", "vmaf=y")
    assert "the column 'x' is named twice" in refusal(anchor, test, "--column", "rate=x", "--column", "vmaf=x")


# ---- damaged files, and such as others write them ----


BOTH = [(*left, *right) for left, right in zip(ANCHOR, TEST, strict=True)]


@pytest.mark.parametrize(
    ("titles", "columns"),
    [
        (",Reference,,,,Tested,\nqp,bits,kbps,psnr_y,bits,kbps,psnr_y", "9aA9bB"),
        (",Reference,,,,Tested,\nqp,kbps,psnr_y,bits,kbps,psnr_y,bits", "aA9bB9"),
        (",Reference,,Tested,\nqp,psnr_y,kbps,psnr_y,kbps", "AaBb"),
    ],
)
def test_curves_beside_each_other(titles: str, columns: str, tmp_path: Path) -> None:
    """Rates by size stand beside those by time; qualities may stand before their rates."""
    lines = [titles]
    for a, big_a, b, big_b in BOTH:
        cells = {"a": a, "A": big_a, "b": b, "B": big_b, "9": 9 * a}
        lines.append(",".join(["22", *(str(cells[letter]) for letter in columns)]))
    (tmp_path / "both.csv").write_text("\n".join(lines) + "\n")
    (line,) = bd(tmp_path / "both.csv", folder=tmp_path)
    assert line["test"] == "Tested"
    agrees(line, ANCHOR, TEST)


@pytest.mark.parametrize("titles", ["bits,kbps,psnr_y", "psnr_y,kbps,bits", "kbps,psnr_y,bits"])
def test_a_size_beside_the_rate(titles: str, tmp_path: Path) -> None:
    cells = [{"bits": 9 * rate, "kbps": rate, "psnr_y": level} for rate, level in TEST]
    lines = [titles, *(",".join(str(row[title]) for title in titles.split(",")) for row in cells)]
    (tmp_path / "b.csv").write_text("\n".join(lines) + "\n")
    agrees(bd(table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y"), tmp_path / "b.csv", folder=tmp_path)[0], ANCHOR, TEST)


def test_kilobytes_are_no_kilobits(tmp_path: Path) -> None:
    anchor = table(tmp_path / "a.csv", ANCHOR, "Bitrate (kb/s),psnr_y")
    test = table(tmp_path / "b.csv", [(rate / 8, level) for rate, level in TEST], "Bitrate (kB/s),psnr_y")
    agrees(bd(anchor, test, folder=tmp_path)[0], ANCHOR, TEST)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings_of_windows(encoding: str, tmp_path: Path) -> None:
    """What PowerShell and spreadsheets write; a result of ours as well as any other table."""
    for name in ("a", "b"):
        table(tmp_path / f"{name}.csv", ANCHOR if name == "a" else TEST, "kbps,psnr_y")
        (tmp_path / f"{name}.csv").write_text((tmp_path / f"{name}.csv").read_text(), encoding=encoding)
    agrees(bd(tmp_path / "a.csv", tmp_path / "b.csv", folder=tmp_path)[0], ANCHOR, TEST)
    CliRunner().invoke(app, ["report", str(RESULT), "--csv", str(tmp_path / "rows.csv")])
    plain = bd(tmp_path / "rows.csv", folder=tmp_path)
    (tmp_path / "rows.csv").write_text((tmp_path / "rows.csv").read_text().replace(",", ";"), encoding=encoding)
    assert bd(tmp_path / "rows.csv", folder=tmp_path) == plain


def test_numbers_that_are_none(tmp_path: Path) -> None:
    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y")
    for cell, words in (
        ('"1,800"', "'1,800' is not a number: write a decimal point, and nothing between thousands"),
        ("1_800", "'1_800' is not a number"),
        ("", "row 2 has a psnr_y but no rate"),
    ):
        (tmp_path / "b.csv").write_text("kbps,psnr_y\n" + "".join(f"{cell if n == 0 else r},{q}\n" for n, (r, q) in enumerate(TEST)))
        assert words in refusal(anchor, tmp_path / "b.csv")
    for value in ("true", "1" + "0" * 400):
        (tmp_path / "b.json").write_text(f'[{{"kbps": {value}, "psnr_y": 30}}]')
        assert "is not a number" in refusal(anchor, tmp_path / "b.json")


def test_columns_of_one_meaning(tmp_path: Path) -> None:
    def of(titles: str) -> Path:
        return table(tmp_path / "b.csv", [(rate, f"{level},{level + 3}") for rate, level in TEST], titles)  # type: ignore[misc]

    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y")
    assert "several columns for psnr_y: 'psnr_y', 'psnr_y'; give them names" in refusal(anchor, of("kbps,psnr_y,psnr_y"))
    assert "'Y-PSNR', 'psnr_y'; name one with --column psnr_y=TITLE" in refusal(anchor, of("kbps,Y-PSNR,psnr_y"))
    assert "several columns for rate: 'kbps', 'Bitrate'" in refusal(anchor, of("kbps,Bitrate,psnr_y"))
    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,Y-PSNR")
    agrees(bd(anchor, of("kbps,Y-PSNR,psnr_y"), "--column", "psnr_y=Y-PSNR", folder=tmp_path)[0], ANCHOR, TEST)


def test_empty_files(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    assert "empty.csv has no RD points: the file is empty" in refusal(tmp_path / "empty.csv")


def test_logs_of_hm_that_were_cut(tmp_path: Path) -> None:
    """Anywhere in the line of all pictures: half a number is one, too."""
    text = (DATA / "hm_test.log").read_text()
    line = list(re.finditer(r"^\s+2\s+a\s+.*$", text, re.M))[-1]
    for end in range(line.start(), line.end() + 1, 3):
        (tmp_path / "cut.log").write_text(text[:end])
        assert "cut.log: an encoder's run has no summary of all pictures" in refusal(DATA / "hm_anchor.log", tmp_path / "cut.log")


def test_logs_of_other_lengths(tmp_path: Path) -> None:
    text = re.sub(r"^(\s+)2(\s+a\s)", r"\g<1>17\2", (DATA / "hm_test.log").read_text(), count=1, flags=re.M)
    (tmp_path / "long.log").write_text(text)
    words = "different numbers of pictures: the anchor's of 2, the test's of 2 and 17"
    assert words in refusal(DATA / "hm_anchor.log", tmp_path / "long.log")
    csv_file = (DATA / "x265_ultrafast.csv").read_text()
    (tmp_path / "long.csv").write_text(re.sub(r", 1     , 22\.00", ", 9     , 22.00", csv_file, count=1))
    words = "different numbers of pictures: the anchor's of 3, the test's of 3 and 11"
    assert words in refusal(DATA / "x265_medium.csv", tmp_path / "long.csv")
    log = (DATA / "ffmpeg_ultrafast.log").read_text()
    (tmp_path / "ffmpeg.log").write_text(re.sub(r"^frame=    3 ", "frame=    2 ", log, flags=re.M))
    words = "different numbers of pictures: the anchor's of 3, the test's of 2"
    assert words in refusal(DATA / "ffmpeg_medium.log", tmp_path / "ffmpeg.log")


def test_names_that_stand_for_other_qualities(tmp_path: Path) -> None:
    """x265's global PSNR weighs planes, x264's is that of all samples: decibels apart. What is near each other is said."""
    words = "psnr is not the same quality on both sides: the anchor's is of Y, U and V weighed 6:1:1, the test's of the mean error in all"
    assert words in refusal(DATA / "x265_medium.csv", DATA / "ffmpeg_medium.log", "--metric", "psnr")
    assert bd(DATA / "x265_medium.csv", DATA / "ffmpeg_medium.log", "--metric", "psnr_y", folder=tmp_path)[0]["notes"] == ""
    one_log = re.sub(r"^(\s+)2(\s+a\s)", r"\g<1>3\2", (DATA / "hm_anchor.log").read_text(), flags=re.M)
    (tmp_path / "hm.log").write_text(one_log)
    words = "psnr_yuv is not the same quality on both sides: the anchor's is x264's mean over pictures, of the error in all planes, the"
    assert words in refusal(DATA / "ffmpeg_medium.log", tmp_path / "hm.log", "--metric", "psnr_yuv")
    pattern = r"(\] PSNR Mean Y:(\S+) U:(\S+) V:(\S+) .*)"
    text = re.sub(pattern, r"\1\n[Parsed_psnr_0 @ 0x1] PSNR y:\2 u:\3 v:\4 average:39.0", (DATA / "ffmpeg_medium.log").read_text())
    (tmp_path / "filters.log").write_text(text)
    (line,) = bd(DATA / "x265_medium.csv", tmp_path / "filters.log", "--metric", "psnr_y", folder=tmp_path)
    assert line["notes"].startswith("psnr_y is measured in different ways: the anchor's is a mean of the pictures' PSNR, the test's FF")


def test_logs_with_thousands_of_empty_lines_are_read_at_once(tmp_path: Path) -> None:
    start, rest = (DATA / "hm_test.log").read_text().split("\n", 1)
    (tmp_path / "long.log").write_text(start + "\n" * 200_000 + rest)
    begin = time.monotonic()
    assert "of no known format" in refusal(DATA / "hm_anchor.log", tmp_path / "long.log")
    first = re.split(r"(?=^HM software)", (DATA / "hm_test.log").read_text(), flags=re.M)
    (tmp_path / "long.log").write_text(first[0] + first[1][:300] + "\n" * 200_000)
    assert "has no summary" in refusal(DATA / "hm_anchor.log", tmp_path / "long.log")
    assert time.monotonic() - begin < 10


def test_csv_files_of_x265_that_were_cut(tmp_path: Path) -> None:
    text = (DATA / "x265_medium.csv").read_text()
    pictures = "Encode Order, Type, POC, QP, Bits, Y PSNR\n" + "".join(f"{n}, P-SLICE, {n}, 30, {n + 9}, 40.1\n" for n in range(2000))
    path = tmp_path / "x.csv"
    for content, words in (
        (text[: text.rindex('"') + 60], "ends in the middle: the file was cut"),
        (text[: text.rindex('"') + 60] + "\n", "the line of run 4 ends in the middle"),
        (text.splitlines()[0] + "\n", "the encoder did not end"),
        (pictures, "has lines of pictures and none of a whole run"),
    ):
        path.write_text(content)
        assert words in refusal(DATA / "x265_medium.csv", path)
    path.write_text(pictures + "\nSummary\n" + text)
    assert {line["bd_rate_pchip_percent"] for line in bd(DATA / "x265_medium.csv", path, folder=tmp_path)} == {"0.0"}


def test_a_csv_file_of_x265_with_pictures_of_every_run(tmp_path: Path) -> None:
    """As --csv-log-level 2 adds runs to a file: pictures without titles before each further summary."""
    titles, *lines = (DATA / "x265_medium.csv").read_text().splitlines()
    pictures = (
        "0, I-SLICE,    0, 24.00,      20408, 0,0.00,38.537, 51.591, 51.591\n1, b-SLICE,    5, 27.00,       5200, 0,3.51,35.6, 46.9, 46.9\n"
    )
    text = "Encode Order, Type, POC, QP, Bits, Scenecut, I/P cost ratio, Y PSNR, U PSNR, V PSNR\n"
    text += "".join(f"{pictures}\nSummary\n{titles}\n{line}\n" for line in lines)
    (tmp_path / "x.csv").write_text(text)
    plain = bd(DATA / "x265_ultrafast.csv", DATA / "x265_medium.csv", folder=tmp_path)
    assert [line | {"test": "x265_medium"} for line in bd(DATA / "x265_ultrafast.csv", tmp_path / "x.csv", folder=tmp_path)] == plain
    (tmp_path / "x.csv").write_text(text + pictures)
    assert "the last lines are of pictures: the encoder did not end" in refusal(DATA / "x265_medium.csv", tmp_path / "x.csv")


def test_logs_of_ffmpeg_that_were_cut(tmp_path: Path) -> None:
    """What x264 says of B pictures alone is no mean, and the rate of the muxer no rate of it."""
    text = (DATA / "ffmpeg_medium.log").read_text()
    (tmp_path / "cut.log").write_text(text[: text.rindex("consecutive B-frames")])
    assert "cut.log has no quality: give -psnr" in refusal(DATA / "ffmpeg_medium.log", tmp_path / "cut.log")
    (tmp_path / "dots.log").write_text("Input #0, mov, from 'a.mp4':\nVMAF score: .\n")
    assert "dots.log has no quality" in refusal(DATA / "ffmpeg_medium.log", tmp_path / "dots.log")
    (tmp_path / "short.log").write_text("Input #0, y4m, from 'a':\nsize= 7kB time=00:00:00.00 bitrate=718051.3kbits/s\nVMAF score: 90.5\n")
    assert "718051.3 kbit/s is of no time" in refusal(DATA / "ffmpeg_medium.log", tmp_path / "short.log")
    (tmp_path / "nan.log").write_text(re.sub(r"(\] PSNR Mean Y:)[\d.]+", r"\1-nan", text))
    assert "not finite numbers" in refusal(DATA / "ffmpeg_medium.log", tmp_path / "nan.log", "--metric", "psnr_y")


def test_logs_named_by_numbers_are_of_one_sequence(tmp_path: Path) -> None:
    for name in ("anchor", "test"):
        (tmp_path / name).mkdir()
        for n, (rate, level) in enumerate(ANCHOR if name == "anchor" else TEST):
            log = f"x264 [info]: PSNR Mean Y:{level} U:40.0 V:{41 + n} Avg:{level} Global:{level} kb/s:{rate}\n"
            (tmp_path / name / f"{22 + 5 * n}.log").write_text("yuv [info]: 352x288 fps 30/1\n" + log)
    agrees(bd(tmp_path / "anchor", tmp_path / "test", "--metric", "psnr_y", folder=tmp_path)[0], ANCHOR, TEST)


def test_our_results_that_were_cut(tmp_path: Path) -> None:
    CliRunner().invoke(app, ["report", str(RESULT), "--csv", str(tmp_path / "rows.csv")])
    text = (tmp_path / "rows.csv").read_text()
    for end, words in (("", "its last line ends in the middle"), ("\n", "is damaged or was edited: row ")):
        (tmp_path / "rows.csv").write_text(text[: text.rindex(",") - 300] + end)
        assert words in refusal(tmp_path / "rows.csv")


def test_workbooks_whose_sheets_are_damaged_or_empty(tmp_path: Path) -> None:
    """A sheet with points is never left out for what is wrong in it; one that nobody filled in is."""
    openpyxl = pytest.importorskip("openpyxl")

    def book(name: str, second: Sequence[Sequence[Any]], far: bool = False) -> Path:
        made = openpyxl.Workbook()
        for title, rows in (("AI", TEST), ("RA", second)):
            sheet = made.create_sheet(title)
            sheet.append(["kbps", "psnr_y"])
            for row in rows:
                sheet.append(list(row))
            if far:
                sheet.cell(100_000, 16_384).font = openpyxl.styles.Font(bold=True)
        made.save(tmp_path / name)
        return tmp_path / name

    anchor = book("a.xlsx", ANCHOR)
    comma = [(rate, str(level).replace(".", ",")) for rate, level in TEST]
    assert "sheet RA, row 2: psnr_y: " in refusal(anchor, book("b.xlsx", comma))
    for formulas in ([(f"={rate}*1", level) for rate, level in TEST], [(f"={rate}*1", f"={level}*1") for rate, level in TEST]):
        words = "its formulas have no values; open the file in a spreadsheet program and save it"
        assert words in refusal(anchor, book("b.xlsx", formulas))
    assert "sheet RA, row 4 has a psnr_y but no rate" in refusal(anchor, book("b.xlsx", [*TEST[:2], (None, 33.3)]))
    (line,) = bd(anchor, book("b.xlsx", [(None, None), (None, 0)]), folder=tmp_path)
    assert line["configuration"] == "AI"
    begin = time.monotonic()
    assert len(bd(anchor, book("far.xlsx", TEST, far=True), folder=tmp_path)) == 2
    assert time.monotonic() - begin < 20, "cells that have a format alone are not made"
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "b.xlsx").read_bytes()[:2000])
    assert "cut.xlsx is damaged or no .xlsx file; save it as one" in refusal(anchor, tmp_path / "cut.xlsx")


# ---- what is written ----


def test_every_output(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    (tmp_path / "<b>.csv").write_text((DATA / "x265_ultrafast.csv").read_text())
    words = ["bd", str(DATA / "x265_medium.csv"), str(tmp_path / "<b>.csv"), "--metric", "psnr_y", "--metric", "ssim"]
    outputs = {name: tmp_path / f"out.{name}" for name in ("csv", "markdown", "html", "xlsx")}
    done = CliRunner().invoke(
        app, words + [word for name, path in outputs.items() for word in (f"--{name}", str(path))], env={"COLUMNS": "160"}
    )
    assert done.exit_code == 0, done.output
    with outputs["csv"].open(newline="") as file:
        psnr, _ssim = csv.DictReader(file)
    rate = float(psnr["bd_rate_pchip_percent"])
    assert f"{rate:+.2f}" in done.output
    markdown = outputs["markdown"].read_text()
    assert f"| {rate:+.2f} |" in markdown
    book = openpyxl.load_workbook(outputs["xlsx"])
    sheet = book["BD-rate"]
    heads, first, *_ = (list(row) for row in sheet.iter_rows(values_only=True))
    assert math.isclose(dict(zip(heads, first, strict=True))["bd_rate_pchip_percent"], rate)
    page = outputs["html"].read_text()
    assert f"{rate:+.2f}" in page
    assert "&lt;b&gt;" in page
    assert "<b>.csv" not in page
    data: Any = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert [len(test["points"]) for test in data["curves"][0]["tests"]] == [4, 4]
    assert len(page) < 2_000_000
    origin = [tuple(row) for row in book["provenance"].iter_rows(values_only=True)]
    assert book.sheetnames == ["BD-rate", "points", "provenance"]
    digest = hashlib.sha256((DATA / "x265_medium.csv").read_bytes()).hexdigest()
    for line in (
        ("anchor", "x265_medium of x265_medium.csv"),
        ("tests", "<b> of <b>.csv"),
        ("files", f"x265_medium.csv: CSV file of x265, SHA-256 {digest}"),
        ("method", "pchip (of BD-quality, means and errors), beside it cubic, akima"),
        ("version of vrcnn-int", __version__),
    ):
        assert line in origin
        assert html.escape(line[1]) in page.partition('<section id="provenance">')[2]
        assert escaped(line[1]) in markdown.partition("## Provenance")[2]
    assert "command line" in dict(origin)
    assert "/" not in str(dict(origin)["anchor"])
    assert "is an input of this command" in refusal(DATA / "hm_anchor.log", DATA / "hm_test.log", "--csv", DATA / "hm_test.log")


def test_markdown_has_the_minus_sign_of_reports(tmp_path: Path) -> None:
    anchor, test = table(tmp_path / "a.csv", ANCHOR), table(tmp_path / "b.csv", TEST)
    done = CliRunner().invoke(app, ["bd", str(test), str(anchor), "--markdown", str(tmp_path / "t.md")])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["bd", str(anchor), str(test), "--markdown", str(tmp_path / "u.md")])
    assert done.exit_code == 0, done.output
    texts = [
        next(line for line in (tmp_path / name).read_text().splitlines() if "PSNR" in line and "| 4 |" in line) for name in ("t.md", "u.md")
    ]
    assert all("-" not in text for text in texts)
    assert "| \N{MINUS SIGN}" in texts[0] + texts[1]


def test_the_files_of_folders_are_named_with_them(tmp_path: Path) -> None:
    for name in ("anchor", "test"):
        (tmp_path / name).mkdir()
        for number, run in enumerate(re.split(r"(?=^HM software)", (DATA / f"hm_{name}.log").read_text(), flags=re.M)[1:]):
            (tmp_path / name / f"{number}.log").write_text(run)
    base, others = chosen(str(tmp_path / "anchor"), [str(tmp_path / "test")], Columns())
    facts = dict(origin(base, others, "akima", {}))
    assert (facts["anchor"], facts["tests"]) == (["anchor of 4 files in anchor"], ["test of 4 files in test"])
    assert [text.partition(":")[0] for text in facts["files"]] == [f"{name}/{n}.log" for name in ("anchor", "test") for n in range(4)]
    assert facts["method"] == "akima (of BD-quality, means and errors), beside it pchip, cubic"


def test_options_that_no_file_heeds_are_refused(tmp_path: Path) -> None:
    logs = DATA / "hm_anchor.log", DATA / "hm_test.log"
    kind = "the file is of the kind encoder log of HM or VTM; leave it out"
    assert refusal(*logs, "--column", "rate=Bitrate") == f"--column names columns of tables, and none is given: {kind}"
    assert refusal(*logs, "--sheet", "AI") == f"--sheet names a sheet of workbooks, and none is given: {kind}"
    anchor, test = table(tmp_path / "a.csv", ANCHOR), table(tmp_path / "b.csv", TEST)
    assert "--sheet names a sheet of workbooks, and none is given: " in refusal(anchor, test, "--sheet", "AI")
    assert "--column names columns of tables" in refusal(RESULT, "--column", "rate=Bitrate")
    assert len(bd(anchor, test, "--column", "rate=kbps", folder=tmp_path)) == 1


def test_many_points_are_no_long_message(tmp_path: Path) -> None:
    anchor = table(tmp_path / "a.csv", ANCHOR, "kbps,psnr_y")
    many = [(1000 + n, 30 + n / 100) for n in range(1000)]
    for at, point, words in (
        (500, (1500.0, 20.0), "falls while its rate rises: 1499 at 34.9900 dB, 1500 at 20.0000 dB"),
        (500, (1500.5, 34.99), "equal rate or PSNR Y: 1499 at 34.9900 dB, 1500.5 at 34.9900 dB"),
        (500, (1500.0, math.nan), "not finite numbers: 1500 at nan dB"),
    ):
        said = refusal(anchor, table(tmp_path / "b.csv", [*many[:at], point, *many[at + 1 :]], "kbps,psnr_y"))
        assert said.endswith(words)


def test_a_page_of_many_curves_stays_small(tmp_path: Path) -> None:
    """It says what it leaves out; the table has all."""
    anchor, test = (Curves("c", {("", "cat"): [Record(rate, {"psnr_y": level}) for rate, level in some]}) for some in (ANCHOR, TEST))
    delta = compare(anchor, [test])
    deltas = [replace(delta[0], sequence=f"<sequence> {number}") for number in range(1500)]
    page = render(Comparison(deltas, [], "a", "pchip"))
    assert len(page.encode()) <= 2_000_000
    data: Any = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])  # type: ignore[index]
    assert 300 < len(data["curves"]) < 1500
    assert f"The curves of {len(data['curves'])} of 1500 comparisons are here" in page
    assert page.count("&lt;sequence&gt; 1499") == 1
    assert "comparisons are here" not in render(Comparison(deltas[:2], [], "a", "pchip"))


# ---- files that several runs were appended to, and what is said of what is missing ----


def test_a_csv_file_of_x265_with_lines_of_the_pictures_of_every_run(tmp_path: Path) -> None:
    """Each run appends its pictures, titles and itself, and only the first has titles over its pictures, of which it may have thousands."""
    titles, *runs = (DATA / "x265_medium.csv").read_text().splitlines()
    pictures = "".join(f"{n}, P-SLICE, {n}, 22.00, 155152, 0,40.1, 45.2, 46.3, 41.2, 0.98, 17.1\n" for n in range(300))
    text = "".join(f"{pictures}\nSummary\n{titles}\n{run}\n" for run in runs)
    (tmp_path / "long.csv").write_text(f"Encode Order, Type, POC, QP, Bits, Scenecut, Y PSNR, U PSNR\n{text}")
    short, long = (bd(path, DATA / "x265_ultrafast.csv", folder=tmp_path) for path in (DATA / "x265_medium.csv", tmp_path / "long.csv"))
    assert short == long
    (tmp_path / "cut.csv").write_text(f"Encode Order, Type, POC, QP, Bits\n{pictures}")
    assert "cut.csv has lines of pictures and none of a whole run" in refusal(tmp_path / "cut.csv", DATA / "x265_medium.csv")
    (tmp_path / "empty.csv").write_text(titles + "\n")
    assert "empty.csv: there is no line of a run: the encoder did not end" in refusal(tmp_path / "empty.csv", DATA / "x265_medium.csv")


def test_a_sheet_with_a_wrong_cell_is_not_passed_over(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    sequences: dict[tuple[str, str], tuple[Points, Points]] = {("Class A", "Traffic"): (ANCHOR, TEST)}
    path = jvet(tmp_path / "jvet.xlsx", {"AI": sequences, "RA": sequences})
    book = openpyxl.load_workbook(path)
    book["RA"]["D4"] = "37,5"
    book.save(path)
    assert "sheet RA, row 4: rate: '37,5' is not a number: write a decimal point" in refusal(path)
    assert len(bd(path, "--sheet", "AI", "--metric", "psnr_y", folder=tmp_path)) == 1


def test_what_a_test_lacks_is_said_everywhere(tmp_path: Path) -> None:
    for name, sequences in (("a", ("cat", "dog", "cow")), ("b", ("cat", "dog"))):
        lines = [f"{sequence},{rate},{level}" for sequence in sequences for rate, level in (ANCHOR if name == "a" else TEST)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,kbps,psnr_y", *lines]))
    outputs = [word for name in ("html", "markdown") for word in (f"--{name}", str(tmp_path / name))]
    done = CliRunner().invoke(app, ["bd", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), *outputs])
    assert done.exit_code == 0, done.output
    for text in (done.output, (tmp_path / "html").read_text(), (tmp_path / "markdown").read_text()):
        assert "b lacks cow, which the anchor has: in no table and no mean" in text


def test_a_mean_over_doubtful_figures_says_so(tmp_path: Path) -> None:
    """The test's curve of dog shares 60 % of the anchor's range."""
    far = [(rate * 1.6, level + 1.3) for rate, level in TEST]
    for name, curves in (("a", {"cat": ANCHOR, "dog": ANCHOR}), ("b", {"cat": TEST, "dog": far})):
        lines = [f"{sequence},{rate},{level}" for sequence, points in curves.items() for rate, level in points]
        (tmp_path / f"{name}.csv").write_text("\n".join(["sequence,kbps,psnr_y", *lines]))
    mean = line_of(bd(tmp_path / "a.csv", tmp_path / "b.csv", folder=tmp_path), sequence="mean of 2, all")
    assert mean["notes"] == "1 of 2 has a warning, and is in the mean"
    done = CliRunner().invoke(app, ["bd", str(tmp_path / "a.csv"), str(tmp_path / "b.csv")])
    assert "warning: b, mean of 2, all, PSNR Y: 1 of 2 has a warning" in done.output


def test_logs_that_do_not_name_their_input(tmp_path: Path) -> None:
    """x265's: they are called after themselves, without the QP."""
    for preset, points in (("medium", ANCHOR), ("slow", TEST)):
        for folder in ("good", "bad"):
            (tmp_path / f"{preset}_{folder}").mkdir()
            for number, (rate, level) in enumerate(points):
                name = f"cat_q{number}.log" if folder == "good" else f"{preset}.{number}.log"
                (tmp_path / f"{preset}_{folder}" / name).write_text(
                    "y4m  [info]: 352x288 fps 30/1 i420p8\n"
                    f"encoded 2 frames in 1.1s (1.80 fps), {rate} kb/s, Avg QP:20.50, Global PSNR: {level}\n"
                )
    (line,) = bd(tmp_path / "medium_good", tmp_path / "slow_good", folder=tmp_path)
    assert line["sequence"] == "cat"
    agrees(line, ANCHOR, TEST)
    assert "files that do not name their input are called after themselves" in refusal(tmp_path / "medium_bad", tmp_path / "slow_bad")


def test_results_of_a_plan_of_several_encoders(tmp_path: Path) -> None:
    """They have no variants but themselves: each is a curve."""
    rows = [row | {"codec": codec} for codec, variant in (("hm", "anchor"), ("x264", "integer")) for row in rows_of("a", variant)]
    points = {codec: [(row["kbps"], row["psnr_y"]) for row in rows if row["codec"] == codec] for codec in ("hm", "x264")}
    (tmp_path / "r.json").write_text(json.dumps(document_of([row | {"variant": "anchor"} for row in rows])))
    (line,) = bd(f"{tmp_path / 'r.json'}#hm", "--metric", "psnr_y", folder=tmp_path)
    assert line["test"] == "x264"
    agrees(line, points["hm"], points["x264"])
