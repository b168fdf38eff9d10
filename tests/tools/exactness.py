"""make exactness: every kernel, architecture, compiler and level on the conformance suite, and this CPU's kernels on random pictures.

A row's programs are built from c/ and run natively or by qemu-user, on random pictures too; a row whose tools are missing says what to
install. With --weekly the numbers are those of a release: for each SIMD kernel 3 * 10^8 samples with luma networks and 10^8 with joint
ones, 10^7 of either with scalar kernel and oracle, for each program the whole suite and 10^5 random samples of either.

Each row is in the JSON file as soon as it is there. While rows of the matrix are missing there, the next run makes these and keeps the
others, if neither the sources nor the numbers have changed since. Nothing depends on time, so it may run at the lowest priority.
"""

import hashlib
import json
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from codec_bridge.filter import kernels
from codec_bridge.library.conformance import CLibrary
from codec_bridge.provenance import processor, provenance
from tests.tools.random_pictures import PARTS as RANDOM_PARTS
from tests.tools.random_pictures import compare, write_suite
from vrcnn_int.conformance import LAYER_PARTS, PARTS, Suite
from vrcnn_int.conformance.verify import Implementation, Oracle, PartResult, Program, verify
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import write_text
from vrcnn_int.io.console import console, run

ROOT = Path(__file__).parents[2]
SOURCES = (
    *("c/src/**/*", "c/include/**/*", "c/tools/*", "c/plugins/sets.*", "c/tests/print_sideinfo.c", "c/Makefile", "c/kernel_flags.txt"),
    *("vrcnn_int/integer/*.py", "vrcnn_int/requant.py", "vrcnn_int/proofs.py", "vrcnn_int/models/*.vrcnn"),
    *("vrcnn_int/conformance/*.py", "vrcnn_int/conformance/vectors/**/*", "codec_bridge/filter.py", "codec_bridge/library/**/*.py"),
    *("tests/tools/exactness.py", "tests/tools/random_pictures.py", "tests/support/models.py", "tests/independent*.py"),
)
"""What rows depend on."""
PATIENCE = 7200
"""Seconds that a program may take for a vector: emulated, at the lowest priority, beside others."""
PACKAGES = {"qemu": "qemu-user", "clang": "clang", "gcc": "gcc"}
"""Debian's packages of tools; cross compilers: gcc- and the machine."""


BUILDING = threading.Lock()
DRAWING = threading.Lock()
STOPPING = threading.Event()
"""Set when the program is interrupted: rows end at their next vector or picture."""


@dataclass(frozen=True)
class Size:
    """How much is compared. Pictures of more samples are left out; layers need a run for each.

    simd, simd_joint: random samples for each SIMD kernel, with luma and with joint networks; scalar, programs: of either kind.
    """

    simd: int
    simd_joint: int
    scalar: int
    programs: int
    largest: int
    largest_layers: int
    largest_independent: int


CI = Size(simd=2 * 10**6, simd_joint=2 * 10**6, scalar=10**5, programs=10**4, largest=700, largest_layers=70, largest_independent=9)
WEEKLY = Size(simd=3 * 10**8, simd_joint=10**8, scalar=10**7, programs=10**5, largest=130 * 70, largest_layers=256, largest_independent=256)


@dataclass
class Row:
    """A line of the matrix. skipped, failed: why there is nothing to show."""

    name: str
    kernel: str = ""
    skipped: str = ""
    failed: str = ""
    seconds: float = 0
    parts: dict[str, PartResult] = field(default_factory=dict)


@dataclass(frozen=True)
class Target:
    """A build of the C library's programs, and how they are run."""

    name: str
    compiler: str
    flags: str
    emulator: tuple[str, ...] = ()
    kernel: str = "auto"
    simde: bool = False
    """Instructions are emulated one by one, as `make test-x86-simde` in c/ does; the CPU needs AVX2."""


