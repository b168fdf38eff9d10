"""How fast the filter runs on this machine: every supported kernel at several picture sizes and thread counts, beside the peak rate of the
instruction that the kernel multiplies with, measured in the same run.
"""

import ctypes
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codec_bridge.bench.input import QP, fill, network_for
from codec_bridge.codecs import decoder, pyav
from codec_bridge.filter import ErrorCode, Filter, FilterError, kernels
from codec_bridge.library import native
from codec_bridge.video.catalogue import resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import macs_per_sample

SIZES = ((416, 240), (832, 480), (1920, 1080), (2560, 1600), (3840, 2160))
THREADS = (1, 2)
REPEATS = 3
BUDGET = 10.0
UNIT_SIZE = 64
UNITS_AT = (1920, 1080)
"""The size at which a half-filled unit map is timed too, or the largest one asked for."""

ENOUGH = 0.5  # seconds of measured pictures after which a row needs no more
TURN = 0.05  # seconds of pictures at a time, before the next row has its turn
PEAK_SECONDS = 0.02
PEAK_ROUNDS = 3  # of each row that measure the peak as well


@cache
def photograph(name: str = "astronaut") -> NDArray[np.uint8]:
    """Luma [height, width] of a photograph that ships with scikit-image, as decoded at QP 32 without in-loop filters."""
    (sequence,) = resolve(name)
    with sequence.open() as video:
        originals = [next(iter(video))]
    (decoded,) = decoder.decode(pyav.encode(originals, QP, filters=False).data)
    plane: NDArray[np.uint8] = decoded.planes[0].astype(np.uint8)
    return plane


