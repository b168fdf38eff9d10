"""What of the machine this process may use."""

import os
import sys


def cores() -> int:
    """Logical cores that this process may run on, at least one: a batch system or a container gives fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # other systems give a process all that there are
