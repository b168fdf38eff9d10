"""The script of `make codecs`, with programs that only pretend to build."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "codec_bridge/codecs/build.sh"
CMAKE = """[ "$1" = --build ] || exit 0
[ ! -e "$(dirname "$0")/broken" ] || { echo it does not compile; exit 1; }
mkdir -p "$2/dec265"
for name in x265 dec265/dec265; do printf '#!/bin/sh\\n' > "$2/$name"; chmod +x "$2/$name"; done"""

needs_gnu = pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs GNU coreutils, as Debian has them")


@pytest.fixture(params=["plain", "with blanks in it"])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Tools that pretend, and source trees of one file each."""
    tmp_path /= request.param
    tmp_path.mkdir()
    for name, text in {"cmake": CMAKE, "make": "", "c++": "echo 1", "cc": "echo 1", "nasm": "echo 1", "codec-bridge": ""}.items():
        path = tmp_path / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
    for name in ("x265", "libde265"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.cpp").write_text("int a;\n")
    return tmp_path


def build(place: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{place}/tools:{os.environ['PATH']}",
        "OUT": f"{place}/out",
        "X265_SOURCE": f"{place}/x265",
        "LIBDE265_SOURCE": f"{place}/libde265",
        "CODEC_BRIDGE": f"{place}/tools/codec-bridge",
    }
    return subprocess.run(["sh", str(SCRIPT)], env=environment | variables, capture_output=True, text=True)


def test_what_is_missing_is_said_with_exit_code_3(place: Path) -> None:
    for tool in ("dirname", "getconf"):
        (place / "few").mkdir(exist_ok=True)
        (place / "few" / tool).symlink_to(shutil.which(tool) or "")
    sh = shutil.which("sh")
    done = subprocess.run([str(sh), str(SCRIPT)], env={"PATH": f"{place}/few"}, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("make codecs: there is no cmake; on Debian: apt-get install")


@needs_gnu
def test_equal_sources_are_built_once(place: Path) -> None:
    cache = {"CACHE": f"{place}/cache"}
    for _ in range(2):
        first = build(place, **cache)
        assert first.returncode == 0, first.stderr
        assert "building x265-10bit" in first.stdout
        again = build(place, OUT=f"{place}/other", **cache)
        assert again.returncode == 0, again.stderr
        assert "took x265 x265-10bit dec265 from" in again.stdout
        assert sorted(path.name for path in (place / "other/bin").iterdir()) == ["dec265", "x265", "x265-10bit"]
        (place / "x265/a.cpp").write_text("int b;\n")
    assert "building" in build(place).stdout
    # What does not start here is built anew.
    build(place, **cache)
    (kept,) = (place / "cache").iterdir()
    (kept / "x265").write_text("#!/bin/sh\nexit 1\n")
    assert "building" in build(place, **cache).stdout


@needs_gnu
def test_what_does_not_compile_is_shown_with_exit_code_1(place: Path) -> None:
    (place / "tools/broken").touch()
    done = build(place, CACHE=f"{place}/cache")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "it does not compile",
        f"make codecs: cmake failed; all of its output is in {place}/out/dec265.log",
    ]
    assert not (place / "cache").exists()
