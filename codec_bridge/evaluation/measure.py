"""What is measured of pictures: quality, and how much networks did."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.evaluation.settings import EvaluationError
from codec_bridge.figures import metrics
from codec_bridge.video.picture import Picture
from vrcnn_int.integer import ModelSet
from vrcnn_int.network import macs_per_sample
from vrcnn_int.text import counted


class Quality(TypedDict):
    """Means over pictures, by their names in rows."""

    psnr_y: float
    psnr_u: float | None
    psnr_v: float | None
    psnr_yuv: float | None
    ssim_y: float


def quality(pictures: Sequence[Picture], originals: Sequence[Picture]) -> Quality:
    """Means over cropped pictures of PSNR (Y, U, V and 6:1:1; None without chroma) and SSIM of luma.

    A plane that equals its original in any picture has no PSNR: the mean is metrics.IDENTICAL.
    Raises EvaluationError if there are not as many pictures as originals.
    """
    if len(pictures) != len(originals):
        raise EvaluationError(f"{counted(len(pictures), 'picture')} decoded, {len(originals)} coded")
    psnrs = list(zip(*(metrics.picture_psnr(*pair) for pair in zip(pictures, originals, strict=True)), strict=True))
    means = [metrics.IDENTICAL if metrics.IDENTICAL in values else float(np.mean(values)) for values in psnrs]
    y, (u, v) = means[0], [*means[1:], None, None][:2]
    yuv = None if u is None or v is None else metrics.IDENTICAL if metrics.IDENTICAL in means else (6 * y + u + v) / 8
    ssims = [metrics.ssim(a.planes[0], b.planes[0], b.bit_depth) for a, b in zip(pictures, originals, strict=True)]
    return {"psnr_y": y, "psnr_u": u, "psnr_v": v, "psnr_yuv": yuv, "ssim_y": float(np.mean(ssims))}


def complexity(side: Sequence[Sideinfo | None], models: ModelSet, width: int, height: int) -> tuple[float, float]:
    """Share of the luma samples that networks filtered, and their thousands of multiplications a luma sample of all."""
    costs = [macs_per_sample(network.architecture) / 1000 for network in models.networks]
    share = kmac = 0.0
    for information in side:
        if information is None or not information.filters:
            continue
        luma, chroma = information.choices(width, height), information.chroma_choices(width, height)
        share += float((luma > 0).mean())
        kmac += sum(float(((luma == n) | (chroma == n)).mean()) * costs[index] for n, index in enumerate(information.indices, 1))
    return share / max(1, len(side)), kmac / max(1, len(side))
