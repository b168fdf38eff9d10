"""Pictures and FFmpeg's frames, one made of the other."""

from typing import TYPE_CHECKING

import numpy as np

from codec_bridge.video.picture import Picture, VideoError, parse_pixel_format, plane_shapes, sample_type

if TYPE_CHECKING:
    import av


def picture_from_frame(frame: "av.VideoFrame", crop: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Picture:
    """The samples of a decoded frame, copied. Raises VideoError for an unsupported pixel format or size."""
    chroma_format, bit_depth = parse_pixel_format(frame.format.name)
    dtype = np.dtype(sample_type(bit_depth))
    planes = []
    for plane, (height, width) in zip(frame.planes, plane_shapes(frame.width, frame.height, chroma_format), strict=True):
        if plane.line_size <= 0:
            raise VideoError("pictures stored bottom-up are not supported")
        rows = np.frombuffer(bytes(plane), np.uint8, height * plane.line_size).reshape(height, plane.line_size)
        planes.append(np.ascontiguousarray(rows[:, : width * dtype.itemsize]).view(dtype))
    return Picture(tuple(planes), bit_depth, chroma_format, crop)


def frame_from_picture(picture: Picture) -> "av.VideoFrame":
    """A PyAV frame with the samples of ``picture`` (all of its planes: crop before if need be)."""
    import av

    frame = av.VideoFrame(picture.width, picture.height, picture.pixel_format)
    for target, plane in zip(frame.planes, picture.planes, strict=True):
        buffer = np.zeros(target.buffer_size, np.uint8)
        rows = buffer[: plane.shape[0] * target.line_size].reshape(plane.shape[0], target.line_size)
        rows[:, : plane.shape[1] * plane.itemsize] = plane.view(np.uint8)
        target.update(buffer.tobytes())
    return frame
