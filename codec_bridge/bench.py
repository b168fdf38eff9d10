"""How fast the filter runs on this machine: every supported kernel at several picture sizes."""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codec_bridge.filter import Filter, kernels
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path
from vrcnn_int.network import macs_per_sample

SIZES = ((416, 240), (832, 480), (1920, 1080))


def bench(
    sizes: Sequence[tuple[int, int]],
    model: Path | None = None,
    repeats: int = 3,
    progress: Callable[[dict[str, Any]], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Time the first network of a set on noise, one thread; rows: kernel, width, height, threads, ms (median), ms_minimum, gmacs.

    gmacs: 10^9 multiply-accumulates a second at the median. One unmeasured picture goes before each series.
    """
    macs = macs_per_sample(ModelSet.load(model or builtin_path()).networks[0].architecture)
    rng = np.random.default_rng(1)
    rows = []
    for kernel in (name for name, supported in kernels() if supported and name != "auto"):
        with Filter(model, kernel=kernel) as filter_:
            for width, height in sizes:
                plane = rng.integers(0, 256, (height, width)).astype(np.uint8)
                times = []
                for _ in range(repeats + 1):
                    start = time.perf_counter()
                    filter_.filter_plane(plane, 8, 0)
                    times.append((time.perf_counter() - start) * 1000)
                median = statistics.median(times[1:])
                row = {
                    "kernel": kernel,
                    "width": width,
                    "height": height,
                    "threads": 1,
                    "ms": median,
                    "ms_minimum": min(times[1:]),
                    "gmacs": macs * width * height / median / 1e6,
                }
                rows.append(row)
                progress(row)
    return rows
