"""Mutated streams: every kind of mutant, and what is a finding. The decoders themselves are tried by the tool, not here."""

import sys
from pathlib import Path

import pytest

from codec_bridge.bitstream import nal, slices
from codec_bridge.bitstream.announcing import announce
from codec_bridge.bitstream.post_filter import PostFilter
from tests.support import streams
from tests.tools import mutations
from tests.tools.mutations import Decoder, Ran, Verdict, dec265, hm_decoder, judge, mutant

DEC265, HM = dec265(Path("dec265")), hm_decoder(Path("TAppDecoder"))
RIGHT = "POC    0 TId: 0 ( I-SLICE, QP 38 ) [DT  0.011] [L0 ] [L1 ] [MD5:00,(OK)]\n"
OURS = """\
==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000011 at pc 0x55 bp 0x7f sp 0x7f
    #0 0x7f8 in __interceptor_memcpy ../../src/libsanitizer/sanitizer_common/sanitizer_common_interceptors.inc:827
    #1 0x55a in vrcnn_decoder::keep(de265_image&) /tmp/libde265/vrcnn_filter.cc:170
    #2 0x55b in decoder_context::decode_some(bool*) /tmp/libde265/decctx.cc:820
"""
THEIRS = OURS.replace("vrcnn_decoder::keep(de265_image&) /tmp/libde265/vrcnn_filter.cc:170", "read_pps(bitreader*) /tmp/libde265/pps.cc:3")


@pytest.fixture(scope="module")
def stream() -> bytes:
    return streams.carrying(streams.hevc(count=4), b"VN\2abc\x52\0", b"\x52\0")


def test_mutants_are_of_four_kinds_and_repeat_themselves(stream: bytes) -> None:
    before = nal.split(stream)
    for number in range(200):
        found = mutant(stream, 7, number)
        assert found != stream
        assert found == mutant(stream, 7, number)
        kind = mutations.KINDS[number % 4]
        parts = nal.split(found)
        same = sum(a.data == b.data for a, b in zip(before, parts, strict=False))
        if kind in ("extension", "flipped"):
            assert same >= len(before) - 1
        if kind == "extension":
            extensions = [[one.extension for one in slices.segments(data)] for data in (stream, found)]
            assert sum(a != b for a, b in zip(*extensions, strict=True)) == 1
        if kind == "swapped":
            assert {part.data for part in parts} <= {part.data for part in before}
        if kind == "truncated":
            assert sum(len(part.data) for part in parts) < sum(len(part.data) for part in before)
    assert mutant(stream, 7, 0) != mutant(stream, 8, 0)


def test_mutated_messages_repeat_themselves() -> None:
    named = announce(streams.hevc("qp=32:keyint=2", count=4), PostFilter("0123456789abcdef", "joint", "fast"), joint=True)[0]
    slices_before = [part.data for part in nal.split(named) if part.is_slice]
    for number in range(100):
        found = mutations.with_mutated_message(named, 7, number)
        assert found == mutations.with_mutated_message(named, 7, number)
        assert [part.data for part in nal.split(found) if part.is_slice] == slices_before
    assert mutations.with_mutated_message(named, 7, 0) != mutations.with_mutated_message(named, 8, 0)


def judged(decoder: Decoder, code: int | None, text: str, shown: bytes, with_hash: int = 3) -> Verdict:
    """Of pictures with a letter each; the original's are a, b, c."""
    return judge(decoder, Ran(code, text, tuple(bytes([one]) for one in shown)), [b"a", b"b", b"c"], with_hash)


