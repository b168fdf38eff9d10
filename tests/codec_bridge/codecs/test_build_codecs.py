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


APT_GET = """while [ $# -gt 0 ]; do case $1 in *Dir::Etc::SourceParts=*) parts=${1#*=} ;; esac; last=$1; shift; done
cat "$parts"/* > "$(dirname "$0")/asked"
[ "$last" = update ] || mkdir x265-3.5 libde265-1.0.11"""
OTHERS = (
    "deb https://example.org/linux SUITE stable\ndeb https://example.org/more SUITE-more main\n# deb https://example.org/off SUITE main\n"
)
CDROM = "deb cdrom:[disc]/ SUITE main\n"
STANZAS = """# this system's
Types: deb
URIs: https://example.org/own
Suites: SUITE SUITE-updates
Components: main universe
Signed-By:
 a key
 of two lines

Types: deb
URIs: https://example.org/others
Suites: SUITE
Components: stable

Types: deb
URIs: https://example.org/off
Suites: SUITE
Components: main
Enabled: no
"""


@needs_gnu
@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt, as Debian and Ubuntu have it")
def test_source_packages_are_this_systems(place: Path) -> None:
    """Of apt's two formats; nobody's host is a default."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    suite = release["VERSION_CODENAME"].strip('"')
    (place / "tools/apt-get").write_text(f"#!/bin/sh\n{APT_GET}\n")
    (place / "tools/apt-get").chmod(0o755)
    (place / "parts").mkdir()
    (place / "apt.conf").write_text(f'Dir::Etc::SourceList "{place}/sources.list";\nDir::Etc::SourceParts "{place}/parts";\n')
    own = {"X265_SOURCE": "", "LIBDE265_SOURCE": "", "APT_CONFIG": f"{place}/apt.conf"}
    (place / "sources.list").write_text((OTHERS + CDROM).replace("SUITE", suite))
    done = build(place, **own)
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith(
        f"make codecs: no archive of {suite} stands in {place}/sources.list or {place}/parts/; give MIRROR="
    )

    line = f"deb [signed-by=/a/key.gpg] https://example.org/own {suite} main # ours\n"
    (place / "sources.list").write_text(OTHERS.replace("SUITE", suite) + line)
    assert build(place, **own).returncode == 0
    asked = (place / "tools/asked").read_text()
    assert asked.split() == f"deb-src [signed-by=/a/key.gpg] https://example.org/own {suite} main".split()

    (place / "sources.list").unlink()
    (place / "parts/own.sources").write_text(STANZAS.replace("SUITE", suite))
    assert build(place, **own).returncode == 0
    stanza = (
        f"Types: deb-src\nSuites: {suite}\nURIs: https://example.org/own\nComponents: main universe\nSigned-By:\n a key\n of two lines\n\n"
    )
    assert (place / "tools/asked").read_text() == stanza

    done = build(place, **own, MIRROR="https://example.org/mirror")
    assert (place / "tools/asked").read_text().split()[:4] == ["deb-src", "https://example.org/mirror", suite, "main"]
    assert f"source packages of x265 and libde265 of {suite} from https://example.org/mirror" in done.stdout


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
