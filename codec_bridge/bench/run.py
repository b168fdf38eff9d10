"""How fast the filter runs on this machine: every supported kernel at several picture sizes and thread counts, beside the peak rate of the
instruction that the kernel multiplies with, measured in the same run.
"""

import ctypes
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

from codec_bridge.bench.input import QP, Planes, Subject, subjects
from codec_bridge.codecs import decoder, pyav
from codec_bridge.filter import ErrorCode, Filter, FilterError, kernels
from codec_bridge.library import native
from codec_bridge.video.catalogue import resolve
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import UNIT_SCALE
from vrcnn_int.text import counted

SIZES = ((416, 240), (832, 480), (1920, 1080), (2560, 1600), (3840, 2160))
THREADS = (1, 2)
REPEATS = 3
BUDGET = 10.0
UNIT_SIZE = 64
UNITS_AT = (1920, 1080)
"""The size at which a half-filled unit map is timed too, or the largest one asked for."""

HALO_AT = (416, 240)
"""The size at which halves of a picture are timed too."""

ENOUGH = 0.5  # seconds of measured pictures after which a row needs no more
TURN = 0.05  # seconds of pictures at a time, before the next row has its turn
PEAK_SECONDS = 0.02
PEAK_ROUNDS = 3  # of each row that measure the peak as well


@cache
def photographs(name: str = "astronaut") -> Planes:
    """The planes of a photograph that ships with scikit-image, 4:2:0, as decoded at QP 32 without in-loop filters."""
    (sequence,) = resolve(name)
    with sequence.open() as video:
        originals = [next(iter(video))]
    (decoded,) = decoder.decode(pyav.encode(originals, QP, filters=False).data)
    return tuple(plane.astype(np.uint8) for plane in decoded.planes)


def photograph(name: str = "astronaut") -> NDArray[np.uint8]:
    """Its luma [height, width]."""
    return photographs(name)[0]


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


def resident() -> int:
    """Bytes of memory that this process holds now, freed memory given back where glibc can."""
    with suppress(AttributeError, TypeError, OSError):  # glibc has it: memory taken next is then seen to be taken
        ctypes.CDLL(None).malloc_trim(0)
    import psutil

    return int(psutil.Process().memory_info().rss)


@dataclass
class Opened:
    """A filter, what it takes, and how long it needs a sample (seconds, a first estimate). thread_memory: bytes of each thread."""

    subject: Subject
    filter: Filter
    thread_memory: int
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
    units: dict[str, Any] | None
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
    kind: str | None = None,
    network_size: str | None = None,
) -> dict[str, Any]:
    """Time kernels (None: all supported) by networks, sizes and threads; returns the lists peaks, rows, halo, left_out of a document.

    Networks: those of input.subjects. halo: network, kernel, least ms of a picture of HALO_AT in one piece (ms) and in halves (ms_halves),
    on one thread, and cost, the share that the halves take more: the halo on both sides of their edge.

    Rows that belong to one size take turns of a few pictures each, at least `repeats` altogether. A row that would need more than
    `budget` seconds for `repeats` pictures is left out (0: none is). Only the C call is timed: plane and result exist before.
    rows: network, kmac (a luma sample), kernel, width, height, threads, units (None, or what the half-filled map is like), ms (median),
    ms_minimum, pictures_per_second, repeats, gmacs (at the median, of the samples that are filtered), fraction_of_peak (gmacs by the median
    of all peaks that were measured for the kernel and thread count in this run; None if there is no peak), speed (how many times that of
    the network luma; None without it), memory (bytes that the library says it holds), resident (bytes by which the process grew when the
    filter was opened and used; None if unknown).
    """
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    with ExitStack() as stack:
        chosen = [(kernel, count) for kernel in choose_kernels(names) for count in threads]
        timed = subjects(model, kind, network_size)
        opened = [_open(stack, subject, kernel, count) for subject in timed for kernel, count in chosen]
        pictures = [(size, False) for size in sizes]
        pictures.append((UNITS_AT if UNITS_AT in sizes else max(sizes), True))
        for place, ((width, height), mapped) in enumerate(pictures):
            current: list[Row] = []
            for one in opened:
                row = _row(one, width, height, mapped, repeats)
                expected = one.pace * row.share * width * height
                if budget and expected * repeats > budget:
                    left_out.append({**_names(one), "width": width, "height": height, "units": row.units, "expected_ms": expected * 1000})
                else:
                    current.append(row)
            what = f"{width}x{height}" + (", half-filled map" if mapped else "")
            for done in _take_turns(current):
                progress(what, (place + done) / len(pictures))
            for row in current:
                row.opened.pace = statistics.median(row.times) / (row.share * width * height)
                rows.append(_result(row))
        halo = [_halo(one, repeats) for one in opened if one.filter.threads == 1 and len(timed) > 1] if HALO_AT in sizes else []
    # Peaks are complete only now.
    measured: dict[tuple[str, int], list[float]] = {}
    for one in opened:
        measured.setdefault((one.filter.kernel, one.filter.threads), []).extend(one.peaks)
    luma = {_place(row): row["ms"] for row in rows if row["network"] == "luma"}
    for result in rows:
        rate = statistics.median(measured[result["kernel"], result["threads"]])
        result["fraction_of_peak"] = result["gmacs"] / rate if rate else None
        result["speed"] = luma[_place(result)] / result["ms"] if _place(result) in luma else None
    peaks = [_peak(one, measured[one.filter.kernel, one.filter.threads]) for one in opened if one.peaks]
    return {"peaks": peaks, "rows": rows, "halo": halo, "left_out": left_out}


