"""Pictures in a Matroska or MP4 file: encoded, timed and described as the video that they come from, whose other streams are copied."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path

import av

from codec_bridge.video.container import open_container, opened
from codec_bridge.video.copied import Copier
from codec_bridge.video.encoding import Encoding
from codec_bridge.video.files import Video
from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.metadata import SITINGS
from codec_bridge.video.picture import Picture, VideoError
from vrcnn_int.files import replacing


@contextmanager
def container_writer(
    path: Path, video: Video, encoding: Encoding, rate: Fraction | None = None, frames: int | None = None, others: bool = True
) -> "Iterator[ContainerWriter]":
    """Yield a writer for pictures of ``video``; the file appears when it is complete.

    rate: pictures a second; None: as its container times them, or the video's own. frames: that there are at most, None: all. others: what
    else is in the video's container is copied, to the end of so many frames. Raises VideoError for pictures, streams and rates that the
    container or the encoder cannot take.
    """
    with replacing(path) as temporary:
        try:
            with ExitStack() as stack:
                writer = ContainerWriter(path, temporary, video, encoding, rate, frames, others, stack)
                yield writer
                writer.finish()
            writer.compare(temporary)
        except av.FFmpegError as error:
            if isinstance(error, OSError) and 0 < (error.errno or 0) < 200:  # the system's
                raise OSError(error.errno, error.strerror) from None
            raise VideoError(f"cannot write {path}: {error.strerror or error}") from None


class ContainerWriter:
    """Made by `container_writer`. count: of the pictures so far. lost: what the file does not hold of the video's own, in words."""

    def __init__(
        self,
        path: Path,
        temporary: Path,
        video: Video,
        encoding: Encoding,
        rate: Fraction | None,
        frames: int | None,
        others: bool,
        stack: ExitStack,
    ) -> None:
        self.count = 0
        self.lost: list[str] = []
        self._video, self._encoding = video, encoding
        self._timed = rate is None and video.contained
        rate = rate or video.rate
        if not rate:
            raise VideoError(f"{video.path} does not say its rate, which {path.suffix} files have: give --rate")
        self._rate, self._frames = rate, frames
        self._out = stack.enter_context(av.open(str(temporary), "w"))
        source = stack.enter_context(opened(video.path)) if video.contained else None
        self._copier = Copier(*source, path) if source and others else None
        self._base = (source[1].time_base if source and self._timed else None) or 1 / rate
        self._stream: av.VideoStream | None = None
        self._waiting: tuple[Picture, Fraction] | None = None
        self._gap = 1 / rate

    def write(self, picture: Picture) -> None:
        """The next picture. Raises VideoError where it is shown before the last one."""
        time = self._time(picture)
        if self._waiting is None:
            self._begin(picture)
        else:
            self._gap = time - self._waiting[1]
            if self._gap <= 0:
                raise VideoError(f"{self._video.path}: picture {self.count} is shown at {float(time):.3f} s, not after the one before it")
            self._encode(*self._waiting)
        self._waiting = picture, time
        self.count += 1

    def finish(self) -> None:
        """After the last picture."""
        if not self._waiting or not self._stream:
            raise VideoError("there are no pictures to write")
        if self._copier:
            time, end = self._waiting[1], self._copier.video_end
            if self._timed and self._frames is None and end is not None and end > time:
                self._gap = end - time
            self._copier.finish(None if self._frames is None else time + self._gap)
        self._encode(*self._waiting)
        self._out.mux(self._stream.encode(None))

    def compare(self, written: Path) -> None:
        """Adds to ``lost`` what the finished file does not say as the video did."""
        before, after = self._video.metadata, open_container(written, True, True).metadata
        if before.aspect not in (None, 1, after.aspect):
            self.lost.append(f"the sample aspect ratio {before.aspect}")
        if before.full_range and not after.full_range:
            self.lost.append("the full range of its samples")
        if before.colours and before.colours != after.colours:
            self.lost.append("its colour description")
        if before.siting and after.siting not in (before.siting, "") and self._video.chroma_format == "420":
            self.lost.append(f"the siting of chroma ({before.siting})")
        if before.matrix and before.matrix != after.matrix:
            self.lost.append(f"its display matrix (rotation by {before.rotation} degrees)")
        if self._copier:
            with opened(written) as (container, _):
                self.lost += self._copier.missing_in(container)

    def _time(self, picture: Picture) -> Fraction:
        if self._timed and picture.time is not None:
            return picture.time
        return self._waiting[1] + 1 / self._rate if self._waiting else Fraction(0)

    def _begin(self, picture: Picture) -> None:
        if not self._copier:
            self._add_video(picture)
            return
        self._copier.begin(self._out, lambda: self._add_video(picture), None if self._frames is None else self._frames / self._rate)
        self.lost += self._copier.lost

    def _add_video(self, picture: Picture) -> av.VideoStream:
        """The stream of the pictures, which says of itself what the video did."""
        said = self._video.metadata
        encoder = self._encoding.chosen(picture.bit_depth, picture.chroma_format)
        options = self._encoding.options(encoder)
        if said.siting and picture.chroma_format == "420":
            options = {**options, "chroma_sample_location": str(1 + SITINGS.index(said.siting))}
        stream = self._out.add_stream(encoder, rate=self._rate, options=options)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = picture.width, picture.height, picture.pixel_format
        stream.time_base = context.time_base = self._base
        if said.aspect:
            context.sample_aspect_ratio = said.aspect
        if said.full_range is not None:
            context.color_range = 2 if said.full_range else 1
        if said.colours:
            context.color_primaries, context.color_trc, context.colorspace = said.colours
        if said.matrix:
            stream.set_display_matrix(said.matrix)
        self._stream = stream
        return stream

    def _encode(self, picture: Picture, time: Fraction) -> None:
        assert self._stream
        frame = frame_from_picture(picture)
        frame.time_base = self._base
        shown = time - (self._copier.offset if self._copier else 0)
        frame.pts, frame.duration = round(shown / self._base), max(1, round(self._gap / self._base))
        self._out.mux(self._stream.encode(frame))
        if self._copier:
            self._copier.copy_until(time)
