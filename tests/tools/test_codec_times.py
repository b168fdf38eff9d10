"""Times of codecs: what a row says, and how many networks a stream's samples go through. Programs are tried by the tool, not here."""

import sys

import pytest

from tests.support import streams
from tests.tools import codec_times
from tests.tools.codec_times import Times
from vrcnn_int.errors import VrcnnError


def test_a_row() -> None:
    times = Times()
    times.encoder.update({"anchor": [2.0, 1.0, 9.0], "VRCNN": [3.0], "joint fast": [2.5]})
    times.decoder.update({"anchor": [0.1], "VRCNN": [1.1, 0.6, 1.1], "joint fast": [0.3]})
    times.passes.update({"anchor": 0, "VRCNN": 1, "joint fast": 1.25})
    assert codec_times.row("clip", 2, "avx2", times) == (
        "| clip, 2 | avx2 | 1e+03 | 1.5e+03 (1.50) | 1.25e+03 (1.25) | 50 | 550 (11.00) | 150 (3.00) | 1.00, 1.25 | 5.00 |"
    )
    assert codec_times.HEAD.splitlines()[1].count("|") == codec_times.row("clip", 2, "avx2", times).count("|")


def test_passes() -> None:
    """Of two pictures: the first with one network for all planes, the second without any; or with two networks."""
    plain = streams.hevc(count=2, width=128, height=64)
    assert codec_times.passes(plain) == 0
    # luma and chroma all, before deblocking, network 2, one head, its own weights.
    both = streams.carrying(plain, b"VN\2abc\x51\x10"[:6] + bits("01 01 0 00010 0 1"), b"")
    assert codec_times.passes(both) == pytest.approx(1)
    # chroma by a map of two networks in two units: the first as luma, the second another one.
    mixed = bits("01 10 0 01 00010 0 1 00011 0 1 00 1 01 10")
    assert codec_times.passes(streams.carrying(plain, b"VN\2abc" + mixed, b"")) == pytest.approx(1.5)


def bits(text: str) -> bytes:
    """Padded with zeros to whole bytes."""
    text = text.replace(" ", "")
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def test_a_program_s_user_time() -> None:
    assert codec_times.user_seconds([sys.executable, "-c", "sum(range(10**6))"]) > 0
    with pytest.raises(VrcnnError, match=r"failed: .*no way"):
        codec_times.user_seconds([sys.executable, "-c", "raise SystemExit('no way')"])
