"""What the C library and a codec say about the networks of a comparison (`vrcnn-int compare`): exactness in every kernel, BD-rate."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from codec_bridge.evaluation import cluster
from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.sources import Pictures
from codec_bridge.evaluation.store import Store
from codec_bridge.filter import Filter, kernels
from codec_bridge.provenance import provenance
from codec_bridge.report.summary import summarise
from codec_bridge.video.catalogue import Sequence as VideoSequence
from vrcnn_int import integer
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_outputs, write_text
from vrcnn_int.integer import ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.io.documents import DocumentError, read_json
from vrcnn_int.research.comparison import RATES, Row, results, spread
from vrcnn_int.text import counted


def write(path: Path, value: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read(path: Path, identity: str) -> dict[str, Any] | None:
    """An earlier result for this model set, or None."""
    try:
        value = read_json(path)
    except (OSError, DocumentError):
        return None
    return value if isinstance(value, dict) and value.get("identity") == identity else None


def check_exactness(folder: Path, row: Row, held_out: Sequence[pairs.PairFile]) -> dict[str, Any] | None:
    """Compare every kernel of the C library with the oracle on the validation pictures of the row's QP; None for other networks.

    The result, written beside the model: kernels, compared samples, and the kernels that differ.
    """
    if row["runs_in"] != "C library":
        return None
    models = ModelSet.load(folder / row["model"])
    pictures = [plane for file in held_out if file.qp == row["qp"] for plane in file.recon]
    if not pictures:
        raise VrcnnError(f"no pair file of QP {row['qp']} to compare on; give it with --validate")
    names = [name for name, supported in kernels() if supported and name != "auto"]
    wanted = {"identity": models.identity, "kernels": names, "pictures": len(pictures)}
    known = read(folder / "exact.json", models.identity)
    if known and all(known.get(key) == value for key, value in wanted.items()):
        return known
    filters = {name: Filter(models, name) for name in names}
    differing: set[str] = set()
    for plane in pictures:
        expected = integer.filter_plane(models.networks[0], plane, 8)
        differing |= {name for name, filter_ in filters.items() if not np.array_equal(filter_.filter_plane(plane, 8, 0), expected)}
    found = {**wanted, "samples": sum(plane.size for plane in pictures), "differing": sorted(differing), "provenance": provenance()}
    write(folder / "exact.json", found)
    return found


def bd_rates(
    folder: Path,
    rows: Sequence[tuple[Path, Row]],
    sequences: Sequence[VideoSequence],
    settings: Settings,
    warn: Callable[[str], None] = lambda _: None,
) -> dict[str, list[float]]:
    """Luma BD-rate (percent) of each method, one a seed: its networks of all QPs as one model set, filtering decoded all-intra pictures.

    Model sets, streams and results are kept in ``folder``. A method whose networks do not all run in the C library has none. What the
    curves warn of (an outlier among the sequences) counts, and goes to ``warn``; raises VrcnnError where there is no figure.
    """
    found: dict[str, list[float]] = {}
    store, pictures = Store(folder / "evaluation"), Pictures()
    for method, seed in sorted({(row["method"], row["seed"]) for _, row in rows}):
        mine = [(place, row) for place, row in rows if (row["method"], row["seed"]) == (method, seed)]
        if any(row["runs_in"] != "C library" for _, row in mine):
            continue
        models = ModelSet(tuple(ModelSet.load(place / row["model"]).networks[0] for place, row in mine))
        path = folder / f"{method.replace('/', '-').replace(' ', '_')}-seed{seed}.vrcnn"
        models.save(path)
        own = replace(settings, variants=("anchor", "integer"), model=path, stream_cache=folder / "streams")
        plan = Plan(tuple(sequences), (own,))
        plan.check()
        plan.check_curves()
        summary = summarise(cluster.evaluate(plan, store, cluster.Place(), pictures=pictures).rows)
        for flag in summary.flags:
            text = f"{method}, seed {seed}: {flag}"
            if flag.severity == "error":
                raise VrcnnError(text)
            warn(text)
        rate = summary.means[0].variants["integer"].bd_rate_y
        if rate is None:
            raise VrcnnError(f"{method}: the curves allow no BD-rate; `codec-bridge bdrate --model {path}` says why")
        found.setdefault(method, []).append(rate)
    return found


def columns(
    folder: Path,
    held_out: Sequence[pairs.PairFile],
    sequences: Sequence[VideoSequence] = (),
    settings: Settings | None = None,
    progress: Callable[[str], None] = lambda _: None,
    warn: Callable[[str], None] = lambda _: None,
) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """The rows of a comparison, and the further columns of its table: exact and, with ``sequences``, BD-rate (``warn``: see bd_rates)."""
    rows = list(results(folder))
    check_outputs([*(place / "exact.json" for place, _ in rows), folder / RATES])
    checked: dict[str, list[dict[str, Any]]] = {}
    for place, row in rows:
        progress(f"{row['method']}, QP {row['qp']}, seed {row['seed']}")
        found = check_exactness(place, row, held_out)
        if found:
            checked.setdefault(row["method"], []).append(found)
    exact = {}
    for method, entries in checked.items():
        differing = sorted({name for entry in entries for name in entry["differing"]})
        samples = sum(entry["samples"] for entry in entries)
        exact[method] = (
            f"NO: {', '.join(differing)}" if differing else f"yes: {counted(len(entries[0]['kernels']), 'kernel')}, {samples} samples"
        )
    more = {"exact": exact}
    if sequences:
        settings = settings or Settings()
        rates = bd_rates(folder, rows, sequences, settings, warn)
        facts = {"sequences": [sequence.name for sequence in sequences], "qps": list(settings.qps), "codec": settings.codec}
        write(folder / RATES, {**facts, "rates": rates, "provenance": provenance()})
        more["BD-rate, %"] = {method: spread(values, 2) for method, values in rates.items()}
    return [row for _, row in rows], more
