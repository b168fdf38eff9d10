"""The results folder and the stream cache own what they made, and nothing else."""

import os
from pathlib import Path

import pytest

from codec_bridge.codecs.base import Coded
from codec_bridge.evaluation.store import FOLDERS, LOCK, Store
from codec_bridge.evaluation.stream_cache import StreamCache
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import TEMPORARY, replacing


def test_only_what_a_killed_run_left_is_deleted(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        for other in (".keep", ".hidden.json", "mine"):
            (tmp_path / name / other).touch()
        (tmp_path / name / (TEMPORARY + "0123.json")).touch()
    with store.locked():
        assert all(sorted(os.listdir(tmp_path / name)) == [".hidden.json", ".keep", "mine"] for name in FOLDERS)


def test_unfinished_files_are_recognised(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.json") as temporary:
        assert temporary.name.startswith(TEMPORARY)


@pytest.mark.parametrize("name", [*FOLDERS, LOCK])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    if name == LOCK:
        outside.write_text("precious")
    else:
        outside.mkdir()
        (outside / (TEMPORARY + "other's")).write_text("precious")
    results = tmp_path / "results"
    results.mkdir()
    (results / name).symlink_to(outside)
    with pytest.raises(VrcnnError, match=f"{name} is a symbolic link"), Store(results).locked():
        pass
    assert next(iter([outside] if name == LOCK else outside.iterdir())).read_text() == "precious"


def test_a_link_to_a_result_is_not_followed(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    (tmp_path / "precious").write_text("1")
    with store.locked():
        (store.folder / "jobs" / "key.json").symlink_to(tmp_path / "precious")
        with pytest.raises(VrcnnError, match="symbolic link"):
            store.own("jobs/key.json")


def test_a_lock_of_another_kind_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / LOCK)
    with pytest.raises(VrcnnError, match="remove it"), Store(tmp_path).locked():
        pass


def test_looking_for_results_makes_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "results").load("0" * 64) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", FOLDERS[:3])
def test_a_folder_that_cannot_be_written_is_found_at_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(VrcnnError, match=f"cannot write into {tmp_path / name}: File exists"), Store(tmp_path).locked():
        pass


def test_a_damaged_stream_cache_is_found_at_the_start(tmp_path: Path) -> None:
    cache = StreamCache(tmp_path / "streams")
    cache.check()
    keys = [letter * 64 for letter in "abc"]
    for key in keys:
        cache.save(key, Coded(b"stream", 48, 1, "encoder", "command", 1.0))
    (cache.folder / "notes.json").write_text("mine")
    cache.check()
    (cache.folder / f"{keys[1]}.hevc").write_bytes(b"strexm")
    (cache.folder / f"{keys[2]}.json").write_text("{")
    with pytest.raises(VrcnnError, match=f"{keys[1]}.json or the stream beside it is damaged .*, and 1 more are"):
        cache.check()
    (tmp_path / "precious").write_bytes(b"1")
    (cache.folder / ("d" * 64 + ".hevc")).symlink_to(tmp_path / "precious")
    with pytest.raises(VrcnnError, match="symbolic link"):
        cache.save("d" * 64, Coded(b"stream", 48, 1, "encoder", "command", 1.0))
    assert (tmp_path / "precious").read_bytes() == b"1"
