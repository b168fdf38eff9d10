"""Documents are refused in one line for what is too large, too deep, no JSON or TOML, or of another kind than it is to be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from vrcnn_int.io import documents
from vrcnn_int.io.documents import DocumentError, checked, parse_json, read_json, read_toml


@dataclass(frozen=True)
class Inner:
    number: Annotated[int, Meta(ge=1)]
    share: float | None = None


class Outer(Struct, forbid_unknown_fields=True):
    names: list[str]
    inner: Inner | None = None


def said(of: Any) -> str:
    with pytest.raises(DocumentError) as refused:
        of()
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300
    return str(refused.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[" * 100_000, "more than 32 lists and tables in each other"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "more than 32 lists and tables in each other"),
        (b'{"a": NaN}', "is not JSON"),
        (b"[Infinity]", "is not JSON"),
        (b"1e999", "is not JSON"),
        (b"9" * 5000, "is not JSON"),
        (b'"\xff"', "is not JSON"),
        (b"", "is not JSON"),
        (b"{} {}", "is not JSON"),
    ],
)
def test_what_is_no_json(data: bytes, words: str) -> None:
    text = said(lambda: parse_json(data, "a.json"))
    assert text.startswith("a.json ")
    assert words in text


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf[1, 2.5, 100000000000000000000]")
    assert read_json(path) == [1, 2.5, 10**20]
    assert str(tmp_path) in said(lambda: read_json(tmp_path))
    with pytest.raises(FileNotFoundError):
        read_toml(tmp_path / "none.toml")
    for text in ("a = " + "[" * 100_000, "a = " + "9" * 5000, "a = 1\na = 2", "a = \xe9"):
        path.write_text(text, encoding="latin-1")
        assert "is not TOML" in said(lambda: read_toml(path))
    monkeypatch.setattr(documents, "MOST_BYTES", 2)
    assert "larger than" in said(lambda: read_json(path))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "a.json: names is missing"),
        ({"names": 1}, "a.json: names: 1 is not a list"),
        ({"names": ["a", None]}, "a.json: names[1]: None is not text"),
        ({"names": [], "inner": {"number": 0}}, "a.json: inner.number: 0 is not a whole number >= 1"),
        ({"names": [], "inner": {"number": "9" * 5000}}, "inner.number: '999"),
        ({"names": [], "inner": {"number": 1, "share": True}}, "inner.share: True is not a number or nothing"),
        ({"names": [], "name": 1}, "a.json: unknown key name; there are names, inner"),
        ([], "a.json: [] is not a table"),
    ],
)
def test_what_is_of_another_kind(values: Any, words: str) -> None:
    assert words in said(lambda: checked(values, Outer, "a.json"))


def test_what_is_right_comes_back() -> None:
    assert checked({"names": ["a"], "inner": {"number": 2, "share": 1}}, Outer, "a.json") == Outer(["a"], Inner(2, 1.0))
