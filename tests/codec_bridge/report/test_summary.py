"""Summaries of rows: figures, means, flags, outliers."""

import math
from typing import Any

import pytest

from codec_bridge.figures.bd_rate import BdResult, DoubtfulError, bd_rate
from codec_bridge.report import summary as module
from codec_bridge.report.document import Flag
from tests.codec_bridge.report.curves import document_of, rows_of, shown
from tests.support.documents import summary_of
from vrcnn_int.errors import VrcnnError


def test_summary_and_mean() -> None:
    rows = [row for name, rate in (("a", 0.9), ("b", 0.96)) for row in rows_of(name, "anchor") + rows_of(name, "integer", rate)]
    rows += rows_of("g", "anchor", gray=True) + rows_of("g", "integer", 0.8, gray=True)
    summary = summary_of(rows)
    assert [entry["sequence"] for entry in summary["sequences"]] == ["a", "b", "g"]
    first, _, gray = (entry["variants"]["integer"] for entry in summary["sequences"])
    for plane in "yuv":
        assert math.isclose(first[f"bd_rate_{plane}"], -10)
    assert first["overlap_y"] == 100
    assert first["bd_psnr_y"] > 0
    assert first["warnings"] == []
    assert math.isclose(gray["bd_rate_y"], -20)
    assert (gray["bd_rate_u"], gray["bd_rate_v"]) == (None, None)
    (mean,) = (entry["variants"] for entry in summary["means"])
    assert list(mean) == ["integer"]
    assert mean["integer"]["sequences"] == 3
    assert math.isclose(mean["integer"]["bd_rate_y"], (-10 - 4 - 20) / 3)
    assert math.isclose(mean["integer"]["bd_rate_u"], -7), "the mean of the sequences that have chroma"
    assert math.isclose(first["encode_time"], 100)
    assert math.isclose(first["decode_time"], 300), "the network after the decoder counts as decoding"
    assert first["kmac_per_sample"] == 54.512
    assert summary["flags"] == []


def test_summary_uses_bits_psnr_and_method() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", gain=-0.3)
    points = [[(row["bits"], row["psnr_y"]) for row in rows if row["variant"] == v] for v in ("anchor", "none")]
    for method in ("pchip", "cubic", "akima"):
        expected = bd_rate(points[0], points[1], method)
        entry = summary_of(rows, method)["sequences"][0]["variants"]["none"]
        assert (entry["bd_rate_y"], entry["bd_psnr_y"]) == (expected.bd_rate, expected.bd_psnr)
        assert (entry["methods"][method]["bd_rate_y"], entry["methods"][method]["bd_psnr_y"]) == (expected.bd_rate, expected.bd_psnr)
        assert entry["bd_rate_u"] == 0


def test_a_figure_that_cannot_be_had_is_none_with_its_reason() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9) + rows_of("b", "anchor") + rows_of("b", "integer", gain=30)
    document = document_of(rows)
    failed = document["sequences"][1]["variants"]["integer"]
    assert failed["bd_rate_y"] is None
    assert "no PSNR in common" in failed["error"]
    assert failed["bd_rate_u"] == 0
    mean = document["means"][0]["variants"]["integer"]
    assert (mean["sequences"], mean["bd_rate_y"]) == (2, None), "a mean without one sequence would mislead"
    assert mean["unflagged"]["sequences"] == 1
    assert math.isclose(mean["unflagged"]["bd_rate_y"], -10)
    assert [flag["severity"] for flag in document["flags"]] == ["error"]
    assert str(Flag(**document["flags"][0])).startswith("b, x265 ai, integer: the curves have no PSNR in common")
    text = " ".join(shown(document).split())
    assert "error: b, x265 ai, integer: the curves have no PSNR in common" in text
    assert "mean, unflagged -10.00" in text


def test_a_flagged_row_is_never_a_number() -> None:
    """Neither its curve nor, if it is the anchor's, any curve of the sequence has figures, although three points or more are left."""
    rows = [row for name in ("a", "b", "c") for variant in ("anchor", "none", "integer") for row in rows_of(name, variant)]
    for row in rows:
        if (row["sequence"], row["variant"], row["qp"]) in (("a", "none", 27), ("b", "anchor", 37)):
            row |= dict.fromkeys(key for key in row if key.startswith(("psnr", "ssim", "bits", "kbps"))) | {"flag": "the encoder failed"}
    document = document_of(rows)
    found = {(entry["sequence"], variant): result for entry in document["sequences"] for variant, result in entry["variants"].items()}
    without = [key for key, result in found.items() if result["bd_rate_y"] is None]
    assert without == [("a", "none"), ("b", "none"), ("b", "integer")]
    for key in without:
        assert all(value is None for values in found[key]["methods"].values() for value in values.values())
        assert found[key]["error"].endswith("is flagged: the encoder failed")
    assert [str(Flag(**flag)) for flag in document["flags"]] == [
        "a, x265 ai, none, QP 27: the encoder failed",
        "b, x265 ai, anchor, QP 37: the encoder failed",
    ]
    assert document["means"][0]["variants"]["integer"]["unflagged"]["sequences"] == 2
    assert document["means"][0]["variants"]["none"]["bd_rate_y"] is None


def test_codecs_and_configurations_are_not_mixed() -> None:
    rows = []
    for codec, configuration, rate in (("x265", "ai", 0.9), ("hm", "ai", 0.8), ("hm", "ra", 0.7)):
        for row in rows_of("a", "anchor") + rows_of("a", "map", rate):
            rows.append(row | {"codec": codec, "configuration": configuration})
    document = document_of(rows)
    means = [(mean["codec"], mean["configuration"], round(mean["variants"]["map"]["bd_rate_y"], 6)) for mean in document["means"]]
    assert means == [("x265", "ai", -10.0), ("hm", "ai", -20.0), ("hm", "ra", -30.0)]
    assert shown(document).count("BD-rate (%)") == 3


