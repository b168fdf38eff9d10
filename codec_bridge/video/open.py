"""Open any video or picture file."""

import os
import stat
from fractions import Fraction
from pathlib import Path

from codec_bridge.video.files import Video, open_y4m, open_y4m_pipe, open_yuv
from codec_bridge.video.picture import VideoError

PICTURE_FILES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
RAW_STREAMS = (".hevc", ".h265", ".265", ".bin", ".264", ".h264")
_KINDS = ((stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"))
VIDEO_FILES = (".yuv", ".y4m", ".mkv", ".mp4", ".mov", ".avi", ".webm", ".nut", ".ivf", *RAW_STREAMS)


def open_video(
    path: str | Path,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    rate: Fraction | int | None = None,
    frames: int | None = None,
    cropping: bool = True,
    lenient: bool = False,
    as_stored: bool = False,
    once: bool = False,
) -> Video:
    """Open a video or picture file.

    size (width, height) and pixel_format (yuv420p, yuv420p10le, gray, ...): needed for .yuv, refused for files that
    state their own. rate: pictures per second, instead of what the file says. frames: read at most so many pictures.
    cropping: False gives pictures of an HEVC stream as coded, with ``crop`` saying what lies outside the conformance
    window; every other input has nothing outside.

    lenient: pictures that are damaged, lost or lack others that they refer to are gone over as players do, and are among the faults of
    the video's account; else reading ends at the first. as_stored: a picture file's colour profile is not looked at.
    once: the video is read once only, so that it may be a pipe, with Y4M.

    Picture hashes of HEVC streams (MD5, CRC, checksum) are checked where there are any. Full-range video is read as it is, and its
    metadata say so. Picture files become BT.601 pictures (`picture_from_rgb`). A path is the name of a file, whatever it looks like, and
    no other file is read.
    Raises VideoError for a file that is missing, truncated, empty, undecodable or of an unsupported format; for a
    truncated .yuv or .y4m it names the size that was expected.
    """
    path = Path(path)
    pipe = once and path.is_fifo()
    if not pipe:
        check_file(path)
    suffix = path.suffix.lower()
    if suffix != ".yuv" and (size is not None or pixel_format is not None):
        raise VideoError(f"size and pixel format can be given for .yuv files only; {path} states its own")
    try:
        if pipe:
            video = open_y4m_pipe(path)
        elif suffix == ".yuv":
            video = open_yuv(path, size, pixel_format)
        elif suffix == ".y4m":
            video = open_y4m(path)
        elif suffix in PICTURE_FILES:
            from codec_bridge.video.photograph import open_picture_file  # loads Pillow

            video = open_picture_file(path, as_stored)
        else:
            from codec_bridge.video.container import open_container  # loads PyAV

            video = open_container(path, cropping, lenient)
    except VideoError as error:
        if str(path) in str(error):
            raise
        raise VideoError(f"{path}: {error}") from None
    except OSError as error:
        raise VideoError(f"cannot read {path}: {error.strerror or error}") from None
    if rate is not None:
        if rate <= 0:
            raise VideoError(f"a rate of {float(rate):g} pictures per second is not possible")
        video.rate = Fraction(rate)
    return video.limited(frames)


def check_file(path: Path) -> None:
    """Raise VideoError for what is no file, and say what it is."""
    if str(path) == "-" and not os.path.lexists(path):
        raise VideoError("- is no file: a video is read more than once, so not from standard input: save it to a file first")
    try:
        status = path.stat()
    except FileNotFoundError:
        raise VideoError(f"there is no video file {path}") from None
    except (OSError, ValueError) as error:
        raise VideoError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    mode = status.st_mode
    if stat.S_ISDIR(mode):
        raise VideoError(f"{path} is a folder, not a video file")
    if not stat.S_ISREG(mode):
        kind = next((word for test, word in _KINDS if test(mode)), "no file")
        raise VideoError(f"{path} is {kind}; a video is read more than once: save it to a file first")
    if not status.st_size:
        raise VideoError(f"{path} has no pictures: the file is empty")
