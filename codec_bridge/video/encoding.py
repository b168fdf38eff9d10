"""How pictures are encoded into containers: what commands offer, without the library that does it."""

from dataclasses import dataclass

from codec_bridge.video.picture import VideoError

CONTAINERS = (".mkv", ".mp4")
PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo")
_DEPTHS = {"libx264": (8, 10), "libx265": (8, 10, 12), "ffv1": (8, 9, 10, 12)}
ENCODERS = tuple(_DEPTHS)
_LOSSLESS = {"libx264": {"qp": "0"}, "libx265": {"x265-params": "lossless=1:log-level=none"}, "ffv1": {}}
_LOSSY: dict[str, dict[str, str]] = {"libx264": {}, "libx265": {"x265-params": "log-level=none"}}


@dataclass(frozen=True)
class Encoding:
    """How pictures are encoded. encoder: one of ENCODERS, None for `chosen`. crf: 0 to 51, None is lossless. preset: one of PRESETS.

    Raises VideoError for what an encoder does not have.
    """

    encoder: str | None = None
    crf: float | None = None
    preset: str | None = None

    def __post_init__(self) -> None:
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise VideoError(f"unknown encoder {self.encoder!r}; there are {', '.join(ENCODERS)}")
        if self.preset is not None and self.preset not in PRESETS:
            raise VideoError(f"unknown preset {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.encoder == "ffv1" and (self.crf is not None or self.preset is not None):
            raise VideoError("ffv1 is always lossless, and has neither CRF nor presets")

    def chosen(self, bit_depth: int, chroma_format: str) -> str:
        """The encoder: as given, or the first of ENCODERS that has the bit depth, but for 4:0:0 no H.264, which FFmpeg decodes as 4:2:0.

        Raises VideoError where the one that was given does not have the bit depth.
        """
        fitting = [name for name in ENCODERS if bit_depth in _DEPTHS[name]]
        if self.encoder is None:
            return next(name for name in fitting if name != "libx264" or chroma_format != "400")
        if self.encoder not in fitting:
            raise VideoError(f"{self.encoder} does not encode {bit_depth} bits; give --encoder {' or '.join(fitting)}")
        return self.encoder

    def options(self, encoder: str) -> dict[str, str]:
        """For FFmpeg's encoder of that name. Raises VideoError where it has no CRF or presets."""
        if encoder not in _LOSSY:
            if self.crf is not None or self.preset is not None:
                raise VideoError(f"{encoder}, which encodes these pictures, has neither CRF nor presets")
            return _LOSSLESS[encoder]
        quality = _LOSSLESS[encoder] if self.crf is None else {**_LOSSY[encoder], "crf": f"{self.crf:g}"}
        return quality if self.preset is None else {**quality, "preset": self.preset}
