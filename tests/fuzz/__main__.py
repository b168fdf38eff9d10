"""python -m tests.fuzz TARGET [arguments of libFuzzer]: fuzz one target of targets.py; c/fuzz/run.sh calls it."""

import resource
import signal
import sys

import atheris

MEMORY = 1 << 30
"""Bytes beyond those that the program has at its start; more is refused, and found as a MemoryError."""
SECONDS = 10
"""Of CPU time for one input; libFuzzer's own limit is of wall time."""


def too_long(*_: object) -> None:
    raise TimeoutError(f"an input took {SECONDS} s of CPU time")


def main() -> None:
    name, *arguments = sys.argv[1:]
    ours = ["codec_bridge.video", "codec_bridge.bitstream", "codec_bridge.report", "codec_bridge.evaluation.plan", "vrcnn_int.io.documents"]
    with atheris.instrument_imports(include=ours):
        from tests.fuzz.targets import TARGETS
    # Out of CPU time (ulimit -t), it stops as if interrupted, with its figures. The handler of SIGINT is to be libFuzzer's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGXCPU, lambda *_: signal.raise_signal(signal.SIGINT))
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, too_long)

    def one(data: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        TARGETS[name](data)

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
