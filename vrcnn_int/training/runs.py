"""What training folders and files of float networks hold, read without torch."""

from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.documents import DocumentError, checked, read_json_lines
from vrcnn_int.network import KINDS, FloatNetwork, load_float_networks

Step = Annotated[int, Meta(ge=0)]

MOST_THREADS = 1024
"""Of torch: many more than it can start end the process without a word."""


class LogEntry(TypedDict):
    """A line of a training folder's log.jsonl: of a step, or of a validation. seconds: since the run began."""

    stage: str
    step: Step
    seconds: Annotated[float, Meta(ge=0)]
    loss: NotRequired[Annotated[float, Meta(ge=0)]]
    validation_psnr: NotRequired[float]
    validation_gain: NotRequired[float]
    chroma: NotRequired[list[float]]


def load_start(path: Path) -> FloatNetwork:
    """The network to start from: the only one of a file."""
    networks, _ = load_float_networks(path, KINDS)
    if len(networks) != 1:
        raise VrcnnError(f"{path} holds {len(networks)} networks, not one to start from")
    return networks[0]


def find_start(paths: list[Path], identity: str) -> FloatNetwork:
    """The network with an identity, in the first file that has it."""
    for path in paths:
        for network in load_float_networks(path, KINDS)[0] if path.exists() else ():
            if network.identity == identity:
                return network
    names = " and ".join(path.name for path in paths)
    missing = "".join(f"; there is no {path} (wheels leave it out, source trees have it)" for path in paths if not path.exists())
    raise VrcnnError(f"the network that this one began with ({identity[:16]}) is not in {names}; give its file with --start{missing}")


def read_run(path: Path) -> tuple[list[FloatNetwork], list[FloatNetwork]]:
    """(networks to quantize, float networks to ship beside them) of a training folder or a float network file of one run."""
    if path.is_dir():
        tuned, plain = path / "tuned.npz", path / "float.npz"
        if not tuned.is_file():
            raise VrcnnError(f"{path} has no tuned.npz: its training is not finished; run the same `vrcnn-int train` again")
    else:
        tuned = plain = path
    networks = [load_float_networks(file, KINDS)[0] for file in (tuned, plain)]
    passing = ("stage", "torch", "threads", "hardware")  # a run may go on elsewhere
    records = [{key: value for key, value in network.provenance.items() if key not in passing} for some in networks for network in some]
    if any(record != records[0] for record in records):
        if tuned == plain:
            raise VrcnnError(f"{path} holds networks of several runs; give training folders or files of one run")
        raise VrcnnError(f"{path}: float.npz and tuned.npz come from different runs; train again into another folder")
    if any(network.tuning for network in networks[1]):
        raise VrcnnError(f"{path} is a tuned network; give its training folder, which also holds the float network to ship beside it")
    return networks[0], networks[1]


def read_log(run: Path) -> list[LogEntry]:
    """The log entries of a training folder; nothing for a file. Raises VrcnnError."""
    if not run.is_dir():
        return []
    path = run / "log.jsonl"
    try:
        entries: list[LogEntry] = read_json_lines(path)
        checked(entries, list[LogEntry], str(path))
    except FileNotFoundError:
        raise VrcnnError(f"there is no {path}; the training folder is not whole") from None
    except DocumentError as error:
        raise VrcnnError(f"{error}; the training folder is not whole") from None
    return entries


def logged_losses(log: list[LogEntry]) -> list[tuple[int, float]]:
    """(step, loss) of stage 1: all that were logged in the first 1000 steps, about a hundred later ones."""
    losses = [(entry["step"], entry["loss"]) for entry in log if entry["stage"] == "float" and "loss" in entry]
    later = [loss for loss in losses if loss[0] > 1000]
    return [loss for loss in losses if loss[0] <= 1000] + later[:: max(1, len(later) // 100)]


def records(paths: list[Path], networks: list[list[FloatNetwork]]) -> list[dict[str, Any]]:
    """What a model set's record says of the networks of each training folder or file: provenance, validations and losses."""
    entries = []
    for path, some in zip(paths, networks, strict=True):
        log = read_log(path)
        validation = [entry for entry in log if "validation_gain" in entry]
        entries += [{**network.provenance, "validation": validation, "losses": logged_losses(log)} for network in some]
    return entries
