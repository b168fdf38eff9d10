"""Mutated streams with side information of version 2 in hooked decoders: python -m tests.tools.mutations.

Short streams are coded by x265 (VRCNN_CODECS) and HM (HM_ROOT) with the filter inside, whichever is there, with joint networks. Each is
mutated, one of KINDS after the other, and decoded by the programs that are given, which should be built with AddressSanitizer and
UndefinedBehaviorSanitizer. What is a finding, and ends with exit code 1:

- a report of a sanitizer, or a fatal signal, in a file of the adapters or of the C library;
- a wrong picture shown silently: the program ends with exit code 0, and has shown fewer pictures of the original stream than hashes
  that it calls right (HM says so picture by picture; of libde265 every picture counts that has a hash).

What goes wrong in the decoders' own code is counted by itself. ``--extensions``: mutated side information alone, in the replay program of
the fuzz target (c/build/asan/replay_sideinfo of `make -C c sanitize`). ``--messages``: mutated SEI messages of post-filters, in libde265's
program; there a picture is wrong if it is neither as decoded nor as a network of the set filters it. A mutant is its seed and its number,
so ``--only`` repeats it.
"""

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from codec_bridge.bitstream import nal, post_filter, slices
from codec_bridge.bitstream.announcing import announce
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import read_units
from codec_bridge.bitstream.post_filter import PostFilter
from codec_bridge.codecs.hm import run as hm
from codec_bridge.codecs.x265 import run as x265
from tests.support.hm_runs import moving_clip
from tests.support.hm_streams import escaped, with_extension
from tests.support.streams import join
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

ROOT = Path(__file__).parents[2]
KINDS = ("extension", "truncated", "swapped", "flipped")
PATIENCE = 120
"""Seconds that a program may take: with sanitizers, beside others."""
OURS = re.compile(rf"[Vv]rcnn|VRCNN|\b(?:{'|'.join(path.stem for path in sorted((ROOT / 'c/src').rglob('*.[ch]')))})\.[ch]:\d")
"""What names the adapters, the C library's functions, or one of its files."""
_SIZE = 92 * 140 * 3 // 2


# ---- mutants ----


def mutated_extension(data: bytes, draw: random.Random) -> bytes:
    """Other bytes of side information, at most 256."""
    out = bytearray(data)
    match draw.randrange(6):
        case 0:
            del out[draw.randrange(len(out) + 1) :]
        case 1:
            out += bytes(draw.choice([0, draw.randrange(256)]) for _ in range(draw.choice([1, 2, 9, 250])))
        case 2:
            start = draw.randrange(len(out) + 1)
            out[start:] = draw.randbytes(len(out) - start)
        case 3:
            at = draw.randrange(min(len(out), 9) + 1)
            out[at : at + 1] = draw.randbytes(draw.randint(1, 2))
        case _:
            for _ in range(draw.randint(1, 3) if out else 0):
                out[draw.randrange(len(out))] ^= 1 << draw.randrange(8)
    return bytes(out[:256])


def _extension(stream: bytes, draw: random.Random) -> bytes:
    pictures = slices.pictures(stream)
    at = draw.randrange(len(pictures))
    given = draw.choice(pictures)[0].extension if draw.random() < 0.2 else pictures[at][0].extension
    return with_extension(stream, at, mutated_extension(given, draw))


