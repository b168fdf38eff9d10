"""Result documents and their JSON form, which files of earlier versions hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from codec_bridge.report.document import Document, read, rendering, write_json
from codec_bridge.report.page import render
from codec_bridge.report.summary import summarise
from tests.codec_bridge.report.curves import document_of, rows_of
from vrcnn_int.errors import VrcnnError

EARLIER = Path(__file__).with_name("result.json")
"""As version 0.1.0 wrote it before documents had a type, its provenance shortened."""


def about(value: Any) -> Any:
    """JSON that equals one with other last digits: curves are fitted in floating point, on other CPUs in another order."""
    if isinstance(value, dict):
        return {name: about(part) for name, part in value.items()}
    if isinstance(value, list):
        return [about(part) for part in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value


def alike(value: Any) -> Any:
    """JSON without what summaries have said in another way since: encoding in proportion, other qualities than PSNR."""
    if isinstance(value, dict):
        return {name: alike(part) for name, part in value.items() if name not in ("encode_time", "more")}
    return [alike(part) for part in value] if isinstance(value, list) else value


def test_documents_of_earlier_files_come_back_to_the_byte(tmp_path: Path) -> None:
    document = read(EARLIER)
    write_json(tmp_path / "again.json", document.to_json())
    assert (tmp_path / "again.json").read_bytes() == EARLIER.read_bytes()
    again = json.loads(json.dumps({**document.to_json(), **summarise(document.rows).to_json()}))
    assert alike(again) == about(alike(json.loads(EARLIER.read_text())))
    assert document.summary.means[0].variants["choice"].bd_rate("y") == -0.9269280562354654


def test_a_document_comes_back() -> None:
    rows = rows_of("a", "anchor") + rows_of("a", "none", 1.05) + rows_of("b", "anchor") + rows_of("b", "none", gain=30)
    rows[5]["flag"] = "failed"
    values = document_of(rows)
    assert [flag["severity"] for flag in values["flags"]] == ["error", "error"]
    document = Document.from_json(values)
    assert json.loads(json.dumps(document.to_json())) == values
    assert Document.from_json(document.to_json()) == document


def test_what_earlier_documents_did_not_have(tmp_path: Path) -> None:
    values = json.loads(EARLIER.read_text())
    comparison = values["sequences"][0]["variants"]["none"]
    del values["sequences"][0]["apart"], comparison["gains_y"]
    summary = Document.from_json(values).summary
    assert not summary.sequences[0].apart
    assert summary.sequences[0].variants["none"].gains_y == []


def test_no_document_half_written(tmp_path: Path) -> None:
    values = document_of(rows_of("a", "anchor") + rows_of("a", "none", 1.05))
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", values | {"provenance": {"x": float("nan")}})
    with pytest.raises(VrcnnError):
        write_json(tmp_path / "no" / "a.json", values)
    assert list(tmp_path.iterdir()) == []


def test_what_a_document_leaves_out_is_shown_as_nothing() -> None:
    """Keys with a default may be missing; the page then reads the default, not the lack of a key."""
    values = json.loads(EARLIER.read_text())
    for sequence in values["sequences"]:
        for comparison in sequence["variants"].values():
            for key in ("error", "overlap_y", "has_chroma", "encode_time", "decode_time", "kmac_per_sample", "warnings"):
                del comparison[key]
            comparison["methods"] = {name: {} for name in comparison["methods"]}
    document = Document.from_json(values)
    assert render(document).count("<table") == render(read(EARLIER)).count("<table")
    assert all(comparison["error"] is None for some in document.to_json()["sequences"] for comparison in some["variants"].values())


def test_doubled_rows_are_refused(tmp_path: Path) -> None:
    values = document_of(rows_of("a" * 100000, "anchor") + rows_of("a" * 100000, "none"))
    values["rows"].append(values["rows"][1])
    write_json(tmp_path / "a.json", values)
    with pytest.raises(VrcnnError, match=r"a\.json: rows\[1\] and rows\[8\] are both of a{60}, x265 ai, anchor, QP 27$"):
        read(tmp_path / "a.json")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("b" * 100000), rf"it refers to '{'b' * 59}, which it does not have"),
        (KeyError(("a", 22)), r"it refers to \('a', 22\), which it does not have"),
        (ValueError("c" * 100000), "c{200}"),
        (IndexError("list index out of range"), "list index out of range"),
    ],
)
def test_what_contradicts_itself_is_said_in_words(error: Exception, said: str) -> None:
    with (
        pytest.raises(VrcnnError, match=rf"^a\.json is damaged or was edited \({said}\); let bdrate write it again$"),
        rendering(Path("a.json")),
    ):
        raise error
