"""Ordinary streams in hooked decoders, repeated parameter sets, installers, paths with blanks, arguments of the filter, command lines."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.support.hm_checkout import make_checkout, make_library
from tests.support.memory import other_bytes_each_time
from tests.tools.cases import Bench, Outcome, Ran, Skip, case, inputs

Entries = dict[str, tuple[str | bytes, int]]


# ---- decoders ----


def units(stream: bytes) -> list[bytes]:
    begins = inputs.starts(stream)
    return [stream[at + 3 : end].rstrip(b"\0") for at, end in zip(begins, [*begins[1:], len(stream)], strict=True)]


def kind(unit: bytes) -> int:
    return unit[0] >> 1 & 63


def joined(parts: list[bytes]) -> bytes:
    return b"".join(b"\0\0\0\1" + part for part in parts)


def shown(bench: Bench, stream: bytes) -> tuple[Ran, int]:
    """What hooked dec265 does with a stream, and how many pictures it writes."""
    if not (bench.codecs / "dec265").is_file():
        raise Skip("make codecs was not run")
    (bench.folder / "s.hevc").write_bytes(stream)
    done = bench.run(bench.codecs / "dec265", "-q", "-o", "o.yuv", "s.hevc")
    output = bench.folder / "o.yuv"
    return done, output.stat().st_size // (128 * 128 * 3 // 2) if output.exists() else 0


def as_unpatched(bench: Bench, stream: bytes, pictures: int) -> Outcome:
    done, count = shown(bench, stream)
    says = next((line for line in done.err.splitlines() if "VRCNN" in line), "nothing of the filter")
    return Outcome(done.code == 0 and count == pictures and "VRCNN" not in done.err, f"exit code {done.code}, {count} pictures, {says}")


@case("A 18", "parameter sets behind the first picture: hooked dec265 shows nothing")
def parameter_sets_behind(bench: Bench) -> Outcome:
    parts = units(inputs.hevc(128, 128, 4, "qp=32:hash=0"))
    first = next(at for at, part in enumerate(parts) if kind(part) < 32)
    sets = [part for part in parts[:first] if 32 <= kind(part) <= 34]
    rest = [part for part in parts[first + 1 :] if not 32 <= kind(part) <= 34 and kind(part) != 39]
    return as_unpatched(bench, joined([parts[first], *sets, *rest]), 3)


@case("A 18 b", "the first picture parameter set cut off")
def broken_parameter_sets(bench: Bench) -> Outcome:
    parts = units(inputs.hevc(128, 128, 4, "qp=32:hash=0"))
    at = next(number for number, part in enumerate(parts) if kind(part) == 34)
    return as_unpatched(bench, joined([*parts[:at], parts[at][:2], *parts[at + 1 :]]), 3)


@case("F 11", "a lost first slice segment of an IRAP picture: hooked dec265 shows nothing")
def first_segment_lost(bench: Bench) -> Outcome:
    parts = units(inputs.hevc(128, 128, 4, "qp=32:slices=2:ctu=64:hash=0"))
    slices = [at for at, part in enumerate(parts) if kind(part) < 32]
    return as_unpatched(bench, joined([part for at, part in enumerate(parts) if at != slices[2]]), 3)


@case("F 11 b", "likewise the stream's first picture")
def very_first_segment_lost(bench: Bench) -> Outcome:
    parts = units(inputs.hevc(128, 128, 4, "qp=32:slices=2:ctu=64:hash=0"))
    lost = next(at for at, part in enumerate(parts) if kind(part) < 32)
    return as_unpatched(bench, joined(parts[:lost] + parts[lost + 1 :]), 3)


@case("F 1", "a repeated SPS before a CRA picture is a new one to dec265: wrong hashes behind it")
def repeated_parameter_sets(bench: Bench) -> Outcome:
    if not (bench.codecs / "x265").is_file():
        raise Skip("make codecs was not run")
    rows, columns = np.mgrid[:80, :240]
    texture = (128 + 60 * np.sin(columns / 5 + rows / 9)).astype(np.uint8)
    frames = [texture[:, 2 * n : 2 * n + 96].tobytes() + b"\x80" * 3840 for n in range(66)]
    (bench.folder / "s.yuv").write_bytes(b"".join(frames))
    gops = ("--open-gop", "--repeat-headers", "--keyint", "16", "--min-keyint", "16", "--bframes", "3", "--b-adapt", "0")
    form = ("--input", "s.yuv", "--input-res", "96x80", "--fps", "25", "--qp", "32", "--hash", "1", "--no-scenecut", "-o", "s.hevc")
    coded = bench.run(bench.codecs / "x265", *form, *gops)
    if coded.code:
        return Outcome(False, coded.last)
    decoded = bench.run(bench.codecs / "dec265", "-q", "-c", "s.hevc", **other_bytes_each_time(bench.folder))
    return Outcome(decoded.code == 0 and "nFrames decoded: 66" in decoded.err, f"exit code {decoded.code}, {decoded.last}")


# ---- installers ----


def entries(folder: Path) -> Entries:
    """Links by their targets, files by their bytes, and modes."""
    return {
        str(path.relative_to(folder)): (os.readlink(path) if path.is_symlink() else path.read_bytes(), path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def library(prefix: Path) -> Path:
    make_library(prefix)
    (prefix / "include/vrcnn/vrcnn.h").write_text("int vrcnn_receiver_open(void), vrcnn_decide(void);\n")
    return prefix


def there_and_back(bench: Bench, tree: Path) -> Outcome:
    before = entries(tree)
    prefix = library(bench.folder / "usr")
    there = bench.bridge("hm", "install", "--hm", tree, "--vrcnn", prefix)
    links = [path for path, (text, _) in before.items() if isinstance(text, str) and not (tree / path).is_symlink()]
    back = bench.bridge("hm", "uninstall", "--hm", tree)
    same = entries(tree) == before
    return Outcome(
        there.code == 0 == back.code and not links and same,
        f"links gone: {', '.join(links) or 'none'}; as it was: {'yes' if same else 'NO'}",
    )


@case("A 14", "hm install and uninstall make a file of a link")
def linked_source(bench: Bench) -> Outcome:
    tree = make_checkout(bench.folder / "tree")
    source = tree / "source/Lib/TLibDecoder/TDecGop.cpp"
    source.rename(source.with_name("kept.txt"))
    source.symlink_to("kept.txt")
    return there_and_back(bench, tree)


@case("A 14 b", "likewise where links lead out of the checkout, and modes")
def linked_out(bench: Bench) -> Outcome:
    tree = make_checkout(bench.folder / "tree")
    (bench.folder / "else where").mkdir()
    for path in (tree / "source/Lib").rglob("*.h"):
        path.chmod(0o640)
    for name in ("source/Lib/TLibEncoder/TEncGOP.cpp", "CMakeLists.txt"):
        target = bench.folder / "else where" / Path(name).name
        (tree / name).rename(target)
        (tree / name).symlink_to(target)
    return there_and_back(bench, tree)


@contextmanager
def read_only(folder: Path) -> Iterator[list[str]]:
    """The beginning of a command in which a folder is read-only, also for root."""
    if os.geteuid():
        folder.chmod(0o555)
        yield []
        folder.chmod(0o755)
        return
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", script, str(folder)]
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True).returncode:
        raise Skip("a folder cannot be made read-only here")
    yield command


def in_read_only(bench: Bench, undo: bool) -> Outcome:
    tree, prefix = make_checkout(bench.folder / "tree"), library(bench.folder / "usr")
    words = ["--vrcnn", prefix]
    if undo:
        bench.bridge("hm", "install", "--hm", tree, *words)
        words = []
    before = entries(tree)
    with read_only(tree / "source/App/TAppEncoder") as begin:
        done = bench.run(*begin, bench.programs / "codec-bridge", "hm", "uninstall" if undo else "install", "--hm", tree, *words)
    after = entries(tree)
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    return Outcome(done.is_refusal and not changed, f"{len(changed)} files changed; {done.last}")


@case("E 7", "hm install with a read-only folder leaves some files changed")
def install_in_read_only(bench: Bench) -> Outcome:
    return in_read_only(bench, False)


@case("E 7 b", "likewise uninstall")
def uninstall_in_read_only(bench: Bench) -> Outcome:
    return in_read_only(bench, True)


# ---- blanks ----


@case("F 14", 'make install PREFIX="/some/a b": folders in wrong places')
def prefix_with_blanks(bench: Bench) -> Outcome:
    root = bench.programs.parent.parent
    place = bench.folder / "a b"
    # What would be run; two words of make's would be two folders.
    said = bench.run("make", "-n", "-C", root, "install", f"PREFIX={place}", "DESTDIR=")
    whole = re.search(rf'"{re.escape(str(place))}(?:"|/include)', said.out)
    wrong = re.search(r"^mkdir -p [^\"\n]*a b", said.out, re.M)
    return Outcome(said.code == 0 and whole is not None and wrong is None, "one folder" if whole and not wrong else "two words")


@case("F 14 b", "hm install with a library in a folder with blanks")
def library_with_blanks(bench: Bench) -> Outcome:
    tree, prefix = make_checkout(bench.folder / "my HM"), library(bench.folder / "a b")
    done = bench.bridge("hm", "install", "--hm", tree, "--vrcnn", prefix)
    status = bench.bridge("hm", "status", "--hm", tree)
    return Outcome(done.code == 0 and str(prefix / "lib/libvrcnn.a") in status.out.replace("\n", ""), done.last)


def in_unicode(bench: Bench, name: str, header: bytes) -> Outcome:
    tree, prefix = make_checkout(bench.folder / "tree"), library(bench.folder / name)
    (prefix / "include/vrcnn/vrcnn.h").write_bytes(header + b" int vrcnn_receiver_open(void), vrcnn_decide(void);\n")
    before = entries(tree)
    done = bench.bridge("hm", "install", "--hm", tree, "--vrcnn", prefix)
    whole = f'include_directories("{prefix}/include")'.encode() in (tree / "CMakeLists.txt").read_bytes()
    status = bench.bridge("hm", "status", "--hm", tree)
    back = bench.bridge("hm", "uninstall", "--hm", tree)
    right = whole and done.code == back.code == 0 and name in status.out and entries(tree) == before
    return Outcome(right, f"{'its path' if whole else 'another path'}: {done.last}")


@case("M 3", "hm install with a library in a folder whose name is not Latin-1: traceback")
def not_latin(bench: Bench) -> Outcome:
    return in_unicode(bench, "日本", b"")


@case("M 3 b", "hm install with a library in a folder with an umlaut: another path is written")
def umlaut(bench: Bench) -> Outcome:
    return in_unicode(bench, "püx", b"")


@case("M 3 c", "hm install with a vrcnn.h that is not UTF-8: traceback")
def latin_header(bench: Bench) -> Outcome:
    return in_unicode(bench, "usr", b"/* \xe9 */")


# ---- arguments ----

DECIDE = """
import numpy as np
try:
    from codec_bridge.library.decider import Decider