@pytest.mark.parametrize(
    ("decoder", "code", "text", "shown", "with_hash", "outcome", "findings"),
    [
        (DEC265, 0, "", b"abc", 3, "exit code 0", 0),
        (DEC265, 0, "", b"ac", 3, "exit code 0", 0),
        (DEC265, 0, "", b"axc", 3, "exit code 0", 1),
        (DEC265, 10, "", b"axc", 3, "exit code not 0", 0),
        (DEC265, 0, "", b"abx", 2, "exit code 0, wrong pictures among those without a hash", 0),
        (DEC265, 0, "", b"axx", 2, "exit code 0", 1),
        (DEC265, 10, "VRCNN: POC 1: the side information is damaged\n", b"a", 3, "refused by the filter", 0),
        (DEC265, 10, "VRCNN: 2 pictures filtered in 0.1 s\n", b"a", 3, "exit code not 0", 0),
        (DEC265, None, "", b"", 3, "not ended in time", 0),
        (HM, 0, 2 * RIGHT, b"abx", 3, "exit code 0, wrong pictures among those without a hash", 0),
        (HM, 0, 3 * RIGHT, b"abx", 3, "exit code 0", 1),
        (HM, 0, 3 * RIGHT.replace("OK", "unk"), b"xyz", 3, "exit code 0, wrong pictures among those without a hash", 0),
        (HM, -6, "TDecSlice.cpp:255: Assertion `binVal' failed.\n", b"", 3, "signal 6", 0),
        (HM, -6, "VrcnnHmFilter.cpp:255: Assertion `binVal' failed.\n", b"", 3, "signal 6", 1),
        (DEC265, 1, OURS, b"a", 3, "exit code not 0", 1),
        (
            DEC265,
            1,
            OURS.replace("vrcnn_decoder::keep(de265_image&) /tmp/libde265/vrcnn_filter.cc", "read /w/c/src/map.c"),
            b"a",
            3,
            "exit code not 0",
            1,
        ),
        (DEC265, 1, "/w/c/src/x86/conv_avx2.c:9:1: runtime error: shift exponent\n", b"a", 3, "exit code not 0", 1),
        (DEC265, 1, THEIRS, b"a", 3, "exit code not 0", 0),
        (DEC265, 0, "slice.cc:9:1: runtime error: shift exponent\n", b"abc", 3, "exit code 0", 0),
        (DEC265, 0, "/w/c/vrcnn_filter.cc:9:1: runtime error: shift exponent\n", b"abc", 3, "exit code 0", 1),
    ],
)
def test_what_is_a_finding(
    decoder: Decoder, code: int | None, text: str, shown: bytes, with_hash: int, outcome: str, findings: int
) -> None:
    found = judged(decoder, code, text, shown, with_hash)
    assert (found.outcome, len(found.findings)) == (outcome, findings)


def test_what_goes_wrong_in_a_decoder_s_own_code_is_counted() -> None:
    assert judged(DEC265, 1, THEIRS, b"").theirs == [
        "ERROR: AddressSanitizer: heap-buffer-overflow on address  at pc  bp  sp  read_pps(bitreader*) pps.cc:3"
    ]
    assert judged(DEC265, None, "", b"").theirs == ["not ended in time"]
    assert judged(HM, -11, "", b"").theirs == ["signal 11: without a word"]


def test_pictures_with_a_hash(stream: bytes) -> None:
    assert mutations.hashed(stream) == 4
    assert mutations.hashed(streams.without(stream, 0, lambda part: part.type == nal.SUFFIX_SEI)) == 3


def test_a_decoder_is_run(tmp_path: Path) -> None:
    script = "import sys\nopen(sys.argv[2], 'wb').write(open(sys.argv[1], 'rb').read() + bytes(7))\nprint('out')\nsys.exit(3)"
    ran = Decoder("stub", (sys.executable, "-c", script, "{input}", "{output}"), None).run(bytes(2 * mutations._SIZE), tmp_path)
    assert (ran.code, ran.text, len(ran.shown), len(set(ran.shown))) == (3, "out\n", 2, 1)


def test_mutated_side_information_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "replay"
    program.write_text(
        '#!/bin/sh\n[ -z "$BROKEN" ] || { echo "x.c:1:2: runtime error: $BROKEN" >&2; exit 1; }\necho "$# inputs replayed"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", ["mutations", "--extensions", str(program), "--count", "600", "--seed", "3"])
    assert mutations.main() == 0
    assert capsys.readouterr().out == "600 mutated extensions, seed 3: no findings\n"
    monkeypatch.setenv("BROKEN", "shift")
    assert mutations.main() == 1
    assert "FINDING: among mutants 0 to 499, seed 3:\nx.c:1:2: runtime error: shift\n" in capsys.readouterr().out
