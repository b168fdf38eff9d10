"""Options and settings that several commands have."""

import math
from dataclasses import fields, replace
from typing import Annotated, Any, get_args

import typer

from vrcnn_int import process
from vrcnn_int.errors import VrcnnError
from vrcnn_int.extras import require
from vrcnn_int.models import model_path, set_names
from vrcnn_int.training.runs import MOST_THREADS

Threads = Annotated[int, typer.Option(help="CPU threads.", min=1, max=MOST_THREADS)]

ModelSetFile = typer.Argument(
    parser=model_path, metavar="<set>", help=f"Model set: a .vrcnn file, or one that is shipped: {', '.join(set_names())}."
)

Force = Annotated[bool, typer.Option("--force", help="Replace an older file of that name.")]


def parse_settings(pairs: list[str], settings: Any) -> Any:
    """``settings`` (a dataclass) with NAME=VALUE applied; of one that is given twice the last counts.

    Raises VrcnnError for unknown names, and for values that are missing or of the wrong type.
    """
    kinds = {field.name: field.type for field in fields(settings)}
    changes: dict[str, Any] = {}
    for pair in pairs:
        name, given, text = pair.partition("=")
        if name not in kinds:
            raise VrcnnError(f"unknown setting {name!r}; there are {', '.join(kinds)}")
        if not given:
            raise VrcnnError(f"the setting {name} has no value; give {name}=VALUE")
        kind = str(getattr(kinds[name], "__name__", kinds[name]))
        try:
            if kind == "str":
                changes[name] = text
            elif kind == "bool":
                changes[name] = {"true": True, "false": False}[text.lower()]
            elif kind == "int":
                changes[name] = int(text)
            else:
                changes[name] = None if text == "none" and type(None) in get_args(kinds[name]) else float(text)
                if changes[name] is not None and not math.isfinite(changes[name]):
                    raise ValueError
        except (ValueError, KeyError):
            raise VrcnnError(f"{text!r} is not a value for {name} ({kind})") from None
    return replace(settings, **changes)


def need_torch(threads: int | None = None) -> None:
    """Raise VrcnnError unless torch is installed; set its threads."""
    process.leave_at_once(True)
    try:
        require("training", "train")
        import torch
    finally:
        process.leave_at_once(False)
    if threads is not None:
        torch.set_num_threads(threads)
