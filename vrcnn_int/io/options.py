"""What options of all command lines have in common."""

import math

import typer


def finite(value: float | None) -> float | None:
    """Callback of options that are numbers: refuses infinity and NaN, which is in every range."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number that it can have.")
    return value
