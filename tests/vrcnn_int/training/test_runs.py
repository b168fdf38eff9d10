"""Training folders' logs and records, damaged: one line that names file and key."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vrcnn_int.cli.train import relative
from vrcnn_int.errors import VrcnnError
from vrcnn_int.io import pairs
from vrcnn_int.training.reproduce import read_record
from vrcnn_int.training.runs import logged_losses, read_log
from vrcnn_int.training.settings import TrainSettings

ENTRY = {"stage": "float", "step": 1, "loss": 0.5, "mean_loss": 0.5, "rate": 1e-3, "seconds": 0}
GAIN = {"stage": "float", "step": 2, "validation_psnr": 30.0, "validation_gain": 0.1, "each": [0.1, 0.2], "seconds": 1.5}


def lines(*entries: object) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def test_a_log_comes_back_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(lines(ENTRY, GAIN))
    assert read_log(tmp_path) == [ENTRY, GAIN]
    assert logged_losses(read_log(tmp_path)) == [(1, 0.5)]
    assert read_log(tmp_path / "log.jsonl") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (lines(ENTRY) + '{"stage": "fl', r"log\.jsonl, line 2 is not JSON"),
        (lines(ENTRY, 1), r"log\.jsonl: \[1\]: 1 is not a table"),
        (lines({**ENTRY, "step": -1}), r"log\.jsonl: \[0\]\.step: -1 is not a whole number >= 0"),
        (lines({**ENTRY, "loss": "x"}), r"log\.jsonl: \[0\]\.loss: 'x' is not a number"),
        (lines({**GAIN, "validation_psnr": None}), r"log\.jsonl: \[0\]\.validation_psnr: None is not a number"),
        (lines({"stage": "float", "step": 1}), r"log\.jsonl: \[0\]: seconds is missing"),
        ("[" * 100_000, r"log\.jsonl, line 1 holds more than \d+ lists"),
        ("NaN\n", r"log\.jsonl, line 1 is not JSON"),
    ],
)
def test_damaged_logs(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(VrcnnError, match=f"{words}.*; the training folder is not whole$"):
        read_log(tmp_path)


def test_no_log(tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match=r"there is no .*log\.jsonl; the training folder is not whole"):
        read_log(tmp_path)


@pytest.fixture(scope="module")
def pair_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, plane = tmp_path_factory.mktemp("pairs") / "p.npz", np.zeros((16, 16), np.uint8)
    pairs.write(path, [(plane, plane)], {"qp": 32, "position": "before_deblocking"})
    return path


def record(pair_file: Path, **changes: object) -> dict[str, Any]:
    run = {"settings": asdict(TrainSettings()), "training": [pairs.read(pair_file).md5], "threads": 1, "losses": [[1, 0.5]]}
    return {"networks": [{**run, "qp": 32, **changes}]}


def test_a_record_is_read(tmp_path: Path, pair_file: Path) -> None:
    path = tmp_path / "set.json"
    path.write_text(json.dumps(record(pair_file)))
    found = read_record(path, [pair_file], 1)
    assert (found.threads, found.losses, found.start) == (1, [(1, 0.5)], None)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/settings.json").write_text(json.dumps(record(pair_file)["networks"][0]))
    (tmp_path / "run/log.jsonl").write_text(lines(ENTRY))
    assert read_record(tmp_path / "run", [pair_file], 1).losses == [(1, 0.5)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"networks": 3}, r"set\.json: networks: 3 is not a list"),
        ([], r"set\.json: \[\] is not a table"),
        ({}, r"set\.json: networks is missing"),
        ({"threads": 0}, r"set\.json: networks\[0\]\.threads: 0 is not a whole number >= 1"),
        ({"losses": [[1]]}, r"set\.json: networks\[0\]\.losses\[0\]"),
        ({"losses": [[1, -2]]}, r"set\.json: networks\[0\]\.losses\[0\]\[1\]: -2 is not a number >= 0"),
        ({"settings": {"colour": 1}}, r"set\.json: unknown key settings\.colour"),
        ({"settings": {"batch": "32"}}, r"set\.json: settings\.batch: '32' is not a whole number"),
        ({"training": "x"}, r"set\.json: networks\[0\]\.training: 'x' is not a list"),
        ("[" * 100_000, r"set\.json holds more than"),
    ],
)
def test_damaged_records(tmp_path: Path, pair_file: Path, content: Any, words: str) -> None:
    path, is_part = tmp_path / "set.json", isinstance(content, dict) and content and "networks" not in content
    path.write_text(content if isinstance(content, str) else json.dumps(record(pair_file, **content) if is_part else content))
    with pytest.raises(VrcnnError, match=f"{words}.*is not a record that this version can run again$"):
        read_record(path, [pair_file], 1)
    with pytest.raises(VrcnnError, match=r"there is no .*nothing\.json"):
        read_record(tmp_path / "nothing.json", [pair_file], 1)


def test_losses_of_equal_pictures_are_compared_without_dividing_by_them() -> None:
    assert [relative(0.0, 0.0), relative(0.0, 1.0), relative(2.0, 1.0)] == [0.0, float("inf"), 0.5]
