"""Files are read within limits, and pipes where that can be."""

import json
import lzma
import os
import resource
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from codec_bridge.filter import Filter
from vrcnn_int.errors import VrcnnError
from vrcnn_int.inputs import open_archive, open_to_read, read_bytes
from vrcnn_int.integer import ModelSet
from vrcnn_int.io import pairs
from vrcnn_int.models import builtin_path
from vrcnn_int.network import load_float_networks
from vrcnn_int.research.extended import ExtendedNetwork
from vrcnn_int.training.checkpoint import RunState, load_checkpoint


def test_a_pipe_that_nobody_writes_into_is_no_reason_to_wait(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(OSError, match="nobody writes"), open_to_read(pipe):
        pass
    written, file = os.pipe()
    os.write(file, b"said")
    os.close(file)
    with open_to_read(f"/dev/fd/{written}") as read:
        assert read.read() == b"said"
    os.close(written)


def test_no_more_is_read_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_bytes(path, 100) == bytes(100)
    for size, said in ((99, "larger than 99 bytes"), (0, "larger than 0 bytes")):
        with pytest.raises(OSError, match=said):
            read_bytes(path, size)
    with pytest.raises(OSError, match="larger than 2 MiB"):
        read_bytes("/dev/zero", 2 << 20)
    with pytest.raises(OSError, match="null"):
        read_bytes("a\0b", 1)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "none", 1)


def checkpoint(path: Path) -> object:
    return load_checkpoint(path, "cpu", RunState)


MODELS: list[Callable[[Path], object]] = [ModelSet.load, ExtendedNetwork.load, Filter]
ARCHIVES: list[Callable[[Path], object]] = [load_float_networks, pairs.read, checkpoint]


@pytest.fixture(scope="module")
def little_memory() -> Iterator[None]:
    """Whatever reads without a limit fails, instead of taking the machine's memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("read", MODELS + ARCHIVES)
def test_what_never_ends(read: Callable[[Path], object], tmp_path: Path, little_memory: None) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 20 << 30)
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "sparse"):
        with pytest.raises(VrcnnError, match=str(path)) as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert "allocate" not in str(caught.value)


@pytest.mark.parametrize("read", [ModelSet.load, Filter])
def test_model_sets_from_pipes(read: Callable[[Path], ModelSet | Filter]) -> None:
    """As a shell gives them: <(program)."""
    end, written = os.pipe()

    def write() -> None:
        with os.fdopen(written, "wb") as file:
            file.write(builtin_path().read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    assert read(Path(f"/dev/fd/{end}")).identity == Filter().identity
    writer.join()
    os.close(end)


@pytest.mark.parametrize("read", ARCHIVES)
def test_archives_from_pipes_are_refused_by_name(read: Callable[[Path], object]) -> None:
    end, written = os.pipe()
    with pytest.raises(VrcnnError, match=f"cannot read /dev/fd/{end}: it is no file but a pipe or device; copy"):
        read(Path(f"/dev/fd/{end}"))
    os.close(end)
    os.close(written)


@pytest.mark.parametrize("read", ARCHIVES)
def test_archives_that_would_become_too_large(read: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("head.npy", "w") as file:
        for _ in range(320):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(VrcnnError, match="it would become 335544320, which no such file does"):
        read(path)
    with pytest.raises(VrcnnError, match="would become"), open_archive(path, (320 << 20) - 1):
        pass
    with open_archive(path, 320 << 20) as file:
        assert file.read(2) == b"PK"


def test_packed_pictures_that_would_become_too_large(tmp_path: Path) -> None:
    side = 8192
    grey = lzma.compress(bytes(side * side), lzma.FORMAT_RAW, filters=pairs.FILTERS)
    meta = {"format": pairs.PACKED[0], "qp": 32, "position": "after_sao"}
    path, shapes, lengths = tmp_path / "p.npz", np.full((4, 2), side, np.int32), np.full((4, 2), len(grey), np.int64)
    np.savez(path, planes=np.frombuffer(grey * 8, np.uint8), lengths=lengths, shapes=shapes, meta=np.array(json.dumps(meta)))
    with pytest.raises(VrcnnError, match="bytes do not hold pictures of 536870912 samples"):
        pairs.read(path)
