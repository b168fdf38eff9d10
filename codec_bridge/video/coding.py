"""What a stream says of its QPs and of the filters in its loop, beside what its user says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codec_bridge.bitstream.pictures import Coding
from codec_bridge.video.picture import VideoError

CLEAR = 3
"""A QP that is further than this from a stream's mean means another one: networks are five apart."""
BEFORE, AFTER = "before_deblocking", "after_sao"


@dataclass(frozen=True)
class Coded:
    """How the pictures of a video were coded, as their stream says; codings is empty where it does not.

    skipped: leading pictures, which refer to what is before the beginning; nobody can decode them.
    """

    path: Path
    codings: Sequence[Coding]
    skipped: int = 0

    @property
    def qp(self) -> float:
        """The mean. Raises VideoError where it is not known."""
        if not self.codings:
            raise VideoError(f"{self.path} does not say at what QP it was coded, as HEVC and H.264 streams do: give --qp")
        return sum(coding.qp for coding in self.codings) / len(self.codings)

    @property
    def position(self) -> str:
        """Where a filter of the decoded pictures stands: after SAO if a filter in the loop works on one of them."""
        return AFTER if any(coding.deblocking or coding.sao for coding in self.codings) else BEFORE

    def check_qp(self, qps: Sequence[int]) -> None:
        """Raise VideoError, with the right option in it, if none of the QPs that a user gave is the stream's."""
        if self.codings and all(abs(qp - self.qp) > CLEAR for qp in qps):
            listed = " or ".join(map(str, qps))
            raise VideoError(f"{self.path} was coded at {self.qps()}, not at {listed}: give --qp auto, or --trust-options to keep {listed}")

    def check_position(self, position: str, advice: str = "") -> None:
        """The same for the position. advice: what to give instead, where that is not --position."""
        right = self.position
        if self.codings and position != right:
            raise VideoError(
                f"{self.path} has {self.filters()} in its loop: its decoded pictures are {right}, not {position}: "
                f"give {advice or f'--position {right}'}, or --trust-options to keep {position}"
            )

    def filters(self) -> str:
        """The filters in the loop that work on luma in at least one picture, in words."""
        deblocking, sao = any(coding.deblocking for coding in self.codings), any(coding.sao for coding in self.codings)
        return " and ".join(name for name, is_on in (("deblocking", deblocking), ("SAO", sao)) if is_on) or "neither deblocking nor SAO"

    def qps(self) -> str:
        """Its QPs, in words."""
        lowest, highest = (round(some(coding.qp for coding in self.codings)) for some in (min, max))
        return f"QP {lowest}" if lowest == highest else f"QP {lowest} to {highest} (mean {self.qp:.1f})"