X86_COMPILER = "gcc" if platform.machine() == "x86_64" else "x86_64-linux-gnu-gcc"
EMULATED = [
    Target("x86-64, SSE2", X86_COMPILER, "-O2 -static", ("qemu-x86_64", "-cpu", "qemu64,-sse3")),
    Target("x86-64, SSE4.2", X86_COMPILER, "-O2 -static", ("qemu-x86_64", "-cpu", "Nehalem")),
    Target("x86-64, AVX2", X86_COMPILER, "-O2 -static", ("qemu-x86_64", "-cpu", "Haswell")),
    Target("x86-64, AVX-VNNI by SIMDe", X86_COMPILER, "-O2", kernel="avxvnni", simde=True),
    Target("x86-64, AVX-512 VNNI by SIMDe", X86_COMPILER, "-O2", kernel="avx512vnni", simde=True),
    Target("x86-64, AMX by SIMDe", X86_COMPILER, "-O2", kernel="amx", simde=True),
    Target("i386", "i686-linux-gnu-gcc", "-O2 -static", ("qemu-i386",)),
    Target("aarch64, NEON", "aarch64-linux-gnu-gcc", "-O2 -static", ("qemu-aarch64", "-cpu", "cortex-a53")),
    Target("aarch64, dot product", "aarch64-linux-gnu-gcc", "-O2 -static", ("qemu-aarch64", "-cpu", "neoverse-n1")),
    Target("aarch64, i8mm", "aarch64-linux-gnu-gcc", "-O2 -static", ("qemu-aarch64", "-cpu", "max")),
    Target("armhf", "arm-linux-gnueabihf-gcc", "-O2 -static", ("qemu-arm",)),
    Target("riscv64", "riscv64-linux-gnu-gcc", "-O2 -static", ("qemu-riscv64",)),
    Target("s390x, big-endian", "s390x-linux-gnu-gcc", "-O2 -static", ("qemu-s390x",)),
    Target("ppc64, big-endian", "powerpc64-linux-gnu-gcc", "-O2 -static", ("qemu-ppc64",)),
]
COMPILED = [
    Target(f"{compiler} -O{level}, {kernel}", compiler, f"-O{level}", kernel=kernel)
    for compiler in ("gcc", "clang")
    for level in range(4)
    for kernel in ("scalar", "auto")
]


def missing_packages(target: Target) -> list[str]:
    """What to install for a target."""
    packages = []
    for tool in (target.compiler, *target.emulator[:1], "make"):
        if not shutil.which(tool):
            machine, _, kind = tool.rpartition("-")
            packages.append(f"gcc-{machine}" if kind == "gcc" and machine else PACKAGES.get(tool.split("-")[0], tool))
    if target.simde and not packages:
        preprocess = [target.compiler, "-E", "-x", "c", "-"]
        if subprocess.run(preprocess, input="#include <simde/x86/avx512.h>\n", capture_output=True, text=True).returncode:
            packages.append("libsimde-dev")
    return packages


def has_avx2() -> bool:
    """Whether this machine's CPU has AVX2."""
    flags = Path("/proc/cpuinfo")
    return flags.is_file() and "avx2" in flags.read_text(encoding="utf-8").split()


def build(target: Target, folder: Path) -> tuple[Path, Path]:
    """vrcnn_filter and print_sideinfo of a target. Raises VrcnnError with the compiler's words."""
    place = folder.resolve() / f"{target.compiler}{target.flags.replace(' ', '')}{'-simde' * target.simde}"
    programs = place / "vrcnn_filter", place / "print_sideinfo"
    flags = [flag for flag in target.flags.split() if flag != "-static"]
    variables = [
        f"BUILD={place}",
        f"CC={target.compiler}",
        f"CFLAGS={' '.join(flags)}",
        f"LDFLAGS={'-static' * ('-static' in target.flags)}",
        *(["KERNEL_FLAGS=tests/simde_flags.txt", "EMULATION=simde_cpu"] if target.simde else []),
    ]
    with BUILDING:  # targets may share a folder
        done = subprocess.run(["make", "-s", "-C", str(ROOT / "c"), *variables, *map(str, programs)], capture_output=True, text=True)
    if done.returncode:
        raise VrcnnError(f"{target.name} cannot be built: {done.stderr.strip().splitlines()[-1]}")
    return programs


