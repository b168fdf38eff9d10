"""Rows and their JSON form, which files of earlier versions hold."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from codec_bridge.figures.row import AFTER_DECODING, INSIDE, KEYS, VARIANTS, Figures, Row, Units
from vrcnn_int.io.documents import DocumentError

EARLIER = Path(__file__).with_name("rows.json")
"""As version 0.1.0 wrote them before rows had a type: an anchor, a choice with its units, a flagged row."""


def test_rows_of_earlier_files_come_back_to_the_byte() -> None:
    text = EARLIER.read_text()
    rows = [Row.from_json(values) for values in json.loads(text)]
    assert json.dumps([row.to_json() for row in rows], indent=1) + "\n" == text
    anchor, choice, flagged = rows
    assert anchor.figures
    assert choice.crop
    assert (anchor.variant, anchor.class_name) == ("anchor", "D (size)")
    assert (anchor.figures.bits, anchor.figures.psnr("u")) == (19032, 43.7897690959244)
    assert choice.crop.units == Units("all", [10], 80, [[1]])
    assert (flagged.figures, flagged.crop, flagged.flag) == (None, None, "the sequence ends after 1 of 2 pictures")


def test_every_field_has_a_key() -> None:
    own = {field.name for of in (Row, Figures) for field in fields(of)} - {"figures", "class_name", "more"} | {"class"}
    assert own == set(KEYS)
    assert len(own) == len(KEYS)


def test_more_levels_come_back() -> None:
    values = json.loads(EARLIER.read_text())[0]
    more = {"ssim_u": 0.5, "ssim_v": None, "ms_ssim_y": 0.98, "ms_ssim_u": None, "ms_ssim_v": None, "vmaf": 91.5, "measured_by": "stub 1"}
    row = Row.from_json(values | {"more": more})
    assert row.to_json() == values | {"more": more}
    assert row.figures
    assert [row.figures.level(metric) for metric in ("ssim_y", "ssim_u", "ssim_v", "vmaf")] == [values["ssim_y"], 0.5, None, 91.5]
    without = Row.from_json(values).figures
    assert without
    assert without.level("vmaf") is None


def test_what_is_no_row_is_refused_and_what_is_more_is_left_out() -> None:
    values = json.loads(EARLIER.read_text())[1]
    assert Row.from_json(values | {"other": 1}) == Row.from_json(values)
    for key in KEYS:
        with pytest.raises(DocumentError, match=f"a row: {key} is missing"):
            Row.from_json({name: value for name, value in values.items() if name != key})
    for key, value, said in (
        ("pictures", 0, "figures of 0 pictures"),
        ("pictures", True, "pictures: True is not a whole number"),
        ("qp", 256, "qp: 256 is not a whole number <= 255"),
        ("psnr_y", None, "psnr_y: None is not a number"),
        ("psnr_y", "40", "psnr_y: '40' is not a number"),
        ("encode_seconds", -1.0, "encode_seconds: -1.0 is not a number >= 0"),
        ("variant", "off", "unknown variant 'off'"),
        ("crop", values["crop"] | {"units": 1}, "crop.units: 1 is not a table or nothing"),
        ("more", {"vmaf": 1.0}, "more: measured_by is missing"),
        ("crop", [], "crop: [] is not a table or nothing"),
    ):
        with pytest.raises(DocumentError, match=r"rows\[3\]") as refused:
            Row.from_json(values | {key: value}, "a.json", "rows[3].")
        assert str(refused.value).startswith("a.json: rows[3]")
        assert said in str(refused.value)
    with pytest.raises(DocumentError, match=r"a.json: rows\[3\]: 5 is not a table"):
        Row.from_json(5, "a.json", "rows[3].")


def test_variants_of_codecs_and_outside_them_are_of_the_list() -> None:
    assert {*INSIDE, *AFTER_DECODING, "anchor", "none"} == set(VARIANTS)
