"""Documents from outside, JSON and TOML: read within limits of size and depth, and checked by the types that they are to have."""

import dataclasses
import re
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line
from vrcnn_int.inputs import read_bytes

MOST_BYTES = 256 << 20
"""Of a JSON document: rows of thousands of sequences are a tenth of it."""

MOST_TOML_BYTES = 1 << 20

MOST_DEPTH = 32
"""Of tables and lists in each other."""

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r" - at `\$?\.?([^`]*)`$")
_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


class DocumentError(VrcnnError):
    """A document is not what it should be; the message names it and, where there is one, the key."""


def read_json(path: Path) -> Any:
    """What a JSON file holds: dict, list, str, int, float, bool or None. Raises DocumentError, FileNotFoundError if it is not there."""
    return parse_json(_content(path, MOST_BYTES), str(path))


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds. Raises DocumentError, FileNotFoundError if it is not there."""
    try:
        values = tomllib.loads(_text(_content(path, MOST_TOML_BYTES)))
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"{path} is not TOML: {one_line(error)}") from None
    _refuse_depth(values, str(path))
    if place := _nul(values):
        raise DocumentError(f"{path}: {place} holds a zero byte, which no text, name or path has")
    return values


def read_json_lines(path: Path) -> list[Any]:
    """What a file with a JSON value in each line holds. Raises DocumentError, FileNotFoundError if it is not there."""
    lines = _content(path, MOST_BYTES).splitlines()
    return [parse_json(line, f"{path}, line {number}") for number, line in enumerate(lines, 1)]


def parse_json(data: bytes, name: str) -> Any:
    """What JSON text says. name: of where it is from. Raises DocumentError."""
    try:
        values = msgspec.json.decode(data.removeprefix(_BOM))
    except RecursionError:
        raise DocumentError(f"{name} holds more than {MOST_DEPTH} lists and tables in each other") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentError(f"{name} is not JSON: {one_line(error).removeprefix('JSON is malformed: ')}") from None
    _refuse_depth(values, name)
    return values


def checked(values: Any, kind: type[T], name: str, *, prefix: str = "") -> T:
    """Values as the type that they are to have: a dataclass, a msgspec.Struct, a TypedDict or what these hold; nothing is converted but
    whole numbers to float. prefix: of the keys. Raises DocumentError, with the name and the key, for anything else.
    """
    try:
        return msgspec.convert(values, kind, strict=True)
    except msgspec.ValidationError as error:
        raise DocumentError(f"{name}: {_said(str(error), values, kind, prefix)}") from None


def fields_of(value: Any) -> dict[str, Any]:
    """A dataclass's fields by name. (``vars`` lacks those that a document left out: ``checked`` leaves their defaults to the class.)"""
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _content(path: Path, most: int) -> bytes:
    try:
        return read_bytes(path, most)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror or error}") from None


def _text(data: bytes) -> str:
    """Raises UnicodeDecodeError."""
    return data.removeprefix(_BOM).decode("utf-8")


def _refuse_depth(values: Any, name: str) -> None:
    level = [values]
    for _ in range(MOST_DEPTH + 1):
        tables = [value.values() if isinstance(value, dict) else value for value in level if isinstance(value, dict | list)]
        level = list(chain.from_iterable(tables))
        if not level:
            return
    raise DocumentError(f"{name} holds more than {MOST_DEPTH} lists and tables in each other")


def _nul(values: Any, place: str = "") -> str:
    """Where a text, or a key, has a zero byte; "" for nowhere."""
    if isinstance(values, dict):
        parts = [(key, f"{place}.{key}".lstrip("."), value) for key, value in values.items()]
    else:
        parts = [("", f"{place}[{at}]", value) for at, value in enumerate(values)] if isinstance(values, list) else []
    for key, where, value in parts:
        if "\0" in key:
            return f"a key of {place}" if place else "a key"
        if found := where if isinstance(value, str) and "\0" in value else _nul(value, where):
            return found
    return ""


def _said(text: str, values: Any, kind: Any, prefix: str) -> str:
    """A message of msgspec's in this project's words: 'rows[0].qp: '27' is not a whole number'."""
    found = _PLACE.search(text)
    place = prefix + found[1] if found else prefix.rstrip(".")
    key = f"{place}: " if place else ""
    text = text.removesuffix(found[0]) if found else text
    if unknown := re.match(r"Object contains unknown field `(.*)`", text, re.S):
        names = [field.name for field in msgspec.structs.fields(kind)] if not found and issubclass(kind, msgspec.Struct) else []
        return f"unknown key {place + '.' if place else ''}{unknown[1]}" + (f"; there are {', '.join(names)}" if names else "")
    if missing := re.match(r"Object missing required field `(.*)`", text, re.S):
        return f"{key}{missing[1]} is missing"
    if expected := re.match(r"Expected (.*?)(?:, got .*)?$", text, re.S):
        return f"{key}{_value(values, found[1] if found else '')} is not {_kind(expected[1])}"
    return f"{key}{one_line(ValueError(text))}"


def _kind(text: str) -> str:
    """'`int | null` >= 1' -> 'a whole number or nothing >= 1'."""
    names = re.sub(r"`([^`]*)`", lambda match: " or ".join(_KINDS.get(name, name) for name in match[1].split(" | ")), text)
    return names.replace("a list of length", "a list of")


def _value(values: Any, place: str) -> str:
    """What stands at a place such as rows[0].qp, shortened; the last part of a place with keys that msgspec leaves out is not shown."""
    for name, number in re.findall(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]", place):
        try:
            values = values[name] if name else values[int(number)]
        except (LookupError, TypeError, ValueError):
            return "what is there"
    text = repr(values)
    return text if len(text) <= 60 else text[:57] + "..."
