"""A built HM, where one is given, and what tests let it code."""

import numpy as np
import pytest

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.hm import run as hm
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.picture import Picture

OPTIONS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "whole pictures": ("--VRCNNMap=0",),
    "no SAO": ("--SAO=0",),
    "small CTUs": ("--MaxCUWidth=16", "--MaxCUHeight=16", "--MaxPartitionDepth=2", "--QuadtreeTULog2MaxSize=4"),
    "slices": ("--SliceMode=1", "--SliceArgument=2"),
    "dependent slices, wavefronts": ("--SliceSegmentMode=1", "--SliceSegmentArgument=2", "--WaveFrontSynchro=1"),
    "lossless": ("--TransquantBypassEnable=1", "--CUTransquantBypassFlagForce=1"),
    "PCM": ("--PCMEnabledFlag=1", "--PCMFilterDisableFlag=1", "--PCMInputBitDepthFlag=1", "--PCMLog2MinSize=3", "--PCMLog2MaxSize=5"),
}
"""What streams may be like, beside the filter."""

BLOCKS = {
    "lossless": OPTIONS["lossless"],
    "PCM": (*OPTIONS["PCM"], "--PCMLog2MinSize=3"),
    "PCM, filtered": (*OPTIONS["PCM"], "--PCMFilterDisableFlag=0"),
}
"""Streams of nothing but such blocks, if they are of noise; filters change the last ones only."""


def built_hm() -> hm.Tools:
    """Of HM_ROOT, or HM_ENCODER and HM_DECODER; the test skips without."""
    try:
        return hm.find_tools()
    except CodecError as error:
        pytest.skip(f"needs a built HM with the adapter: {error}")


def moving_clip() -> list[Picture]:
    """Three pictures that move a little, cut from a photograph: its size is no multiple of a CTU, nor of the smallest CU."""
    (photograph,) = resolve("astronaut")[0].open(1)
    found = []
    for shift in (0, 2, 5):
        planes = [
            plane[(60 + shift) // s : (60 + shift + 92) // s, 160 // s : 300 // s]
            for plane, s in zip(photograph.planes, (1, 2, 2), strict=True)
        ]
        found.append(Picture(tuple(np.ascontiguousarray(plane) for plane in planes), 8, "420"))
    return found


def noise() -> list[Picture]:
    """A picture that nothing predicts."""
    rng = np.random.default_rng(11)
    return [Picture(tuple(rng.integers(0, 256, size).astype(np.uint8) for size in ((72, 136), (36, 68), (36, 68))), 8, "420")]
