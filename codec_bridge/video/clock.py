"""When the pictures of a container are shown: whether one rate says it all, as it must in .y4m and .yuv."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

from codec_bridge.bitstream.pictures import Unit

_ROUNDING = Fraction(2, 1000)
"""Seconds by which time stamps are off where a container counts milliseconds."""
ONE_RATE = "which is lost: one rate is written"
"""How the note ends that is untrue of a file with a time for each picture."""


class Clock:
    """Collects the times of pictures."""

    def __init__(self) -> None:
        self._times: list[Fraction] = []

    def see(self, time: Fraction | None) -> None:
        """A picture that is shown at ``time`` seconds, None for unknown."""
        if time is not None:
            self._times.append(time)

    def watch(self, units: Iterable[Unit]) -> Iterator[Unit]:
        """The same access units; their times are seen on the way."""
        for unit in units:
            if unit.shown and unit.sps:
                self.see(unit.time)
            yield unit

    def notes(self) -> list[str]:
        """What one rate cannot say of these times."""
        times = sorted(self._times)
        if len(times) < 3:
            return []
        step = (times[-1] - times[0]) / (len(times) - 1)
        off = max(abs(time - times[0] - number * step) for number, time in enumerate(times))
        if off <= _ROUNDING:
            return []
        gaps = [float(other - one) for one, other in pairwise(times)]
        found = [f"its pictures are not evenly timed ({min(gaps):.3f} to {max(gaps):.3f} s apart), {ONE_RATE}"]
        usual = sorted(gaps)[len(gaps) // 2]
        steps = [round(gap / usual) if usual > 2 * _ROUNDING else 0 for gap in gaps]
        holes = [(float(one), float(other)) for one, other, step in zip(times, times[1:], steps, strict=False) if step > 1]
        if holes and min(steps) > 0 and all(abs(gap - step * usual) <= _ROUNDING for gap, step in zip(gaps, steps, strict=True)):
            where = f"{len(holes)} holes, the first" if len(holes) > 1 else "1 hole,"
            found.append(
                f"pictures may be missing ({sum(steps) - len(steps)}): they are {usual:.3f} s apart but for {where} "
                f"from {holes[0][0]:.3f} to {holes[0][1]:.3f} s"
            )
        return found