def half_filled(plane: NDArray[np.uint8], networks: int, unit_size: int = UNIT_SIZE) -> NDArray[np.uint8]:
    """A unit map, uint8 [rows, columns], that leaves the smoother half of a picture's units unfiltered.

    The others get the networks 1..networks by their standard deviation: neighbours resemble each other, as in an encoder's choice.
    """
    rows, columns = (-(-size // unit_size) for size in plane.shape)
    blocks = [plane[y * unit_size :, x * unit_size :][:unit_size, :unit_size] for y in range(rows) for x in range(columns)]
    order = np.argsort([-float(block.std()) for block in blocks], kind="stable")
    half = (len(blocks) + 1) // 2
    chosen = np.zeros(len(blocks), np.uint8)
    chosen[order[:half]] = 1 + np.arange(half) * networks // half
    return chosen.reshape(rows, columns)


def peak(kernel: str, threads: int, seconds: float = PEAK_SECONDS) -> float:
    """10^9 multiply-accumulates a second of a kernel's instruction, on so many threads at once; 0 if there is no such figure."""
    start = Barrier(threads)

    def measure(_: int) -> float:
        start.wait()
        return native.peak(kernel, seconds)

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(measure, range(threads)))


def resident() -> int | None:
    """Bytes of memory that this process holds now, freed memory given back; None where the system does not tell."""
    with suppress(AttributeError, TypeError, OSError):  # glibc has it: memory taken next is then seen to be taken
        ctypes.CDLL(None).malloc_trim(0)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


@dataclass
class Opened:
    """A filter, what it takes, and how long it needs a sample (seconds, a first estimate)."""

    filter: Filter
    resident: int | None
    pace: float
    peaks: list[float] = field(default_factory=list)


@dataclass
class Row:
    """One row of the result while it is measured."""

    opened: Opened
    width: int
    height: int
    share: float
    run: Callable[[], None]
    repeats: int
    times: list[float] = field(default_factory=list)
    turns: int = 0

    @property
    def done(self) -> bool:
        return len(self.times) >= self.repeats and sum(self.times) >= ENOUGH

    def turn(self) -> None:
        """Filter pictures for a while, at least one; in the first turns, measure the peak first."""
        filter_ = self.opened.filter
        if self.turns < PEAK_ROUNDS:
            self.opened.peaks.append(peak(filter_.kernel, filter_.threads))
        self.turns += 1
        first = len(self.times)
        while sum(self.times[first:]) < TURN:
            self.times.append(_seconds(self.run))


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def choose_kernels(wanted: Sequence[str] | None) -> list[str]:
    """The kernels to time: those asked for, or all that this machine supports. Raises VrcnnError for one that it does not."""
    supported = [name for name, there in kernels() if there and name != "auto"]
    for name in wanted or ():
        if name not in supported:
            raise FilterError(f"kernel {name!r} cannot run here; these can: {', '.join(supported)}", ErrorCode.KERNEL_UNSUPPORTED)
    return list(wanted or supported)


def bench(
    sizes: Sequence[tuple[int, int]] = SIZES,
    threads: Sequence[int] = THREADS,
    names: Sequence[str] | None = None,
    model: Path | None = None,
    repeats: int = REPEATS,
    budget: float = BUDGET,
    progress: Callable[[str, float], None] = lambda _what, _share: None,
) -> dict[str, Any]:
    """Time kernels (None: all supported) by sizes and thread counts; returns the lists peaks, rows and left_out of a document.

    Rows that belong to one size take turns of a few pictures each, at least `repeats` altogether. A row that would need more than
    `budget` seconds for `repeats` pictures is left out (0: none is). Only the C call is timed: plane and result exist before.
    rows: kernel, width, height, threads, units (None, or what the half-filled map is like), ms (median), ms_minimum, repeats, gmacs (at
    the median, of the samples that are filtered), fraction_of_peak (gmacs by the median of all peaks that were measured for
    the kernel and thread count in this run; None if there is no peak), memory (bytes that the library says it holds), resident (bytes by
    which the process grew when the filter was opened and used; None if unknown).
    """
    models = ModelSet.load(model or builtin_path())
    index = network_for(models)
    macs = macs_per_sample(models.networks[index].architecture)
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    with ExitStack() as stack:
        opened = [_open(stack, model, name, count, index) for name in choose_kernels(names) for count in threads]
        pictures = [(size, False) for size in sizes]
        pictures.append((UNITS_AT if UNITS_AT in sizes else max(sizes), True))
        for place, ((width, height), mapped) in enumerate(pictures):
            current, share, units = [], 1.0, None
            plane = fill(photograph(), width, height)
            if mapped:
                indices = list(range(min(3, len(models.networks))))
                chosen = half_filled(plane, len(indices))
                share = float((chosen.repeat(UNIT_SIZE, 0).repeat(UNIT_SIZE, 1)[:height, :width] > 0).mean())
                units = {"unit_size": UNIT_SIZE, "networks": len(indices), "share": share}
            for one in opened:
                filter_, expected = one.filter, one.pace * share * width * height
                if budget and expected * repeats > budget:
                    left_out.append({"kernel": filter_.kernel, "threads": filter_.threads, "width": width, "height": height})
                    left_out[-1] |= {"units": units, "expected_ms": expected * 1000}
                    continue
                out = plane.copy()
                run = filter_.prepare(plane, out, 8, index, (indices, chosen, UNIT_SIZE) if mapped else None)
                current.append(Row(one, width, height, share, run, repeats))
            what = f"{width}x{height}" + (", half-filled map" if mapped else "")
            for done in _take_turns(current):
                progress(what, (place + done) / len(pictures))
            for row in current:
                row.opened.pace = statistics.median(row.times) / (row.share * width * height)
                rows.append(_result(row, macs, units))
    # Peaks are complete only now.
    medians = {(one.filter.kernel, one.filter.threads): statistics.median(one.peaks) for one in opened if one.peaks}
    for result in rows:
        rate = medians[result["kernel"], result["threads"]]
        result["fraction_of_peak"] = result["gmacs"] / rate if rate else None
    peaks = [
        {
            "kernel": one.filter.kernel,
            "threads": one.filter.threads,
            "instruction": native.instruction(one.filter.kernel),
            "gmacs": statistics.median(one.peaks) or None,
            "gmacs_maximum": max(one.peaks) or None,
            "repeats": len(one.peaks),
            "memory": one.filter.memory,
            "resident": one.resident,
        }
        for one in opened
        if one.peaks
    ]
    return {"peaks": peaks, "rows": rows, "left_out": left_out}


def _open(stack: ExitStack, model: Path | None, kernel: str, threads: int, index: int) -> Opened:
    """A filter that has filtered two small pictures: the first touches its memory, the second says how fast it is."""
    plane = fill(photograph(), *SIZES[0])
    out = plane.copy()
    before = resident()
    filter_ = stack.enter_context(Filter(model, kernel=kernel, threads=threads))
    if filter_.threads != threads:
        raise VrcnnError(f"{threads} threads were asked for, the library gives {filter_.threads}")
    run = filter_.prepare(plane, out, 8, index)
    run()
    after = resident()
    grown = None if before is None or after is None else after - before
    return Opened(filter_, grown, _seconds(run) / plane.size)


def _take_turns(rows: list[Row]) -> Iterator[float]:
    """Measure rows in turns until each has enough; yields the share of pictures done."""
    while waiting := [row for row in rows if not row.done]:
        for row in waiting:
            row.turn()
            yield sum(min(1.0, len(row.times) / row.repeats) for row in rows) / len(rows)


def _result(row: Row, macs: int, units: dict[str, Any] | None) -> dict[str, Any]:
    median = statistics.median(row.times)
    return {
        "kernel": row.opened.filter.kernel,
        "width": row.width,
        "height": row.height,
        "threads": row.opened.filter.threads,
        "units": units,
        "ms": median * 1000,
        "ms_minimum": min(row.times) * 1000,
        "repeats": len(row.times),
        "gmacs": macs * row.share * row.width * row.height / median / 1e9,
        "memory": row.opened.filter.memory,
        "resident": row.opened.resident,
    }