def _names(one: Opened) -> dict[str, Any]:
    """What tells rows of one picture apart."""
    return {"network": one.subject.name, "kernel": one.filter.kernel, "threads": one.filter.threads}


def _place(row: dict[str, Any]) -> tuple[Any, ...]:
    """What rows of different networks have in common."""
    return row["kernel"], row["threads"], row["width"], row["height"], row["units"] is None


def _peak(one: Opened, rates: list[float]) -> dict[str, Any]:
    return {
        **_names(one),
        "instruction": native.instruction(one.filter.kernel),
        "gmacs": statistics.median(rates) or None,
        "gmacs_maximum": max(rates) or None,
        "repeats": len(rates),
        "memory": one.filter.memory,
        "thread_memory": one.thread_memory,
        "resident": one.resident,
    }


def _open(stack: ExitStack, subject: Subject, kernel: str, threads: int) -> Opened:
    """A filter that has filtered two small pictures: the first touches its memory, the second says how fast it is."""
    planes = subject.planes(photographs(), *SIZES[0])
    out = [plane.copy() for plane in planes]
    with Filter(subject.models, kernel=kernel, threads=threads + 1) as more:
        several = more.memory
    before = resident()
    filter_ = stack.enter_context(Filter(subject.models, kernel=kernel, threads=threads))
    if filter_.threads != threads:
        raise VrcnnError(f"{counted(threads, 'thread')} asked for, the library gives {filter_.threads}")
    run = filter_.prepare_planes(planes, out, (8, 8), subject.index)
    run()
    after = resident()
    grown = None if before is None or after is None else after - before
    return Opened(subject, filter_, several - filter_.memory, grown, _seconds(run) / planes[0].size)


def _row(one: Opened, width: int, height: int, mapped: bool, repeats: int) -> Row:
    """A row to be measured; of a half-filled map, if that is wanted."""
    subject, share, units, choice = one.subject, 1.0, None, None
    planes = subject.planes(photographs(), width, height)
    if mapped:
        indices = list(range(min(3, len(subject.models.networks))))
        chosen = half_filled(planes[0], len(indices))
        share = float((chosen.repeat(UNIT_SIZE, 0).repeat(UNIT_SIZE, 1)[:height, :width] > 0).mean())
        units, choice = {"unit_size": UNIT_SIZE, "networks": len(indices), "share": share}, (indices, chosen, UNIT_SIZE)
    run = one.filter.prepare_planes(planes, [plane.copy() for plane in planes], (8, 8), subject.index, choice)
    return Row(one, width, height, share, units, run, repeats)


def _halo(one: Opened, repeats: int) -> dict[str, Any]:
    """What a picture in two halves takes more than in one piece, in turns, on one thread."""
    width, height = HALO_AT
    planes = one.subject.planes(photographs(), width, height)
    half = height // 2
    weights = (UNIT_SCALE,) * one.subject.network.heads

    def run(*parts: tuple[int, int]) -> Callable[[], None]:
        def call() -> None:
            for top, rows in parts:
                one.filter.filter_planes_region(planes, (8, 8), one.subject.index, 0, top, width, rows, weights, weights)

        return call

    ways = {"whole": run((0, height)), "halves": run((0, half), (half, height - half))}
    times: dict[str, list[float]] = {way: [] for way in ways}
    while len(times["whole"]) < max(repeats, 5) or (sum(times["whole"]) < ENOUGH):
        for way, call in ways.items():
            times[way].append(_seconds(call))
    whole, halves = (min(times[way]) for way in ways)  # their difference is small: what else the machine does has no part in it
    return {**_names(one), "width": width, "height": height, "ms": whole * 1000, "ms_halves": halves * 1000, "cost": halves / whole - 1}


def _take_turns(rows: list[Row]) -> Iterator[float]:
    """Measure rows in turns until each has enough; yields the share of pictures done."""
    while waiting := [row for row in rows if not row.done]:
        for row in waiting:
            row.turn()
            yield sum(min(1.0, len(row.times) / row.repeats) for row in rows) / len(rows)


def _result(row: Row) -> dict[str, Any]:
    median, subject = statistics.median(row.times), row.opened.subject
    return {
        **_names(row.opened),
        "kmac": subject.macs / 1000,
        "width": row.width,
        "height": row.height,
        "units": row.units,
        "ms": median * 1000,
        "ms_minimum": min(row.times) * 1000,
        "pictures_per_second": 1 / median,
        "repeats": len(row.times),
        "gmacs": subject.macs * row.share * row.width * row.height / median / 1e9,
        "memory": row.opened.filter.memory,
        "resident": row.opened.resident,
    }
