"""Open any video or picture file."""

from fractions import Fraction
from pathlib import Path

from codec_bridge.video.container import open_container, open_picture_file
from codec_bridge.video.files import Video, open_y4m, open_yuv
from codec_bridge.video.picture import VideoError

PICTURE_FILES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
RAW_STREAMS = (".hevc", ".h265", ".265", ".bin", ".264", ".h264")
VIDEO_FILES = (".yuv", ".y4m", ".mkv", ".mp4", ".mov", ".avi", ".webm", ".nut", ".ivf", *RAW_STREAMS)


def open_video(
    path: str | Path,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    rate: Fraction | int | None = None,
    frames: int | None = None,
    cropping: bool = True,
) -> Video:
    """Open a video or picture file.

    size (width, height) and pixel_format (yuv420p, yuv420p10le, gray, ...): needed for .yuv, refused for files that
    state their own. rate: pictures per second, instead of what the file says. frames: read at most so many pictures.
    cropping: False gives pictures of an HEVC stream as coded, with ``crop`` saying what lies outside the conformance
    window; every other input has nothing outside.

    MD5 picture hashes of HEVC streams are checked where there are any. Full-range video (yuvj420p) is read as it is.
    Picture files become BT.601 pictures (`picture_from_rgb`).
    Raises VideoError for a file that is missing, truncated, empty, undecodable or of an unsupported format; for a
    truncated .yuv or .y4m it names the size that was expected.
    """
    path = Path(path)
    if not path.is_file():
        raise VideoError(f"{path} is a folder, not a video file" if path.is_dir() else f"there is no video file {path}")
    suffix = path.suffix.lower()
    if suffix != ".yuv" and (size is not None or pixel_format is not None):
        raise VideoError(f"size and pixel format can be given for .yuv files only; {path} states its own")
    try:
        if suffix == ".yuv":
            video = open_yuv(path, size, pixel_format)
        elif suffix == ".y4m":
            video = open_y4m(path)
        elif suffix in PICTURE_FILES:
            video = open_picture_file(path)
        else:
            video = open_container(path, cropping)
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from None
    if rate is not None:
        if rate <= 0:
            raise VideoError(f"a rate of {rate} pictures per second is not possible")
        video.rate = Fraction(rate)
    return video.limited(frames)