except ImportError:
    from codec_bridge.decision import Decider
plane = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)
with Decider(64, 64) as decider:
    for costs in COSTS:
        try:
            found = decider.decide(plane, plane // 8 * 8, plane // 8 * 8, 8, qp=32, lam=costs[0], ordinary_cost=costs[1])
            print("took", costs, "as", found.mode)
        except Exception as error:
            print("refused" if type(error).__name__ == "FilterError" else type(error).__name__)
"""


def decided(bench: Bench, costs: str) -> Outcome:
    done = bench.python("nan, inf = float('nan'), float('inf')\n" + DECIDE.replace("COSTS", costs))
    lines = done.out.splitlines()
    return Outcome(bool(lines) and {*lines} == {"refused"}, "; ".join(dict.fromkeys(lines)) or done.last)


@case("E 8 e", 'vrcnn_decide takes NaN as "off"')
def not_a_number(bench: Bench) -> Outcome:
    return decided(bench, "[(nan, 1.0)]")


@case("E 8 f", "likewise infinite and negative costs")
def infinite(bench: Bench) -> Outcome:
    return decided(bench, "[(inf, 1.0), (-1.0, 1.0), (1.0, nan), (1.0, inf), (1e308, 1.0)]")


CALLS = """
import copy, pickle
import numpy as np
from codec_bridge.filter import Filter, FilterError
from codec_bridge.library.decider import Decider
f, plane, units = Filter(), np.zeros((70, 66), np.uint8), np.ones((2, 2), np.uint8)
for call in CALLS:
    try:
        call()
        print("taken")
    except FilterError as error:
        print("refused")
    except Exception as error:
        print(type(error).__name__)
"""


def called(bench: Bench, *calls: str) -> Outcome:
    done = bench.python(CALLS.replace("CALLS", f"[{', '.join(f'lambda: {call}' for call in calls)}]"))
    lines = done.out.splitlines()
    return Outcome(lines == ["refused"] * len(calls), ", ".join(lines) or done.last)


@case("B 13", "Filter().filter_plane([[1, 2]], 8, 2) and pickle.dumps(Filter()): tracebacks of others")
def no_array(bench: Bench) -> Outcome:
    """Filters can be pickled and copied by now, deciders still cannot."""
    return called(bench, "f.filter_plane([[1, 2]], 8, 2)", "pickle.dumps(Decider(64, 64))", "copy.deepcopy(Decider(64, 64))")


@case("B 13 b", "numbers that are none, or no whole ones, or huge")
def no_whole_number(bench: Bench) -> Outcome:
    plane = [
        f"f.filter_plane(plane, {words})"
        for words in ("8.0, 2", "True, 2", "None, 2", "8, 1.0", "8, True", "8, '1'", "8, 2, 8.0", "8, 2, None")
    ]
    more = (
        "f.filter_plane(plane, 10**5000, 0)",
        "Filter(threads=1.5)",
        "Filter(threads=True)",
        "Filter(threads='2')",
        "f.index_for_qp(32.0)",
    )
    return called(bench, *plane, *more)


@case("B 13 c", "maps, backgrounds, models, kernels of other types")
def no_map(bench: Bench) -> Outcome:
    return called(
        bench,
        "f.filter_units(plane, 8, [0], [[1, 1], [1, 1]], 64)",
        "f.filter_units(plane, 8, [0], np.zeros((0, 2), np.uint8), 64)",
        "f.filter_units(plane, 8, 0, units, 64)",
        "f.filter_units(plane, 8, [0], units, 64, background=[[0]])",
        "Filter(3)",
        "Filter(kernel=3)",
        "Filter(backend=[])",
    )


# ---- records ----


@case("X 1", "a very long command line makes every file's record as long")
def command_line(bench: Bench) -> Outcome:
    done = bench.python(
        "import sys, json\nsys.argv = ['codec-bridge'] + ['a' * 300] * 2000\nfrom codec_bridge.provenance import provenance\n"
        "print(len(json.dumps(provenance()['command_line'])))"
    )
    return Outcome(done.code == 0 and int(done.out) < 9000, f"{done.out.strip()} characters")
