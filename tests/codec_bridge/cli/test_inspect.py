"""codec-bridge hm inspect shows the side information of either version; the gate of model sets knows identities of both."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from codec_bridge.bitstream.sideinfo import Sideinfo
from codec_bridge.cli import source_tree
from codec_bridge.cli.commands import app
from codec_bridge.codecs import gates
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
    def inspected(path: Path) -> list[Sideinfo | None]:
        assert path == Path("stream.hevc")
        return SIDE

    monkeypatch.setattr(source_tree.given, "inspected", inspected)
    done = CliRunner().invoke(app, [codec, "inspect", "stream.hevc"])
    assert done.exit_code == 0
    assert done.output.startswith(SHOWN)


def test_identities_of_both_versions_are_compared() -> None:
    gates.compare_model(SIDE, "61626364" + "00" * 28)
    for identity in ("61626365", "61626264"):
        with pytest.raises(gates.Inconsistency, match="the encoder filters with model set"):
            gates.compare_model(SIDE, identity + "00" * 28)