def check_stop(_: str = "") -> None:
    """Raises KeyboardInterrupt in a row's thread."""
    if STOPPING.is_set():
        raise KeyboardInterrupt


def run_suite(implementation: Implementation, suite: Suite, largest: int, largest_layers: int) -> dict[str, PartResult]:
    """The whole suite, layers apart from the rest."""

    class Part:
        """The implementation, asked for some parts only."""

        def __init__(self, layers: bool) -> None:
            self.parts = [part for part in implementation.parts if (part in LAYER_PARTS) == layers]

        def __getattr__(self, name: str) -> object:
            return getattr(implementation, name)

    found = verify(suite, Part(False), largest, check_stop) | verify(suite, Part(True), largest_layers, check_stop)  # type: ignore[arg-type]
    return {part: found[part] for part in PARTS if part in found}


@cache
def _random_suite(folder: Path, samples: int, seed: int) -> Suite:
    return write_suite(folder / f"random-{seed}", samples, seed)


def run_random(implementation: Implementation, size: Size, seed: int, folder: Path) -> dict[str, PartResult]:
    """Random pictures, the same for all programs."""
    with DRAWING:
        suite = _random_suite(folder, size.programs, seed)
    found = run_suite(implementation, suite, sys.maxsize, 0)
    return {RANDOM_PARTS[kind]: found[part] for kind, part in (("luma", "general"), ("joint", "joint"))}


def run_target(target: Target, suite: Suite, size: Size, seed: int, folder: Path) -> Row:
    """Build and run one target."""
    packages = missing_packages(target)
    if packages:
        return Row(target.name, skipped=f"install {' '.join(packages)}")
    if target.simde and not has_avx2():
        return Row(target.name, skipped="the CPU has no AVX2")
    vrcnn_filter, print_sideinfo = (" ".join([*target.emulator, str(program)]) for program in build(target, folder))
    words = (
        f"{vrcnn_filter} --kernel {target.kernel} --model {{model}} --index {{network}} --size {{width}}x{{height}} --bit-depth {{depth}}"
    )
    joint = f"{words} --chroma-depth {{chroma_depth}} --format {{format}}"
    program = Program(
        f"{words} --format 400 --scale {{scale}} {{input}} {{output}}",
        f"{words} --format 400 --layer {{layer}} {{input}} {{output}}",
        f"{print_sideinfo} {{width}} {{height}} {{irap}} {{version}} {{input}}",
        f"{joint} --weights {{weights}} {{input}} {{output}}",
        f"{joint} --layer {{layer}} {{input}} {{output}}",
        timeout=PATIENCE,
    )
    listed = subprocess.run([*vrcnn_filter.split(), "--kernels"], capture_output=True, text=True)
    if listed.returncode:
        raise VrcnnError(f"{vrcnn_filter} --kernels: {(listed.stderr.strip() or f'exit code {listed.returncode}').splitlines()[-1]}")
    named = dict(line.split(maxsplit=1) for line in listed.stdout.splitlines())
    kernel = named["auto"] if target.kernel == "auto" else target.kernel
    parts = run_suite(program, suite, size.largest, size.largest_layers) | run_random(program, size, seed, folder)
    return Row(target.name, kernel, parts=parts)


# This CPU.


def run_kernel(kernel: str, other: str, suite: Suite, size: Size, seed: int) -> Row:
    """A kernel of this CPU on the suite, and against another one on random pictures."""
    row = Row(f"this CPU, {kernel}", kernel, parts=verify(suite, CLibrary(kernel, threads=3), show=check_stop))
    for kind, samples in (("luma", size.simd), ("joint", size.simd_joint)):
        # The only SIMD kernel has joint networks, which are small, compared with the scalar one: the oracle would take too long.
        than = "scalar" if other == "oracle" and kernel != "scalar" and kind == "joint" else other
        row.parts[RANDOM_PARTS[kind]] = compare(kernel, than, kind, size.scalar if than == "oracle" else samples, seed, check_stop)
    return row


