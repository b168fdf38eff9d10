"""Picture files (PNG, JPEG, ...) as videos of one picture: converted rightly, or refused."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from codec_bridge.video.files import Video
from codec_bridge.video.picture import VideoError, picture_from_rgb
from vrcnn_int.text import counted

_GRAY = ("1", "L", "LA")
_CLOSE = 4
"""Levels of 255 by which a colour profile may differ from sRGB and still mean it."""


def open_picture_file(path: Path, as_stored: bool = False) -> Video:
    """A picture file as a video of one picture (picture.picture_from_rgb), turned as its EXIF data say.

    as_stored: whatever colours its samples mean. Raises VideoError for what cannot be decoded or would not be the same picture afterwards:
    transparent, of more than 8 bits, CMYK, of several pictures, with another colour profile than sRGB.
    """
    try:
        with Image.open(path) as file:
            problem = _problem(file, as_stored)
            file.load()
            image = ImageOps.exif_transpose(file)
        if not problem and ("A" in image.getbands() or "transparency" in image.info):
            problem = "has transparent samples; flatten it first" if np.array(image.convert("RGBA"))[:, :, 3].min() < 255 else ""
        array = np.array(image.convert("L" if image.mode in _GRAY else "RGB"))
    except Exception as error:  # its readers raise whatever they like
        raise VideoError(f"cannot decode {path}: {' '.join(str(error).split()) or type(error).__name__}") from None
    if problem:
        raise VideoError(f"{path} {problem}")
    try:
        picture = picture_from_rgb(array)
    except VideoError as error:
        raise VideoError(f"{path}: {error}") from None
    return Video(path, (picture.width, picture.height), 8, picture.chroma_format, None, 1, lambda: iter((picture,)))


def _problem(image: Image.Image, as_stored: bool) -> str:
    """Why the picture cannot be read, as the end of a sentence; empty if it can."""
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # of an MPO's pictures the first is meant, others are previews
        return f"has {counted(frames, 'picture')} in it; give one file for each"
    if image.mode.startswith(("I", "F")) or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())):
        return "has more than 8 bits a sample; convert it to 8 bits first"
    if image.mode not in (*_GRAY, "P", "PA", "RGB", "RGBA", "RGBX"):
        return f"is a {image.mode} picture; convert it to RGB first"
    profile = image.info.get("icc_profile")
    if profile and not as_stored and not _is_srgb(profile, "L" if image.mode in _GRAY else "RGB"):
        return "has a colour profile other than sRGB; convert it to sRGB first"
    return ""


def _is_srgb(profile: bytes, mode: str) -> bool:
    """Whether a colour profile leaves colours about as they are; one that nobody can read says nothing."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    given = Image.fromarray(cube if mode == "RGB" else np.ascontiguousarray(cube[:, :, 0]))
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        seen = ImageCms.profileToProfile(given, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return True
    return seen is None or int(np.abs(np.array(seen).astype(int) - np.array(given.convert("RGB"))).max()) <= _CLOSE
