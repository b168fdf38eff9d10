"""Methods side by side: the same data, steps and seed for each, and what came out. Resumable; one folder a network."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.io import pairs
from vrcnn_int.io.pairs import PairFile
from vrcnn_int.network import FloatNetwork, load_float_networks
from vrcnn_int.requant import QuantizationError
from vrcnn_int.research import measure
from vrcnn_int.research.comparison import read_result
from vrcnn_int.research.fine_tune import Progress, fine_tune
from vrcnn_int.research.quantizers.affine import Affine
from vrcnn_int.research.quantizers.base import Quantizer
from vrcnn_int.research.quantizers.brelu import Fixed, Geometric, NSigma
from vrcnn_int.research.quantizers.fq_conv import FQConv, Noise
from vrcnn_int.research.quantizers.tqt import TQT
from vrcnn_int.training.loop import train
from vrcnn_int.training.machine import hardware
from vrcnn_int.training.module import module_from
from vrcnn_int.training.runs import read_log
from vrcnn_int.training.settings import TrainSettings
from vrcnn_int.training.team import Team, psnr_gain
from vrcnn_int.version import __version__

Row = dict[str, Any]

METHODS: dict[str, Callable[[], Quantizer]] = {
    "brelu 8/7": Geometric,
    "brelu 8/8": lambda: Geometric(8, 8),
    "brelu 4/7": lambda: Geometric(4, 7),
    "n-sigma 8/7": NSigma,
    "n-sigma 8/8": lambda: NSigma(8, 8),
    "n-sigma 8/6": lambda: NSigma(8, 6),
    "n-sigma 8/5": lambda: NSigma(8, 5),
    "n-sigma 8/4": lambda: NSigma(8, 4),
    "n-sigma 4/7": lambda: NSigma(4, 7),
    "relu6 8/7": Fixed,
    "affine 8/8": Affine,
    "affine 8/8 bn": lambda: Affine(batch_norm=True),
    "affine 8/7": lambda: Affine(8, 7, symmetric=True),
    "affine 4/7": lambda: Affine(4, 7, symmetric=True),
    "tqt 8/8": lambda: TQT(8, 8),
    "tqt 8/7": lambda: TQT(8, 7),
    "tqt 4/7": lambda: TQT(4, 7),
    "fq-conv 8/8": lambda: FQConv(8, 8),
    "fq-conv 8/7": lambda: FQConv(8, 7),
    "fq-conv 4/7": lambda: FQConv(4, 7),
    "fq-conv 2/7": lambda: FQConv(2, 7),
    "fq-conv 2/7 noise": lambda: FQConv(2, 7, Noise(0.1, 0.1, 0.1)),
}
"""By name: method, bits of weights (between first and last layer) / of activations. affine 8/8 is the paper's own, with zero points."""

WRITTEN = ("checkpoint.pt", "log.jsonl", "model.vrcnn", "result.json")
"""In the folder of a method."""

FLOATS = {"float": "relu", "float brelu": "geometric"}
"""Networks before quantization: name -> how their bounds are chosen (TrainSettings.bound_rule)."""


def float_network(training: list[Path], validation: list[Path], folder: Path, settings: TrainSettings, progress: Progress) -> FloatNetwork:
    """The float network of a bound rule, trained if the folder does not hold it; VrcnnError if it holds that of other settings."""
    path = folder / "float.npz"
    if not path.exists():
        train(training, validation, folder, settings, progress, stages=("float",))
    (network,), _ = load_float_networks(path)
    data = [pairs.read(file).md5 for file in training]
    if network.provenance["settings"] != asdict(settings) or network.provenance["training"] != data:
        raise VrcnnError(f"{path} was trained with other settings or pair files; choose another --out or delete it")
    return network


def seconds_of(folder: Path) -> float:
    """Seconds that a training folder's log ends with."""
    return max((entry["seconds"] for entry in read_log(folder)), default=0.0)


def files_by_qp(paths: Sequence[Path]) -> dict[int, list[tuple[Path, PairFile]]]:
    """Pair files by QP."""
    found: dict[int, list[tuple[Path, PairFile]]] = {}
    for path in paths:
        file = pairs.read(path)
        found.setdefault(file.qp, []).append((path, file))
    return dict(sorted(found.items()))


