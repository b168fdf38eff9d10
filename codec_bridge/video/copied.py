"""The other streams of a container, its chapters and tags, copied into another one as they are."""

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.stream import AttachmentStream, Disposition, Stream

from codec_bridge.video.container import NOT_A_VIDEO
from codec_bridge.video.picture import VideoError

_OF_WRITING = ("encoder", "duration", "bps", "number_of_", "_statistics", "major_brand", "minor_version", "compatible_brands", "vendor_id")
"""Beginnings of the names of tags that say how a file was written; a new file has its own."""
_ANY_START = ("mpeg", "mpegts")
"""Formats whose clocks begin anywhere."""
_MICROSECOND = Fraction(1, 1_000_000)

_Packet: TypeAlias = "av.Packet[Stream]"  # which only type checkers can subscribe


class Copier:
    """Of what is beside ``video`` in a container. path: the new file, whose name errors have.

    offset: seconds that are taken from all times. lost: what the new container cannot hold, in words.
    """

    def __init__(self, container: InputContainer, video: av.VideoStream, path: Path) -> None:
        self._container, self._video, self._path = container, video, path
        late = container.format.name in _ANY_START and container.start_time
        self.offset = container.start_time * _MICROSECOND if late and container.start_time else Fraction(0)
        self.lost: list[str] = []
        self._places: dict[int, Stream] = {}
        self._said: list[tuple[str, dict[str, str], int | None]] = []
        self._chapters = 0
        self._packets: Iterator[_Packet] = iter(())
        self._next: _Packet | None = None

    def begin(self, out: OutputContainer, add_video: Callable[[], av.VideoStream], end: Fraction | None) -> None:
        """Add all streams to the new container, in their order, with add_video at the video's place; chapters that begin before ``end``.

        Raises VideoError for audio that it cannot hold.
        """
        packets = iter(self._container.demux())
        covers: dict[int, bytes] = {}
        ahead: list[_Packet] = []
        for packet in packets:  # pictures that are attached come first
            ahead.append(packet)
            if not packet.stream.disposition & NOT_A_VIDEO:
                break
            covers[packet.stream.index] = bytes(packet)
        self._packets = chain(ahead, packets)
        self._next = next(self._packets, None)
        self._out = out
        out.metadata.update(kept_tags(self._container.metadata))
        self._said.append(("", kept_tags(self._container.metadata), None))
        for stream in self._container.streams:
            if stream.index == self._video.index:
                self._describe(stream, add_video(), "its video stream")
            elif stream.disposition & NOT_A_VIDEO and self._path.suffix.lower() == ".mkv":
                self._attach(stream, covers.get(stream.index, b""))
            else:
                self._add(stream)
        chapters = [chapter for chapter in self._container.chapters() if end is None or _at(chapter["start"], chapter["time_base"]) < end]
        self._chapters = len(chapters)
        out.set_chapters(chapters)

    def copy_until(self, time: Fraction) -> None:
        """The packets to that time of the source, in seconds."""
        while self._next is not None and (self._begins(self._next) or time) <= time:
            self._copy(self._next)
            self._next = next(self._packets, None)

    @property
    def video_end(self) -> Fraction | None:
        """When the video ends, in seconds of the source; None where its container does not say."""
        begins, lasts, base = self._video.start_time, self._video.duration, self._video.time_base
        return None if begins is None or lasts is None or base is None else (begins + lasts) * base

    def finish(self, end: Fraction | None) -> None:
        """The rest; with ``end`` what begins before it, in seconds of the source."""
        while self._next is not None:
            if end is None or (self._begins(self._next) or Fraction(0)) < end:
                self._copy(self._next)
            self._next = next(self._packets, None)

    def missing_in(self, written: InputContainer) -> list[str]:
        """What the finished file does not have of chapters and tags, in words."""
        missing = []
        if len(written.chapters()) != self._chapters:
            missing.append(f"{self._chapters - len(written.chapters())} of {self._chapters} chapters")
        for whose, tags, place in self._said:
            found = {name.lower() for name in (written.metadata if place is None else written.streams[place].metadata)}
            gone = [name for name in tags if name.lower() not in found]
            if gone:
                missing.append(f"the tag{'s' * (len(gone) > 1)} {', '.join(gone)}{whose and ' of '}{whose}")
        return missing

    def _add(self, stream: Stream) -> None:
        name = _named(stream)
        if stream.type == "video" and not stream.disposition & NOT_A_VIDEO:
            self.lost.append(f"{name}, which is not filtered")
            return
        is_chapters = stream.name == "bin_data" and self._container.chapters()  # of MP4
        if stream.type == "data" or (stream.type == "attachment" and self._path.suffix.lower() != ".mkv"):
            self.lost += [] if is_chapters else [name]
            return
        try:
            added = self._out.add_stream_from_template(stream, opaque=True)
        except ValueError:
            if stream.type == "audio":
                raise VideoError(f"{self._path.suffix} files do not hold {name}; give an .mkv file") from None
            self.lost.append(name)
            return
        self._places[stream.index] = added
        self._describe(stream, added, name)

    def _attach(self, stream: Stream, data: bytes) -> None:
        """A picture, as Matroska has it."""
        is_png = stream.codec_context is not None and stream.codec_context.name == "png"
        name, kind = ("cover.png", "image/png") if is_png else ("cover.jpg", "image/jpeg")
        self._out.add_attachment(stream.metadata.get("filename", name), stream.metadata.get("mimetype", kind), data)

    def _describe(self, stream: Stream, added: Stream, name: str) -> None:
        tags = kept_tags(stream.metadata)
        added.metadata.update(tags)
        if not isinstance(stream, AttachmentStream):
            added.disposition = Disposition(stream.disposition)
        self._said.append((name, tags, added.index))

    def _begins(self, packet: _Packet) -> Fraction | None:
        """In seconds, None for one without a time, such as the last of each stream."""
        stamp = packet.pts if packet.dts is None else packet.dts
        return None if stamp is None else stamp * packet.time_base

    def _copy(self, packet: _Packet) -> None:
        added = self._places.get(packet.stream.index)
        if added is None or not packet.size:
            return
        shift = round(self.offset / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        packet.stream = added
        self._out.mux(packet)


def kept_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Those that say what a file or stream is, not how it was written."""
    return {name: value for name, value in tags.items() if not name.lower().startswith(_OF_WRITING) and value != "und"}


def _named(stream: Stream) -> str:
    codec = stream.codec_context.name if stream.codec_context else stream.metadata.get("filename", "")
    return f"{stream.type} stream {stream.index}{codec and f' ({codec})'}"


def _at(time: int, base: Fraction | None) -> Fraction:
    return time * (base or Fraction(1))
