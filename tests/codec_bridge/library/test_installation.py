"""What `make install` writes: pkg-config and CMake find the library in any LIBDIR, moved or not; `make uninstall`; the manual page."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.models import shipped
from tests.support.tool import tool

ROOT = Path(__file__).parents[3]
PROGRAM = """#include <stdio.h>
#include <vrcnn/vrcnn.h>
int main(void)
{
    VrcnnModel *model;
    unsigned char id[32];
    if (vrcnn_model_builtin(&model, VRCNN_BEFORE_DEBLOCKING) || vrcnn_model_id(model, id))
        return 1;
    for (int i = 0; i < 32; i++)
        printf("%02x", id[i]);
    vrcnn_model_free(model);
    return 0;
}
"""
PROJECT = """cmake_minimum_required(VERSION 3.13)
project(program C)
find_package(vrcnn 0.1 REQUIRED)
add_executable(shared program.c)
target_link_libraries(shared vrcnn::vrcnn)
add_executable(static program.c)
target_link_libraries(static vrcnn::static)
"""


def make(prefix: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """In the build folder of an installation, where everything is built already."""
    command = ["make", "-s", "-C", str(ROOT / "c"), f"BUILD={prefix.parent / 'build'}", *words]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture
def moved(prefix: Path, tmp_path: Path) -> Path:
    """An installation in another LIBDIR, moved afterwards: it holds no path of its own."""
    first = tmp_path / "first place"
    done = make(prefix, "install", f"PREFIX={first}", f"LIBDIR={first}/lib/some-machine")
    assert done.returncode == 0, done.stderr
    return Path(shutil.move(first, tmp_path / "else where"))


def test_pkg_config_finds_it(moved: Path, tmp_path: Path) -> None:
    if not shutil.which("pkg-config"):
        pytest.skip("pkg-config is needed")
    (tmp_path / "program.c").write_text(PROGRAM)
    environment = {**os.environ, "PKG_CONFIG_PATH": str(moved / "lib/some-machine/pkgconfig")}
    ask = ["pkg-config", "--cflags", "--libs", "vrcnn"]
    flags = shlex.split(subprocess.run(ask, env=environment, check=True, capture_output=True, text=True).stdout)
    subprocess.run(["cc", tmp_path / "program.c", "-o", tmp_path / "program", *flags], check=True)
    where = {"LD_LIBRARY_PATH": str(moved / "lib/some-machine")}
    assert subprocess.run([tmp_path / "program"], env=where, check=True, capture_output=True, text=True).stdout == shipped().identity


def test_cmake_finds_it(moved: Path, tmp_path: Path) -> None:
    if not shutil.which("cmake"):
        pytest.skip("CMake is needed")
    source = tmp_path / "project"
    source.mkdir()
    (source / "program.c").write_text(PROGRAM)
    (source / "CMakeLists.txt").write_text(PROJECT)
    configure = ["cmake", "-S", source, "-B", tmp_path / "built", f"-Dvrcnn_DIR={moved / 'lib/some-machine/cmake/vrcnn'}"]
    subprocess.run(configure, check=True, capture_output=True)
    subprocess.run(["cmake", "--build", tmp_path / "built"], check=True, capture_output=True)
    for name in ("shared", "static"):
        done = subprocess.run([tmp_path / "built" / name], check=True, capture_output=True, text=True)
        assert done.stdout == shipped().identity
    (source / "CMakeLists.txt").write_text(PROJECT.replace("vrcnn 0.1", "vrcnn 9.0"))
    assert subprocess.run(configure, capture_output=True).returncode != 0


def test_uninstall_removes_what_install_wrote_and_nothing_else(prefix: Path, tmp_path: Path) -> None:
    place = tmp_path / "usr"
    (place / "lib64").mkdir(parents=True)
    kept = place / "lib64/libother.so"
    kept.write_bytes(b"")
    words = f"PREFIX={place}", "LIBDIR=lib64"
    for _ in range(2):  # the second time there is nothing left to remove, which is no error
        assert make(prefix, "uninstall", *words).returncode == 0
        assert make(prefix, "install", *words).returncode == 0
        assert len([path for path in place.rglob("*") if not path.is_dir()]) == 11
        assert make(prefix, "uninstall", *words).returncode == 0
        assert [path for path in place.rglob("*") if not path.is_dir()] == [kept]
    assert not (place / "include/vrcnn").exists()
    for elsewhere in ("/usr/lib", "../lib", f"{place}x/lib"):
        done = make(prefix, "install", f"PREFIX={place}", f"LIBDIR={elsewhere}")
        assert done.returncode != 0
        assert "is not in PREFIX" in done.stdout
    assert [path for path in place.rglob("*") if not path.is_dir()] == [kept]


def test_the_manual_page_has_every_option(prefix: Path) -> None:
    page = (prefix / "share/man/man1/vrcnn_filter.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"--[a-z0-9-]+", tool(prefix, "--help").stdout))
    assert len(options) > 15
    assert set(re.findall(r"^\.BI? (--[a-z0-9-]+)", page, flags=re.M)) == options
    if shutil.which("groff"):
        done = subprocess.run(["groff", "-man", "-ww", "-Tascii", "-z", prefix / "share/man/man1/vrcnn_filter.1"], capture_output=True)
        assert (done.returncode, done.stderr) == (0, b"")