def run(
    training: Sequence[Path],
    validation: Sequence[Path],
    out: Path,
    methods: Sequence[str],
    seeds: Sequence[int],
    settings: TrainSettings,
    progress: Callable[[str], Progress] = lambda _: lambda *_: None,
) -> list[Row]:
    """Train and measure every method for every QP of the training files and every seed; what is finished in ``out`` is kept.

    Writes out/qNN/seedN/METHOD/: model.vrcnn, result.json; out/compare.json: all rows and provenance. Raises VrcnnError.
    """
    unknown = [name for name in methods if name not in METHODS and name not in FLOATS]
    if unknown:
        raise VrcnnError(f"unknown method {unknown[0]!r}; there are {', '.join([*FLOATS, *METHODS])}")
    if settings.minutes is not None:
        raise VrcnnError("methods are compared at the same number of steps: give float_steps, not minutes")
    files, held_out = files_by_qp(training), files_by_qp(validation)
    if missing := [qp for qp in files if qp not in held_out]:
        raise VrcnnError(f"no validation file of QP {missing[0]}")
    places = [(name, qp, seed, out / f"q{qp}" / f"seed{seed}") for qp in files for seed in seeds for name in dict.fromkeys(methods)]
    written = [folder_of(name, place) / file for name, _, _, place in places for file in WRITTEN]
    check_outputs([*written, out / "compare.json"], [*training, *validation], make_folders=True)
    rows = [one(name, qp, files[qp], held_out[qp], place, replace(settings, seed=seed), progress(name)) for name, qp, seed, place in places]
    origin = {
        "vrcnn_int": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "hardware": hardware(settings.device),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_text(out / "compare.json", json.dumps({"provenance": origin, "rows": rows}, indent=1) + "\n")
    return rows


def folder_of(method: str, place: Path) -> Path:
    """Where a method's files are, in the folder of a QP and seed."""
    return place / method.replace("/", "-").replace(" ", "_")


def one(
    name: str,
    qp: int,
    files: list[tuple[Path, PairFile]],
    held_out: list[tuple[Path, PairFile]],
    folder: Path,
    settings: TrainSettings,
    progress: Progress,
) -> Row:
    """The row of one method, QP and seed, from its result.json or by training it."""
    quantizer = None if name in FLOATS else METHODS[name]()
    rule = quantizer.float_rule if quantizer else FLOATS[name]
    settings = replace(settings, bound_rule=rule)
    place = folder_of(name, folder)
    started_from = {"settings": asdict(settings), "training": [f.md5 for _, f in files], "validation": [f.md5 for _, f in held_out]}
    result = place / "result.json"
    if result.exists():
        row = read_result(result)
        if row["run"] != started_from:
            raise VrcnnError(f"{result} is of other settings or pair files; choose another --out or delete it")
        return row
    source = folder / f"float-{rule}"
    network = float_network([path for path, _ in files], [path for path, _ in held_out], source, settings, progress)
    seconds, steps = seconds_of(source), settings.float_steps
    if rule == "relu":  # its file has the largest activations of some batches as bounds, which it was not trained with
        network = replace(network, bounds=(float("inf"),) * len(network.bounds))
    plain = Team([module_from(network)]).to(settings.device)
    row = {"method": name, "qp": qp, "seed": settings.seed, "network": settings.network, "run": started_from}
    row["parameters"] = measure.parameter_bytes(network) // 4
    row["training_samples"] = sum(plane.size for _, f in files for plane in f.recon)
    row["float"] = {measure.label(f): psnr_gain(plain, [f], settings.device).gain for _, f in held_out}
    row["unfiltered"] = {measure.label(f): psnr_gain(plain, [f], settings.device).before for _, f in held_out}
    if quantizer is None:
        row |= {"gain": row["float"], "bytes": measure.parameter_bytes(network), "integer_only": False, "exact": None, "runs_in": "torch"}
    else:
        try:
            tuned = fine_tune(quantizer, network, [f for _, f in files], [f for _, f in held_out], settings, place, progress)
            integer, reason = quantizer.finish(tuned.network)
        except QuantizationError as error:
            raise VrcnnError(f"{name}, QP {qp}: {error}; leave this method out with --methods") from None
        seconds, steps = seconds + tuned.seconds, steps + tuned.steps
        team = Team([tuned.network]).to(settings.device)
        row |= {
            "gain": {measure.label(f): measure.integer_gain(integer, f).gain for _, f in held_out},
            "fake_quantized": {measure.label(f): psnr_gain(team, [f], settings.device).gain for _, f in held_out},
            "stages": tuned.gains,
            "bytes": measure.parameter_bytes(integer, quantizer.weight_bits),
            "integer_only": measure.integer_only(integer),
            "exact": {"ways": ["products", "int64 sums"], "values": measure.computed_alike(integer, held_out[0][1].recon[0])},
            "runs_in": "oracle" if reason else "C library",
            "reason": reason,
            "model": "model.vrcnn",
        }
        measure.save(integer, place / "model.vrcnn")
    row |= {"steps": steps, "seconds": seconds}
    write_text(result, json.dumps(row, indent=1) + "\n")
    return row