def run_oracle(suite: Suite) -> Row:
    return Row("oracle", "numpy", parts=verify(suite, Oracle(), show=check_stop))


def run_independent(suite: Suite, size: Size) -> Row:
    python = f"{sys.executable} -m tests.independent_program"
    files = "{model} {network} {width} {height} {depth}"
    planes = "{model} {network} {width} {height} {format} {depths}"
    program = Program(
        f"{python} filter {files} {{scale}} {{input}} {{output}}",
        f"{python} layer {files} {{layer}} {{input}} {{output}}",
        f"{python} sideinfo {{width}} {{height}} {{irap}} {{version}} {{input}}",
        f"{python} joint {planes} {{weights}} {{input}} {{output}}",
        f"{python} joint-layer {planes} {{layer}} {{input}} {{output}}",
        timeout=PATIENCE,
    )
    return Row("independent", "Python", parts=run_suite(program, suite, size.largest_independent, size.largest_independent // 16))


def native_jobs(suite: Suite, size: Size, seed: int) -> Iterator[tuple[str, Callable[[], Row]]]:
    """The fastest SIMD kernel is compared with the second, every other one with the fastest; the scalar kernel with the oracle."""
    simd = [name for name, supported in kernels() if supported and name not in ("auto", "scalar")]
    others = dict.fromkeys(simd[:-1], simd[-1]) | ({simd[-1]: simd[-2]} if len(simd) > 1 else {})
    for n, name in enumerate(("scalar", *simd)):
        other = "oracle" if name == "scalar" or len(simd) == 1 else others[name]
        yield f"this CPU, {name}", partial(run_kernel, name, other, suite, size, seed + n)


def rows(suite: Suite, size: Size, seed: int, folder: Path) -> list[tuple[str, Callable[[], Row]]]:
    """Every row by name, not yet run."""
    targets = [(target.name, partial(run_target, target, suite, size, seed, folder)) for target in (*EMULATED, *COMPILED)]
    by_hand = [("oracle", partial(run_oracle, suite)), ("independent", partial(run_independent, suite, size))]
    return [*by_hand, *native_jobs(suite, size, seed), *targets]


def cell(result: PartResult | None) -> str:
    """What one part showed."""
    if result is None:
        return ""
    wrong = [f"{result.differ} DIFFER"] * (result.differ > 0) + [f"{result.missing} NO RESULT"] * (result.missing > 0)
    return ", ".join([str(result.compared), *wrong])


def show(found: list[Row]) -> None:
    """Print the matrix, what differs, and what was skipped."""
    columns = [*PARTS, *RANDOM_PARTS.values()]
    table = Table(
        "row", "kernel", *columns, title="compared (samples; values; models; extensions)", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for row in found:
        if row.parts:
            table.add_row(row.name, row.kernel, *(cell(row.parts.get(part)) for part in columns))
    console.print(table)
    for row in found:
        if row.skipped or row.failed:
            word = "skipped" if row.skipped else "failed"
            console.print(f"{word}: {row.name}: {row.skipped or row.failed}", highlight=False, soft_wrap=True)
        for part, result in row.parts.items():
            for problem in result.problems[:3]:
                console.print(f"{row.name}, {part}: {problem}", highlight=False, soft_wrap=True)


def say_random(found: list[Row]) -> None:
    """How many samples of random pictures were compared, by who filtered them and the kind of the networks."""
    native = [row for row in found if row.name.startswith("this CPU")]
    groups = {
        "SIMD kernels": [row for row in native if row.kernel != "scalar"],
        "scalar kernel and oracle": [row for row in native if row.kernel == "scalar"],
        "programs": [row for row in found if row not in native],
    }
    for kind, part in RANDOM_PARTS.items():
        for group, members in groups.items():
            compared = sum(row.parts[part].compared for row in members if part in row.parts)
            console.print(f"random pictures, {kind} networks, {group}: {compared} samples", highlight=False)


def sources() -> str:
    """SHA-256 of all that rows depend on, by name and content."""
    digest = hashlib.sha256()
    for path in sorted({path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file()}):
        digest.update(f"{path.relative_to(ROOT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def interrupted(json_file: Path | None, expected: dict[str, Any]) -> tuple[int | None, list[Row]]:
    """Seed and good rows of a matrix that is not complete and of which ``expected`` holds; None and no rows if there is none."""
    if not json_file or not json_file.is_file():
        return None, []
    try:
        record = json.loads(json_file.read_text())
        if record["complete"] or any(record["provenance"][name] != value for name, value in expected.items()):
            return None, []
        found = [Row(**{**row, "parts": {name: PartResult(**part) for name, part in row["parts"].items()}}) for row in record["rows"]]
        seed = int(record["provenance"]["seed"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return None, []
    return seed, [row for row in found if row.parts and not row.failed and not any(part.problems for part in row.parts.values())]


def main(
    weekly: Annotated[bool, typer.Option("--weekly", help="The numbers of a release; most of an hour.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Only rows whose name has this in it; may be given again.")] = None,
    jobs: Annotated[int, typer.Option(help="Rows at once.", min=1)] = 2,
    seed: Annotated[int | None, typer.Option(help="Of the random pictures; default: the time.")] = None,
    folder: Annotated[Path, typer.Option("--build", help="Where programs are built.")] = ROOT / "build/exactness",
    json_file: Annotated[Path | None, typer.Option("--json", help="Results and provenance; what is missing of them is run.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run everything, also what an interrupted run has left.")] = False,
) -> None:
    """Print the exactness matrix; exit code 1 if anything differs."""
    suite, size = Suite.load(), WEEKLY if weekly else CI
    code = {"size": asdict(size), "sources": sources(), "processor": processor()}
    before, kept = interrupted(None if fresh else json_file, code | ({} if seed is None else {"seed": seed}))
    seed = next(number for number in (seed, before, int(time.time())) if number is not None)
    matrix = rows(suite, size, seed, folder)
    wanted = [job for job in matrix if not only or any(word in job[0] for word in only)]
    if not wanted:
        raise VrcnnError(f"no row's name has {' or '.join(only or [])} in it")
    for path in (folder, *([json_file.parent] if json_file else [])):
        path.mkdir(parents=True, exist_ok=True)

    finished = {row.name: row for row in kept}
    if finished:
        print(f"{json_file}: {len(finished)} rows of this matrix are there already (--fresh runs them again)", file=sys.stderr, flush=True)
    saving = threading.Lock()

    def save(row: Row) -> None:
        """After every row, so that what an interrupted run found is kept."""
        with saving:
            finished[row.name] = row
            if json_file:
                record = {
                    "provenance": provenance(seed=seed, **code),
                    "complete": len(finished) == len(matrix),
                    "rows": [asdict(finished[name]) for name, _ in matrix if name in finished],
                }
                write_text(json_file, json.dumps(record, indent=1) + "\n")

    def run_row(job: tuple[str, Callable[[], Row]]) -> Row:
        start = time.monotonic()
        try:
            row = job[1]()
        except VrcnnError as error:
            row = Row(job[0], failed=str(error))
        row.seconds = round(time.monotonic() - start, 1)
        save(row)
        print(f"{row.name}: {row.skipped or row.failed or f'{row.seconds} s'}", file=sys.stderr, flush=True)
        return row

    with ThreadPoolExecutor(jobs) as pool:
        try:
            list(pool.map(run_row, [job for job in wanted if job[0] not in finished]))
        except BaseException:
            STOPPING.set()
            raise
    found = [finished[name] for name, _ in wanted]
    show(found)
    results = [result for row in found for result in row.parts.values()]
    problems = sum(len(result.problems) for result in results) + sum(bool(row.failed) for row in found)
    differ = sum(result.differ for result in results)
    say_random(found)
    console.print(f"seed {seed}: {len(found)} rows, {sum(bool(row.skipped) for row in found)} skipped, {differ} differ", highlight=False)
    if problems:
        raise VrcnnError(f"{problems} rows, vectors or pictures are not as they should be")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run(app)
