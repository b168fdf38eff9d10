"""codec-bridge hm inspect shows the side information of either version; the gate of model sets knows identities of both."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.cli import source_tree
from codec_bridge.cli.commands import app
from codec_bridge.codecs import gates
from codec_bridge.video.in_loop import TAKEN_OUT
from tests.support import streams
from vrcnn_int.errors import VrcnnError
from vrcnn_int.network import POSITIONS

UNITS = np.array([[1, 0, 2]], np.uint8)
WEIGHTS = ((8,), (3, -2)), ((4,), (10, 7))
SIDE = [
    None,
    Sideinfo(b"abcd", "off"),
    Sideinfo(None, "map", POSITIONS[0], (3, 4), 7, 64, UNITS),
    Sideinfo(b"abc", "off", version=2),
    Sideinfo(None, "all", POSITIONS[1], (3,), version=2, luma_weights=WEIGHTS[0][:1], chroma_weights=((8,),)),
    Sideinfo(None, "map", POSITIONS[0], (3, 4), 0, 64, UNITS, False, 2, "map", True, *WEIGHTS, 64, UNITS),
    Sideinfo(None, "off", POSITIONS[0], (3, 4), 0, 0, None, False, 2, "map", False, *WEIGHTS, 128, UNITS[:, :2]),
]
SHOWN = """\
picture 0: none
picture 1: off (model set 61626364)
picture 2: map, before_deblocking, networks 3,4, scale 7, units of 64: 1 without network, 1, 1 with each
picture 3: luma off, chroma off (model set 616263)
picture 4: luma all, chroma off, after_sao, networks 3, weights 8/-
picture 5: luma map, chroma map, before_deblocking, networks 3,4, weights 8/4 3,-2/10,7, units of 64: 1 without network, 1, 1 with each, \
chroma as luma
picture 6: luma off, chroma map, before_deblocking, networks 3,4, weights -/4 -/10,7, units of 128: 1 without network, 1, 0 with each
"""


@pytest.mark.parametrize("codec", ["hm", "x265", "libde265"])
def test_every_kind_of_side_information_is_shown(monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    def inspected(path: Path) -> tuple[None, list[Sideinfo | None]]:
        assert path == Path("stream.hevc")
        return None, SIDE

    monkeypatch.setattr(source_tree.given, "inspected", inspected)
    done = CliRunner().invoke(app, [codec, "inspect", "stream.hevc"])
    assert done.exit_code == 0
    assert done.output.startswith(SHOWN)


def shown(path: Path, stream: bytes) -> list[str]:
    done = CliRunner().invoke(app, ["x265", "inspect", str(streams.write(path, stream))])
    assert done.exit_code == 0
    return done.output.splitlines()


def test_what_a_stream_says_that_it_needs_is_shown(tmp_path: Path) -> None:
    plain, path = streams.hevc(count=2), tmp_path / "a.hevc"
    filtered = streams.carrying(plain, b"VN\2" + bytes.fromhex(streams.JOINT_INTRA[:6]), b"")
    assert shown(path, filtered)[0].startswith("picture 0")
    first, *_, last = shown(path, streams.announcing(filtered))
    assert first == f"stream: needs the model set {streams.JOINT_INTRA} (joint_intra), for side information of version 2"
    assert last.startswith("note: what is built from this source tree")
    first, *_, other, _ = shown(path, streams.announcing(filtered, "0123456789abcdef"))
    assert first == "stream: needs the model set 0123456789abcdef, which is not built in, for side information of version 2"
    assert other == f"note: its pictures are of another model set: {streams.JOINT_INTRA[:6]}"
    *_, missing, _ = shown(path, streams.announcing(plain))
    assert missing == f"note: {TAKEN_OUT}"


def test_what_is_missing_is_named_before_anything_is_decoded(tmp_path: Path) -> None:
    plain, path = streams.hevc(count=2), tmp_path / "a.hevc"
    filtered = streams.carrying(plain, b"VN\2\x01\x23\x45", b"")
    (tmp_path / "bin").mkdir()
    for name in ("x265", "x265-10bit", "dec265"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho the decoder ran >&2; exit 1\n")
        (tmp_path / "bin" / name).chmod(0o755)
    for stream, said in (
        (streams.announcing(plain), f"{path}: {TAKEN_OUT}"),
        (
            streams.announcing(filtered, "0123456789abcdef"),
            "0123456789abcdef, which is not built in: give its .vrcnn file",
        ),
        (streams.announcing(filtered), "the decoder ran"),
        (filtered, "the decoder ran"),
    ):
        command = ["check", "--codec", "x265-loop", "--codecs", str(tmp_path / "bin"), str(streams.write(path, stream))]
        done = CliRunner().invoke(app, command)
        assert isinstance(done.exception, VrcnnError)
        assert said in str(done.exception)
    for stream, said in (
        (streams.announcing(filtered, "0123456789abcdef"), "; it needs the model set 0123456789abcdef, which is not built in"),
        (streams.announcing(filtered), f"; it needs the model set {streams.JOINT_INTRA} (joint_intra)"),
        (filtered, "with the filter inside (codec-bridge hm)"),
        (streams.announcing(plain), "picture 0: the stream says that it needs the filter"),
    ):
        done = CliRunner().invoke(app, ["filter", str(streams.write(path, stream)), str(tmp_path / "o.yuv"), "--qp", "32"])
        assert isinstance(done.exception, VrcnnError)
        assert said in str(done.exception)
        assert not (tmp_path / "o.yuv").exists()


def test_identities_of_both_versions_are_compared() -> None:
    gates.compare_model(SIDE, "61626364" + "00" * 28)
    for identity in ("61626365", "61626264"):
        with pytest.raises(gates.Inconsistency, match="the encoder filters with model set"):
            gates.compare_model(SIDE, identity + "00" * 28)
