"""Runs that can be interrupted and go on exactly where they stood: signals, and checkpoints that are written whole."""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal

import torch
from msgspec import Meta, Struct

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import one_line, write_bytes
from vrcnn_int.inputs import open_archive
from vrcnn_int.io.documents import DocumentError, checked
from vrcnn_int.training.stepping import Stepper


@contextmanager
def interruptible() -> Iterator[list[bool]]:
    """SIGINT and SIGTERM set the flag in the list instead of stopping in the middle of a step; a second one stops there."""
    flag = [False]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if flag[0]:
            raise KeyboardInterrupt
        flag[0] = True

    old = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) is not signal.SIG_IGN}
    try:
        yield flag
    finally:
        for s, handler in old.items():
            signal.signal(s, handler)


class RunState(Struct):
    """What a checkpoint of `train` holds; tensors fit the run or not (`fitting`)."""

    run: dict[str, Any]
    stage: Literal["float", "weights", "bounds"]
    step: Annotated[int, Meta(ge=0)]
    seconds: Annotated[float, Meta(ge=0)]
    log: str
    team: dict[str, Any]
    bounds: list[list[float]]
    plans: list[dict[str, Any] | None]
    optimizers: list[Any]
    averages: list[Any]
    mean_loss: Any


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a torch checkpoint whole or not at all."""
    buffer = BytesIO()  # torch's own error of a full disk is a traceback
    torch.save(state, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, device: str, kind: type[Struct]) -> dict[str, Any] | None:
    """The checkpoint, None if there is none; VrcnnError if it is damaged or something else than ``kind`` says."""
    if not path.exists():
        return None
    try:
        with open_archive(path) as file:
            state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    except VrcnnError:
        raise
    except Exception as error:
        raise VrcnnError(f"{path} is damaged ({type(error).__name__}); delete it to start this run again") from None
    try:
        checked(state if isinstance(state, dict) else None, kind, str(path))
    except DocumentError as error:
        raise VrcnnError(f"{error}: no checkpoint of this version; delete it to start this run again") from None
    return state


def refuse_diverged(loss: float, stage: str, step: int, path: Path) -> None:
    """Raise VrcnnError for a loss that is no number any more. path: of the checkpoint, which is from before if there is one."""
    if not math.isfinite(loss):
        before = f"; {path} is from before" if path.exists() else ""
        raise VrcnnError(f"training has diverged: the loss is {loss} at step {step} of stage {stage}; take a lower rate{before}")


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Around what takes a checkpoint's tensors: raise VrcnnError where they are not those of this run."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError) as error:
        raise VrcnnError(f"{path} does not fit this run ({one_line(error)[:120]}); delete it to start the run again") from None


def snapshot(stepper: Stepper) -> dict[str, Any]:
    """Everything, beside the step's number, that a run needs to go on exactly where it stood."""
    team = stepper.team
    return {
        "team": team.state_dict(),
        "bounds": [[float(activation.bound) for activation in network.activations] for network in team],  # type: ignore[arg-type]
        "plans": [network.plan.to_json() if network.plan else None for network in team],
        "optimizers": [optimizer.state_dict() for optimizer in stepper.optimizers],
        "averages": stepper.averages.values if stepper.averages.decay else [],
        "mean_loss": stepper.mean_loss,
    }
