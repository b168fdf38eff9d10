"""Fuzz targets: any bytes give a result or one VrcnnError of one line, and a result is what the bytes say. Nothing of atheris here."""

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.avc import FrameNumbers
from codec_bridge.bitstream.parameter_sets import parse_pps, parse_sps
from codec_bridge.bitstream.pictures import read_units
from codec_bridge.bitstream.sideinfo import ForeignError, SequenceReader
from codec_bridge.evaluation.plan import PlanFile, runs_of
from codec_bridge.figures.row import Row
from codec_bridge.report.document import Document, read, rendering
from codec_bridge.report.markdown import render as render_markdown
from codec_bridge.report.page import render
from codec_bridge.report.tables import print_table
from codec_bridge.video.files import write_y4m
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import sample_bytes
from tests.codec_bridge.bitstream.test_sideinfo import in_c, in_python
from tests.codec_bridge.bitstream.test_sideinfo_planes import in_c as planes_in_c
from tests.codec_bridge.bitstream.test_sideinfo_planes import in_python as planes_in_python
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.documents import checked, parse_json, read_toml

FORMATS = tuple(f"{base}{depth}" for base in ("yuv420p", "gray", "yuv422p", "yuv444p") for depth in ("", "9le", "10le"))
Result = TypeVar("Result")


def attempt(call: Callable[..., Result], *arguments: Any) -> Result | None:
    """The result of a call, or None where it raises a VrcnnError that can be shown; what else it raises goes on."""
    try:
        return call(*arguments)
    except VrcnnError as error:
        message = str(error)
    assert len(message.splitlines()) == 1, message
    return None