def _truncated(stream: bytes, draw: random.Random) -> bytes:
    parts = nal.split(stream)
    if draw.random() < 0.3:
        return stream[: draw.randrange(len(stream) // 4, len(stream))]
    at = draw.choice([number for number, part in enumerate(parts) if part.is_slice])
    kept = parts[at].data[: draw.randrange(2, len(parts[at].data))]
    return join([*parts[:at], *([nal.Nal(kept, 0)] if draw.random() < 0.7 else []), *parts[at + 1 :]])


def _swapped(stream: bytes, draw: random.Random) -> bytes:
    parts = nal.split(stream)
    first, second = draw.sample([number for number, part in enumerate(parts) if part.is_slice], 2)
    if draw.random() < 0.3:
        parts.insert(second, parts[first])
    else:
        parts[first], parts[second] = parts[second], parts[first]
    return join(parts)


def _flipped(stream: bytes, draw: random.Random) -> bytes:
    parts = nal.split(stream)
    at = draw.choice([number for number, part in enumerate(parts) if part.is_slice])
    data = bytearray(parts[at].data)
    for _ in range(draw.choice([1, 1, 2, 8])):
        data[draw.randrange(2, len(data))] ^= 1 << draw.randrange(8)
    return join([*parts[:at], nal.Nal(bytes(data), 0), *parts[at + 1 :]])


_WAYS: dict[str, Callable[[bytes, random.Random], bytes]] = dict(zip(KINDS, (_extension, _truncated, _swapped, _flipped), strict=True))


def mutant(stream: bytes, seed: int, number: int) -> bytes:
    """The number-th mutant of a stream; its kind is KINDS[number % 4]. Never the stream itself."""
    draw = random.Random(f"{seed} {number}")
    while (found := _WAYS[KINDS[number % len(KINDS)]](stream, draw)) == stream:
        pass
    return found


def mutated_message(data: bytes, draw: random.Random) -> bytes:
    """Another SEI NAL unit, without emulation prevention bytes."""
    out = bytearray(data)
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(2, max(len(out), 3))
        match draw.randrange(6):
            case 0:
                del out[at:]
            case 1:
                out[at:at] = draw.randbytes(draw.choice([1, 2, 40, 600]))
            case 2:
                del out[at : at + draw.choice([1, 2, 20])]
            case 3:
                out[at : at + 1] = draw.choice([b"\xff", b"\0", b"\x80", b"/", b"1"])
            case _:
                if at < len(out):
                    out[at] ^= 1 << draw.randrange(8)
    return bytes(out)


def with_mutated_message(stream: bytes, seed: int, number: int) -> bytes:
    """The stream with one of the NAL units mutated that name a post-filter, or with it once more, mutated, before any slice."""
    draw = random.Random(f"{seed} {number}")
    parts = nal.split(stream)
    at = draw.choice([at for at, part in enumerate(parts) if list(post_filter.messages([part]))])
    changed = mutated_message(parts[at].data[:2] + parts[at].rbsp, draw)
    new = nal.Nal(changed[:2] + escaped(changed[2:]), 0)
    if draw.random() < 0.2:
        parts.insert(draw.choice([place for place, part in enumerate(parts) if part.is_slice]), new)
    else:
        parts[at] = new
    return join(parts)


# ---- decoders ----


@dataclass(frozen=True)
class Ran:
    """A decoder that ended: code (None: not within its time), what it printed, and the pictures that it showed, by their hashes."""

    code: int | None
    text: str
    shown: tuple[bytes, ...]


@dataclass(frozen=True)
class Decoder:
    """command: of the program with words {input} and {output}. right: how many of its pictures it calls right, by what it printed;
    None: it does not tell, and every picture with a hash counts."""

    name: str
    command: tuple[str, ...]
    right: Callable[[str], int] | None

    def run(self, stream: bytes, folder: Path) -> Ran:
        """Decode."""
        source, output = folder / "s.hevc", folder / "o.yuv"
        source.write_bytes(stream)
        output.unlink(missing_ok=True)
        words = [word.format(input=source, output=output) for word in self.command]
        # HM ends by exit() with all that it holds, and frees with free() what it has from new[].
        more = os.environ.get("ASAN_OPTIONS", "")
        options = {"ASAN_OPTIONS": f"detect_leaks=0:alloc_dealloc_mismatch=0:{more}", "UBSAN_OPTIONS": "print_stacktrace=1"}
        try:
            done = subprocess.run(words, capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, env={**os.environ, **options})
            code, text = done.returncode, (done.stdout + done.stderr).decode(errors="replace")
        except subprocess.TimeoutExpired as error:
            code, text = None, b"".join(part for part in (error.stdout, error.stderr) if part).decode(errors="replace")
        data = output.read_bytes() if output.exists() else b""
        frames = (data[at : at + _SIZE] for at in range(0, len(data) - _SIZE + 1, _SIZE))
        return Ran(code, text, tuple(sha256(frame).digest() for frame in frames))


def dec265(program: Path) -> Decoder:
    """libde265's program, which stops at a wrong hash."""
    return Decoder("libde265", (str(program), "-q", "-c", "-o", "{output}", "{input}"), None)


def hm_decoder(program: Path) -> Decoder:
    """HM's program, which goes on behind a wrong hash and ends with exit code 1."""
    right = lambda text: len(re.findall(r"^POC .*,\(OK\)\]", text, re.M))  # noqa: E731
    return Decoder("HM", (str(program), "-b", "{input}", "-o", "{output}", "-d", "0"), right)


def hashed(stream: bytes) -> int:
    """Pictures of a stream, damaged or not, that have a hash."""
    units = read_units(nal.scan(stream, lenient=True))
    return sum(bool(unit.hashes) for unit in units if unit.has_picture)


_REPORT = re.compile(r"^(?:.*runtime error: .*|==\d+==ERROR: .*)$", re.M)
_FRAME = re.compile(r"^\s+#\d+ 0x[0-9a-f]+ in (.*)$", re.M)


def reports(text: str) -> list[tuple[bool, str]]:
    """The sanitizers' reports: whether it is about code of ours, and its first line, or the place of its innermost frame with a file.

    Ours: the innermost frame that is not of the run-time library itself lies in a file with our name, or is a function of it.
    """
    found = []
    starts = [*_REPORT.finditer(text)]
    for number, start in enumerate(starts):
        end = starts[number + 1].start() if number + 1 < len(starts) else len(text)
        frames = [frame for frame in _FRAME.findall(text[start.end() : end]) if "sanitizer" not in frame and "interceptor" not in frame]
        own = [frame for frame in frames if re.search(r"\.(?:c|cc|cpp|h):\d+", frame)]
        line = start[0] if "runtime error" in start[0] else f"{start[0]} {own[0] if own else ''}"
        line = re.sub(r"==\d+==|0x[0-9a-f]+|\S*/(?=[^/ ]+)", "", line)
        found.append((bool(OURS.search(own[0] if own and "runtime error" not in start[0] else line)), line.strip()[:160]))
    return found


@dataclass
class Verdict:
    """findings: what is ours, in words. theirs: what went wrong in the decoder's own code. outcome: in a word, for the table."""

    outcome: str
    findings: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)


def judge(decoder: Decoder, ran: Ran, original: Iterable[bytes], with_hash: int) -> Verdict:
    """What is to be said of a mutant's decoding. original: hashes of the original stream's pictures; with_hash: `hashed` of the mutant."""
    left = Counter(original)
    right = 0
    for picture in ran.shown:
        right += left[picture] > 0
    refused = bool(re.search(r"^VRCNN: (?!\d|model)", ran.text, re.M))
    verdict = Verdict("refused by the filter" if refused else f"exit code {'0' if ran.code == 0 else 'not 0'}")
    for ours, line in reports(ran.text):
        (verdict.findings if ours else verdict.theirs).append(line)
    if ran.code is None:
        verdict.outcome = "not ended in time"
        verdict.theirs.append(verdict.outcome)
    elif ran.code < 0:
        verdict.outcome = f"signal {-ran.code}"
        lines = [line for line in ran.text.splitlines() if "ssert" in line] or ["without a word"]
        (verdict.findings if OURS.search(lines[-1]) else verdict.theirs).append(f"{verdict.outcome}: {lines[-1][-120:]}")
    elif ran.code == 0:
        called = decoder.right(ran.text) if decoder.right else min(with_hash, len(ran.shown))
        if right < min(called, len(ran.shown)):
            verdict.findings.append(f"{len(ran.shown)} pictures shown, {called} called right, {right} are the original's")
        elif right < len(ran.shown):
            verdict.outcome = "exit code 0, wrong pictures among those without a hash"
    return verdict


# ---- streams ----


def streams() -> dict[str, bytes]:
    """What the encoders that are there make of three moving pictures."""
    found, clip = {}, moving_clip()
    joint = ("--vrcnn", "--vrcnn-model", "joint_intra", "--ctu", "32")
    try:
        tools = x265.find_tools()
        for configuration in ("ai", "ra"):
            made = x265.encode(tools, clip, 38, configuration=configuration, options=[*joint, "--keyint", "2", "--min-keyint", "2"])
            found[f"x265 {configuration}"] = made.data
    except CodecError as error:
        print(f"no streams of x265: {error}", file=sys.stderr)
    try:
        programs = hm.find_tools()
        words = {
            "ai": (),
            "ldp": ("--SliceMode=1", "--SliceArgument=2"),
            "ldb": ("--SliceSegmentMode=1", "--SliceSegmentArgument=2", "--WaveFrontSynchro=1"),
        }
        for configuration, more in words.items():
            options = ("--VRCNNModel=joint_intra", *more)
            found[f"HM {configuration}"] = hm.encode(programs, clip, 38, configuration=configuration, network=True, options=options).data
    except CodecError as error:
        print(f"no streams of HM: {error}", file=sys.stderr)
    return found


# ---- the program ----


def decode_mutants(given: argparse.Namespace, decoders: list[Decoder]) -> int:
    """Tables of outcomes; how many findings."""
    originals = streams()
    if not originals:
        raise SystemExit("there is no encoder to make streams")
    findings, spent = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vrcnn-mutations-") as name:
        folder = Path(name)
        shown = {}
        for decoder in decoders:
            for stream, data in originals.items():
                ran = decoder.run(data, folder)
                if ran.code != 0 or len(ran.shown) != 3 or reports(ran.text):
                    raise SystemExit(f"{decoder.name} does not decode the stream of {stream}:\n{ran.text[-2000:]}")
                shown[decoder.name, stream] = ran.shown
        outcomes, theirs = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
        for number in range(given.count) if given.only is None else [given.only]:
            stream = list(originals)[number // len(KINDS) % len(originals)]
            data = mutant(originals[stream], given.seed, number)
            for decoder in decoders:
                verdict = judge(decoder, decoder.run(data, folder), shown[decoder.name, stream], hashed(data))
                outcomes[decoder.name, KINDS[number % len(KINDS)], verdict.outcome] += 1
                theirs.update((decoder.name, line) for line in verdict.theirs)
                findings += bool(verdict.findings)
                for line in verdict.findings:
                    print(f"FINDING: mutant {number} of {stream} ({KINDS[number % len(KINDS)]}), {decoder.name}: {line}", flush=True)
                if (verdict.findings or given.only is not None) and given.keep:
                    given.keep.mkdir(parents=True, exist_ok=True)
                    (given.keep / f"mutant-{given.seed}-{number}.hevc").write_bytes(data)
    for (decoder_name, kind, outcome), count in sorted(outcomes.items()):
        print(f"{decoder_name}, {kind}: {outcome}: {count}")
    for (decoder_name, line), count in theirs.most_common():
        print(f"in {decoder_name}'s own code, {count} times: {line}")
    counted = f"{given.count if given.only is None else 1} mutants of {len(originals)} streams, seed {given.seed}"
    print(f"{counted}, {len(decoders)} decoders, {time.monotonic() - spent:.0f} s: {findings} findings")
    return findings


def replay_extensions(given: argparse.Namespace) -> int:
    """Mutated side information of version 2 in the replay program, many files in a run; 1 if it does not end well."""
    corpus = [path.read_bytes() for path in sorted((ROOT / "c/fuzz/corpus/sideinfo").iterdir())]
    corpus = [data for data in corpus if len(data) > 6 and not data[0] & 2]
    with tempfile.TemporaryDirectory(prefix="vrcnn-mutations-") as name:
        for first in range(0, given.count, 500):
            files = []
            for number in range(first, min(first + 500, given.count)):
                draw = random.Random(f"{given.seed} {number}")
                data = draw.choice(corpus)
                size = b"".join(draw.choice([draw.randint(1, 700), draw.randint(1, 16384)]).to_bytes(2, "big") for _ in "WH")
                head = bytes([32 | (data[0] & 1 ^ (draw.random() < 0.05))])
                files.append(Path(name) / f"{number:05d}")
                files[-1].write_bytes(head + (data[1:5] if draw.random() < 0.7 else size) + mutated_extension(data[5:], draw))
            done = subprocess.run([str(given.extensions), *map(str, files)], capture_output=True, text=True, errors="replace")
            if done.returncode or f"{len(files)} inputs replayed" not in done.stdout:
                print(f"FINDING: among mutants {first} to {first + len(files) - 1}, seed {given.seed}:\n{done.stderr[-3000:]}")
                return 1
            for file in files:
                file.unlink()
    print(f"{given.count} mutated extensions, seed {given.seed}: no findings")
    return 0


def decode_messages(given: argparse.Namespace) -> int:
    """Mutated messages of post-filters; how many findings."""
    models = ModelSet.load(builtin_path("joint_post"))
    decoder = dec265(given.messages)
    options = ["--keyint", "2", "--min-keyint", "2", "--ctu", "32", "--hash", "1"]
    plain = x265.encode(x265.find_tools(), moving_clip(), 38, configuration="ra", options=options).data
    named = announce(plain, PostFilter(models.identity[:16], "joint", "fast"), joint=True)[0]
    outcomes, theirs, findings = Counter[str](), Counter[str](), 0
    with tempfile.TemporaryDirectory(prefix="vrcnn-mutations-") as name:
        folder = Path(name)
        wanted = [PostFilter(models.identity[:16], index=index) for index in range(len(models.networks))]
        right = [decoder.run(data, folder).shown for data in (plain, *(announce(plain, some, joint=True)[0] for some in wanted))]
        if {len(shown) for shown in right} != {3} or len(set(right)) != len(right):
            raise SystemExit("the decoder does not decode, or does not filter")
        for number in range(given.count) if given.only is None else [given.only]:
            ran = decoder.run(with_mutated_message(named, given.seed, number), folder)
            found = [line for ours, line in reports(ran.text) if ours]
            theirs.update(line for ours, line in reports(ran.text) if not ours)
            if (
                ran.code is None
                or ran.code < 0
                or any(picture not in {shown[at] for shown in right} for at, picture in enumerate(ran.shown))
            ):
                found.append(f"exit code {ran.code}, {len(ran.shown)} pictures")
            if ran.code == 0 and len(ran.shown) != 3:
                found.append(f"{len(ran.shown)} pictures without a word")
            refused = re.search(r"^VRCNN: (?!\d)(?:POC \d+: )?(.*)", ran.text, re.M)
            outcomes[refused[1] if refused else f"exit code {ran.code}, {'plain' if ran.shown == right[0] else 'filtered'}"] += 1
            findings += bool(found)
            for line in found:
                print(f"FINDING: message mutant {number}: {line}", flush=True)
    for outcome, count in outcomes.most_common():
        print(f"{outcome}: {count}")
    for line, count in theirs.most_common():
        print(f"in the decoder's own code, {count} times: {line}")
    print(f"{sum(outcomes.values())} mutants, seed {given.seed}: {findings} findings")
    return findings


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutations", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dec265", type=Path, metavar="PROGRAM", help="libde265's program with the filter inside, with sanitizers")
    parser.add_argument("--hm-decoder", type=Path, metavar="PROGRAM", help="HM's")
    parser.add_argument(
        "--extensions", type=Path, metavar="PROGRAM", help="replay_sideinfo, with sanitizers: mutate side information alone"
    )
    parser.add_argument(
        "--messages", type=Path, metavar="PROGRAM", help="libde265's program: mutate the SEI messages of post-filters alone"
    )
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="how many mutants, default 1000")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="this mutant alone")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where mutants with findings, and that of --only, are kept")
    given = parser.parse_args()
    if given.extensions:
        return replay_extensions(given)
    if given.messages:
        return bool(decode_messages(given))
    decoders = [make(path) for make, path in ((dec265, given.dec265), (hm_decoder, given.hm_decoder)) if path]
    if not decoders:
        parser.error("give --dec265, --hm-decoder, --extensions or --messages")
    return bool(decode_mutants(given, decoders))


if __name__ == "__main__":
    sys.exit(main())
