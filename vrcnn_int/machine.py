"""What of the machine this process may use."""

import os


def cores() -> int:
    """Logical cores that this process may run on, at least one: a batch system or a container gives fewer than the machine has."""
    return len(os.sched_getaffinity(0))