@contextmanager
def file(data: bytes, suffix: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"input{suffix}"
        path.write_bytes(data)
        yield path


def y4m(data: bytes) -> None:
    """A Y4M file: its pictures' samples follow one another in it, and survive being written again."""
    with file(data, ".y4m") as path:
        video = attempt(open_video, path)
        pictures = video and attempt(list, video)
        if not video or not pictures:
            return
        assert len(pictures) == video.pictures
        at = 0
        for picture in pictures:
            samples = b"".join(map(sample_bytes, picture.planes))
            at = data.index(b"FRAME", at)
            at = data.index(samples, data.index(b"\n", at) + 1) + len(samples)
        copy = path.with_name("copy.y4m")
        write_y4m(copy, pictures, video.rate)
        again = open_video(copy)
        found = [(again.width, again.height, again.rate, again.chroma_format, again.bit_depth)]
        assert found == [(video.width, video.height, video.rate, video.chroma_format, video.bit_depth)]
        for one, other in zip(again, pictures, strict=True):
            assert [sample_bytes(plane) for plane in one.planes] == [sample_bytes(plane) for plane in other.planes]


def yuv(data: bytes) -> None:
    """Two bytes each of width and height, one of the format, and a yuv file: the pictures hold every byte of it."""
    width, height = (int.from_bytes(data[at : at + 2], "big") for at in (0, 2))
    pixel_format = FORMATS[int.from_bytes(data[4:5], "big") % 12]
    with file(data[5:], ".yuv") as path:
        pictures = attempt(lambda: list(open_video(path, (width, height), pixel_format)))
    if pictures is not None:
        assert all((picture.width, picture.height, picture.pixel_format) == (width, height, pixel_format) for picture in pictures)
        assert b"".join(sample_bytes(plane) for picture in pictures for plane in picture.planes) == data[5:]


def nal_units(data: bytes) -> None:
    """An Annex B stream or an hvcC record: every byte belongs to one NAL unit, and every unit to one picture."""
    if nal.is_record(data):
        attempt(nal.record_units, data)
    units = attempt(nal.split, data)
    if units is None:
        return
    assert sum(unit.size for unit in units) == len(data)
    for unit in units:
        messages = attempt(nal.sei_messages, unit)
        assert sum(2 + len(payload) for _, payload in messages or []) <= len(unit.data)
        attempt(parse_sps, unit.rbsp)
        attempt(parse_pps, unit.rbsp)
    attempt(nal.picture_hashes, units)
    assert list(chain.from_iterable(nal.group(units))) == units
    bits = attempt(nal.bits_without_hash, data)
    assert bits is None or 0 <= bits <= 8 * len(data)
    pictures = attempt(nal.access_units, units)
    assert pictures is None or list(chain.from_iterable(pictures)) == units
    assert not pictures or bits is None or sum(nal.picture_bits(data)) == bits


def slice_headers(data: bytes) -> None:
    """An Annex B stream: its slice segments with their extensions, and what these say of the pictures."""
    segments = attempt(slices.segments, data)
    if segments is None:
        return
    pictures = slices.pictures(data)
    assert list(chain.from_iterable(pictures)) == segments
    reader = SequenceReader()
    for segment, *_ in pictures:
        extension = segment.extension if segment.first_in_picture else None
        attempt(reader.read, extension, segment.is_irap, segment.width, segment.height)


def sideinfo(data: bytes) -> None:
    """Whether IRAP, two bytes each of width and height, then an extension: the C library reads the same in it, in either version."""
    irap = bool(data[:1] > b"\x7f")
    width, height = (1 + int.from_bytes(data[at : at + 2], "big") % 2048 for at in (1, 3))
    found = in_python(data[5:], irap, width, height)
    assert found == in_c(data[5:], irap, width, height)
    assert irap or found is not ForeignError
    for version in (1, 2):
        assert planes_in_python(data[5:], irap, width, height, version) == planes_in_c(data[5:], irap, width, height, version)


def pictures(data: bytes) -> None:
    """What a stream says of its pictures, damaged or not: every NAL unit is some picture's, no error is raised, and numbers only rise."""
    units = attempt(nal.split, data)
    if units is None:
        return
    found = list(read_units(units))
    assert list(chain.from_iterable(unit.nals for unit in found)) == units
    numbers = [unit.number for unit in found]
    assert numbers == sorted(numbers)
    assert all(len(problem.splitlines()) == 1 for unit in found for problem in unit.problems)
    assert all(unit.sps and unit.coding for unit in found if unit.has_picture and not unit.problems)


def h264(data: bytes) -> None:
    """A byte with the size of a decoder configuration record, then that, then packets as it says, or a byte stream: no error is raised."""
    end = 1 + int.from_bytes(data[:1], "big")
    numbers = FrameNumbers(data[1:end])
    for packet in data[end:].split(b"\xff\xff\xff\xff"):
        assert len(numbers.gap(packet).splitlines()) <= 1


def result(data: bytes) -> None:
    """A result document: what is read can be shown, or is refused as contradicting itself, and comes back from its JSON form."""
    with file(data, ".json") as path:
        document = attempt(read, path)
        if document is None:
            return
        assert Document.from_json(json.loads(json.dumps(document.to_json()))) == document

        def shown() -> None:
            with rendering(path):
                render_markdown(document)
                render(document)
                print_table(document, Console(file=io.StringIO(), markup=False))

        attempt(shown)


def plan(data: bytes) -> None:
    """A plan: its keys are of their kinds, or one is named; the settings are what runs, or are refused."""
    with file(data, ".toml") as path:
        found = attempt(lambda: checked(read_toml(path), PlanFile, str(path)))
        runs = found and attempt(runs_of, found, path.parent)
        for settings in runs or []:
            attempt(settings.refuse)


def job(data: bytes) -> None:
    """A row, as job files hold it: it comes back from its JSON form."""
    values = attempt(parse_json, data, "a.json")
    row = attempt(Row.from_json, values)
    if row is not None:
        assert Row.from_json(row.to_json()) == row
        assert json.loads(json.dumps(row.to_json(), allow_nan=False)) == row.to_json()


TARGETS = {"result": result, "plan": plan, "job": job}
TARGETS |= {"y4m": y4m, "yuv": yuv, "nal": nal_units, "slices": slice_headers, "pictures": pictures, "h264": h264, "sideinfo": sideinfo}