def test_classes_have_means_of_their_own() -> None:
    rows = [row for name, rate in (("a", 0.9), ("b", 0.8), ("x", 0.7)) for row in rows_of(name, "anchor") + rows_of(name, "map", rate)]
    document = document_of(rows)
    found = [(entry["class"], entry["variants"]["map"]) for entry in document["classes"]]
    assert [(name, mean["sequences"], round(mean["bd_rate_y"], 6)) for name, mean in found] == [("D", 2, -15.0), ("E", 1, -30.0)]
    assert "class D" in shown(document)


@pytest.mark.parametrize(
    ("rates", "outliers"),
    [
        ((0.9, 0.91, 0.89, 0.9, 0.7), [4]),  # far from the median
        ((0.9, 0.9, 0.9, 0.9, 0.895), []),  # less than a percentage point, although the others are equal
        ((0.9, 0.91, 0.89, 0.7), []),  # too few to tell
        ((0.9, 0.4), [1]),  # beyond 50 %
        ((0.9, 0.85, 0.8, 0.75, 0.7), []),
    ],
)
def test_outliers_are_warnings_with_their_numbers(rates: tuple[float, ...], outliers: list[int]) -> None:
    rows = [row for n, rate in enumerate(rates) for row in rows_of(f"s{n}", "anchor") + rows_of(f"s{n}", "map", rate)]
    document = document_of(rows)
    assert [int(flag["sequence"][1:]) for flag in document["flags"]] == outliers
    for flag in document["flags"]:
        assert flag["severity"] == "warning"
        assert f"{100 * (rates[int(flag['sequence'][1:])] - 1):+.2f} %" in flag["text"]
    mean = document["means"][0]["variants"]["map"]
    assert math.isclose(mean["bd_rate_y"], 100 * (sum(rates) / len(rates) - 1))
    assert mean["unflagged"]["sequences"] == len(rates) - len(outliers)


def test_lossless_chroma_has_no_bd_rate() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9)
    rows[0]["psnr_u"] = rows[4]["psnr_u"] = 999.99
    entry = summary_of(rows)["sequences"][0]["variants"]["integer"]
    assert entry["bd_rate_u"] is None
    assert entry["bd_rate_v"] is not None
    assert "equal to the original" in entry["warnings"][0]


def test_missing_anchor_and_double_rows() -> None:
    with pytest.raises(VrcnnError, match="a has no anchor"):
        summary_of(rows_of("a", "integer"))
    with pytest.raises(VrcnnError, match=r"a, anchor: there are two results for the same QP"):
        summary_of(rows_of("a", "anchor") + rows_of("a", "anchor"))


def test_too_few_points_are_a_warning() -> None:
    rows = rows_of("a", "anchor")[:3] + rows_of("a", "none")[:3]
    entry = summary_of(rows)["sequences"][0]["variants"]["none"]
    assert entry["bd_rate_y"] is None
    assert "at least 4 points" in entry["error"]


def test_planes_equal_to_their_originals_are_in_no_mean() -> None:
    """What files hold in place of an infinite PSNR is no number of decibels."""
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9, gain=0.1) + rows_of("b", "anchor") + rows_of("b", "integer", 0.9)
    for row in rows:
        if row["sequence"] == "b" and row["qp"] == 22:
            row["psnr_y"] = 999.99 if row["variant"] == "integer" else row["psnr_y"]
    summary = summary_of(rows)
    second = summary["sequences"][1]["variants"]["integer"]
    assert [qp for qp, _ in second["gains_y"]] == [27, 32, 37]
    assert "equal to the original" in second["error"]
    mean = summary["means"][0]["variants"]["integer"]
    assert (mean["bd_rate_y"], mean["gains_y"]) == (None, [])
    assert [round(gain, 6) for _, gain in mean["unflagged"]["gains_y"]] == [0.1] * 4


def test_times_of_single_pictures_are_no_ratios() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "integer", 0.9)
    assert summary_of(rows)["means"][0]["variants"]["integer"]["encode_time"] is not None
    mean = summary_of([row | {"pictures": 1} for row in rows])["means"][0]["variants"]["integer"]
    assert (mean["encode_time"], mean["decode_time"]) == (None, None)


def test_another_interpolation_that_is_not_to_be_believed_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubtful(_anchor: Any, _test: Any, method: str = "pchip", _quality: Any = None) -> BdResult:
        if method == "cubic":
            raise DoubtfulError("the interpolations disagree wildly: cubic +100421.00 %, pchip -3.14 %")
        return BdResult(-3.14, 0.1, 100.0, ())

    monkeypatch.setattr(module, "bd_rate", doubtful)
    rows = rows_of("a", "anchor", gray=True) + rows_of("a", "integer", 0.9, gray=True)
    comparison = summary_of(rows)["sequences"][0]["variants"]["integer"]
    assert comparison["bd_rate_y"] == -3.14
    assert comparison["methods"]["cubic"]["bd_rate_y"] is None
    assert comparison["warnings"] == ["Y, by cubic: the interpolations disagree wildly: cubic +100421.00 %, pchip -3.14 %"]
    withheld = summary_of(rows, "cubic")["sequences"][0]["variants"]["integer"]
    assert withheld["bd_rate_y"] is None
    assert "disagree wildly" in withheld["error"]
