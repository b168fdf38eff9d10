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
    suite = of_release("VERSION_CODENAME")
    own = settings_of_apt(place)
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


ODD_LINES = (
    "deb [arch=amd64 signed-by=/a/key#1.gpg] https://example.org/a SUITE main # ours\n"
    "\tdeb\thttps://example.org/b\tSUITE\tmain\r\n"
    " # deb [arch=amd64] https://example.org/off SUITE main\n"
    "deb [trusted=yes] cdrom:[disc]/ SUITE main\n"
    "deb https://example.org/c SUITE main\n"
    "deb-src  https://example.org/c  SUITE  main \n"
    "deb https://example.org/c SUITE universe"
)
ODD_STANZAS = """types:deb
uris:https://example.org/a https://example.org/b
suites:
 other
 SUITE
components:contrib
# a comment
 main
architectures:
 amd64
ENABLED: yes

Types: deb
URIs: https://example.org/off
Suites: SUITE
Components: main
Enabled: false"""


def settings_of_apt(place: Path) -> dict[str, str]:
    """Tools and variables by which the script finds apt's sources in ``place``, and what asks apt for anything in `asked`."""
    (place / "tools/apt-get").write_text(f"#!/bin/sh\n{APT_GET}\n")
    (place / "tools/apt-get").chmod(0o755)
    (place / "parts").mkdir()
    (place / "apt.conf").write_text(f'Dir::Etc::SourceList "{place}/sources.list";\nDir::Etc::SourceParts "{place}/parts";\n')
    return {"X265_SOURCE": "", "LIBDE265_SOURCE": "", "APT_CONFIG": f"{place}/apt.conf"}


def of_release(name: str) -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)[name].strip('"')


@needs_gnu
@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt, as Debian and Ubuntu have it")
def test_sources_are_read_as_apt_reads_them(place: Path) -> None:
    suite = of_release("VERSION_CODENAME")
    own = settings_of_apt(place)
    (place / "sources.list").write_text(ODD_LINES.replace("SUITE", suite))
    assert build(place, **own).returncode == 0
    assert (place / "tools/asked").read_text().splitlines() == [
        f"deb-src [arch=amd64 signed-by=/a/key#1.gpg] https://example.org/a {suite} main",
        f"deb-src https://example.org/b {suite} main",
        f"deb-src https://example.org/c {suite} main",
        f"deb-src https://example.org/c {suite} universe",
    ]
    (place / "sources.list").unlink()
    (place / "parts/own.sources").write_text(ODD_STANZAS.replace("SUITE", suite))
    assert build(place, **own).returncode == 0
    stanza = f"Types: deb-src\nSuites: {suite}\nuris:https://example.org/a https://example.org/b\ncomponents:contrib\n main\n\n"
    assert (place / "tools/asked").read_text() == stanza
    (place / "parts/own.sources").write_text(ODD_STANZAS.replace("SUITE", suite).split("\n\n")[1])
    done = build(place, **own)
    assert done.returncode == 3, "the only archive is disabled"
    assert "give MIRROR=" in done.stderr.splitlines()[-1]


LISTS = """while [ $# -gt 0 ]; do case $1 in Dir::State=*) lists=${1#*=}/lists ;; esac; last=$1; shift; done
if [ "$last" = update ]; then
    for origin in ORIGINS; do
        printf 'Origin: %s\\nSuite: stable\\n' "$origin" > "$lists/${origin}_dists_stable_InRelease"
        : > "$lists/${origin}_dists_stable_main_source_Sources"
    done
    exit STATUS
fi
ls "$lists" > "$(dirname "$0")/had"
mkdir x265-3.5 libde265-1.0.11"""


@needs_gnu
@pytest.mark.skipif(not shutil.which("apt-config"), reason="needs apt, as Debian and Ubuntu have it")
def test_other_vendors_archives_of_the_suite_are_left_out(place: Path) -> None:
    """They have newer packages of the same name, or no source packages, so that apt fails."""
    own = settings_of_apt(place)
    (place / "sources.list").write_text(f"deb https://example.org/own {of_release('VERSION_CODENAME')} main\n")
    ours = of_release("ID").capitalize()
    for origins, status, kept in ((f"Vendor {ours}", 0, ours), (f"{ours} Vendor", 100, ours), ("Vendor", 0, "Vendor")):
        (place / "tools/apt-get").write_text(f"#!/bin/sh\n{LISTS.replace('ORIGINS', origins).replace('STATUS', str(status))}\n")
        shutil.rmtree(place / "out", ignore_errors=True)
        done = build(place, **own)
        assert done.returncode == 0, done.stderr
        had = (place / "tools/had").read_text().split()
        assert had == [f"{kept}_dists_stable_InRelease", f"{kept}_dists_stable_main_source_Sources", "partial"]
    (place / "tools/apt-get").write_text("#!/bin/sh\necho no network\nexit 100\n")
    shutil.rmtree(place / "out")
    done = build(place, **own)
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["no network", f"make codecs: apt-get failed; all of its output is in {place}/out/apt.log"]


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
