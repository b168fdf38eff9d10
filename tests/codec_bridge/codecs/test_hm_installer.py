"""The installer changes an HM checkout by whole marked lines, all or none, and takes them out again exactly."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from codec_bridge.codecs import insertion
from codec_bridge.codecs.hm.places import HM
from codec_bridge.codecs.insertion import Edit, InsertionError, find_library
from tests.support.hm_checkout import make_checkout, make_library

BUILDS = [("18.0", "cmake"), ("16.20", "make")]


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in sorted(folder.rglob("*")) if p.is_file()}


def marked(folder: Path) -> list[str]:
    return [line.strip() for data, _ in snapshot(folder).values() for line in data.decode().splitlines() if line.endswith("vrcnn-int")]


@pytest.mark.parametrize(("version", "build"), BUILDS)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_install_again_and_undo(tmp_path: Path, version: str, build: str, newline: str) -> None:
    hm = make_checkout(tmp_path / "hm", version, build, newline)
    (hm / "source/Lib/TLibEncoder/TEncTop.cpp").chmod(0o640)
    library = find_library(make_library(tmp_path / "prefix"))
    before = snapshot(hm)
    assert insertion.status(HM, hm) == insertion.Status(version, build, "not installed", "")

    changed = insertion.install(HM, hm, library)
    after = snapshot(hm)
    assert {str(path.relative_to(hm)) for path in changed} == {name for name in after if after[name] != before.get(name)}
    assert insertion.status(HM, hm) == insertion.Status(version, build, "installed", str(tmp_path / "prefix/lib/libvrcnn.a"))
    assert insertion.install(HM, hm, library) == []
    assert snapshot(hm) == after
    for name, (data, _) in before.items():
        kept = [line for line in after[name][0].splitlines(keepends=True) if b"vrcnn-int" not in line]
        assert b"".join(kept) == data
        assert all(line.endswith(newline.encode()) for line in after[name][0].splitlines(keepends=True))

    assert len(insertion.uninstall(HM, hm)) == len(changed)
    assert snapshot(hm) == before
    assert insertion.uninstall(HM, hm) == []
    assert insertion.status(HM, hm).state == "not installed"


def test_lines_stand_where_they_should(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    insertion.install(HM, hm, find_library(make_library(tmp_path / "prefix")))
    gop = (hm / "source/Lib/TLibEncoder/TEncGOP.cpp").read_text().splitlines()
    at = next(i for i, line in enumerate(gop) if "loopFilterPic" in line)
    assert "m_vrcnn.beforeDeblocking(pcPic)" in gop[at - 1]
    assert "m_vrcnn.afterDeblocking(pcPic)" in gop[at + 1]
    assert "m_vrcnn.afterSao" in gop[at + 2]
    assert "binCountsInNalUnits" in gop[at + 3]
    assert "m_vrcnn.writeSei(accessUnit)" in gop[at + 4]
    assert "m_bSeqFirst" in gop[at + 5]
    assert not any("vrcnn" in line for line in gop[at + 9 :])
    cavlc = (hm / "source/Lib/TLibDecoder/TDecCAVLC.cpp").read_text().splitlines()
    assert sum("vrcnnExtension" in line for line in cavlc) == 2
    assert "vrcnnExtension.append(nothing);" in cavlc[next(i for i, line in enumerate(cavlc) if "READ_CODE" in line) + 1]
    cmake = (hm / "CMakeLists.txt").read_text().splitlines()  # outside of 16.21's if( XCODE )
    assert "add_subdirectory" in cmake[next(i for i, line in enumerate(cmake) if "link_libraries" in line) + 1]
    assert "lldb" not in "".join(cmake[next(i for i, line in enumerate(cmake) if "include_directories" in line) :])
    header = (hm / "source/Lib/TLibCommon/TComSlice.h").read_text().splitlines()
    assert header.index("{") + 2 == next(i for i, line in enumerate(header) if "VrcnnHmExtension vrcnnExtension" in line)


def test_another_library_replaces_the_first(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm", "16.20", "make")
    insertion.install(HM, hm, find_library(make_library(tmp_path / "one")))
    count = len(marked(hm))
    shared = find_library(make_library(tmp_path / "two", shared=True))
    assert [path.name for path in insertion.install(HM, hm, shared)] == ["makefile.base"]
    assert len(marked(hm)) == count
    text = (hm / "build/linux/common/makefile.base").read_text()
    assert str(tmp_path / "one") not in text
    assert f'"{tmp_path}/two/lib/libvrcnn.so" "-Wl,-rpath,{tmp_path}/two/lib" "-lpthread"' in text
    assert insertion.status(HM, hm).state == "installed"


@pytest.mark.parametrize("edit", HM.edits, ids=lambda edit: f"{edit.file.rsplit('/')[-1]}:{edit.anchor or edit.scope}")
def test_a_place_that_is_not_there_is_named_and_nothing_changes(tmp_path: Path, edit: Edit) -> None:
    """Without its anchor, and with the anchor twice where one is expected."""
    hm = make_checkout(tmp_path / "hm")
    path = hm / edit.file
    lines = path.read_text().splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if not edit.scope or edit.begins(line))
    at = next(i for i in range(start, len(lines)) if not edit.anchor or re.search(edit.anchor, lines[i].rstrip()))
    library = find_library(make_library(tmp_path / "prefix"))
    variants = [lines[:at] + lines[at + 1 :]]
    if not edit.first and edit.anchor:
        variants.append([*lines[: at + 1], lines[at], *lines[at + 1 :]])
    for variant in variants:
        path.write_text("".join(variant))
        before = snapshot(hm)
        with pytest.raises(InsertionError, match=path.name.replace(".", r"\.")):
            insertion.install(HM, hm, library)
        assert snapshot(hm) == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    (hm / "source/Lib/TLibEncoder/TEncTop.cpp").unlink()
    with pytest.raises(InsertionError, match=r"has no source/Lib/TLibEncoder/TEncTop\.cpp"):
        insertion.install(HM, hm, find_library(make_library(tmp_path / "prefix")))
    assert marked(hm) == []


def test_untested_versions_want_force(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm", "16.19")
    library = find_library(make_library(tmp_path / "prefix"))
    with pytest.raises(InsertionError, match=r"HM 16\.19 was never tested, only 16\.20, .*16\.26 and 18\.0 were; try it"):
        insertion.install(HM, hm, library)
    assert insertion.install(HM, hm, library, force=True)


def test_no_hm_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InsertionError, match="is not a checkout of HM"):
        insertion.status(HM, tmp_path)
    hm = make_checkout(tmp_path / "hm")
    (hm / "CMakeLists.txt").unlink()
    with pytest.raises(InsertionError, match="way of building is not known"):
        insertion.status(HM, hm)
    with pytest.raises(InsertionError, match=r"there is no .*vrcnn\.h; install the C library with: make install PREFIX="):
        find_library(tmp_path)
    prefix = make_library(tmp_path / "prefix")
    (prefix / "lib/libvrcnn.a").unlink()
    with pytest.raises(InsertionError, match=r"no libvrcnn\.a or libvrcnn\.so"):
        find_library(prefix)
    (prefix / "include/vrcnn/vrcnn.h").write_text("")
    with pytest.raises(InsertionError, match="earlier version"):
        find_library(prefix)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InsertionError, match="pkg-config does not know libvrcnn"):
        find_library()


def test_paths_that_build_files_cannot_hold(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    with pytest.raises(InsertionError, match="cannot hold this path"):
        insertion.install(HM, hm, find_library(make_library(tmp_path / "with$dollar")))
    assert marked(hm) == []


def test_changed_installations_are_seen(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    library = find_library(make_library(tmp_path / "prefix"))
    insertion.install(HM, hm, library)
    adapter = hm / "source/Lib/TLibCommon/VrcnnHmFilter.cpp"
    adapter.write_text("// of another version\n")
    assert "install again" in insertion.status(HM, hm).state
    insertion.install(HM, hm, library)
    assert insertion.status(HM, hm).state == "installed"
    adapter.unlink()
    assert insertion.status(HM, hm).state == "partly installed; install again"
    header = hm / "source/Lib/TLibDecoder/TDecGop.h"
    header.write_text(header.read_text().replace("  VrcnnHmDecoder m_vrcnn; // vrcnn-int\n", ""))
    assert "install again" in insertion.status(HM, hm).state


def test_command_line(tmp_path: Path) -> None:
    hm = make_checkout(tmp_path / "hm")
    prefix = make_library(tmp_path / "prefix")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "codec_bridge.cli", "hm", *words, "--hm", str(hm)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "200"})

    installed = run("install", "--vrcnn", str(prefix))
    assert installed.returncode == 0, installed.stderr
    assert "files changed; build HM, then code with --VRCNN=1" in installed.stdout
    assert "do not conform to Main" in installed.stdout
    status = run("status")
    assert "HM 18.0, built with cmake: installed" in status.stdout
    assert "do not conform to Main" in status.stdout
    assert "not there" not in status.stdout
    prefix.rename(tmp_path / "elsewhere")
    assert f"library: {prefix}/lib/libvrcnn.a, which is not there: install" in run("status").stdout
    (tmp_path / "elsewhere").rename(prefix)
    assert "the checkout is as it was" in run("uninstall").stdout
    assert "not installed" in run("status").stdout
    (hm / "source/Lib/TLibDecoder/TDecGop.cpp").write_text("\n")
    failed = run("install", "--vrcnn", str(prefix))
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: source/Lib/TLibDecoder/TDecGop.cpp: in TDecGop::init")
    assert failed.stderr.count("\n") == 1


@pytest.mark.skipif(not os.environ.get("HM_ROOT"), reason="needs HM's source: HM_ROOT")
def test_a_real_checkout(tmp_path: Path) -> None:
    """The user's own checkout, copied and taken back to what it was without the adapter."""
    root = Path(os.environ["HM_ROOT"])
    if not (root / "source").is_dir():
        pytest.skip("HM_ROOT has no source")
    hm = tmp_path / "hm"
    keep = ("source", "CMakeLists.txt", "build/linux")
    for name in keep:
        if (root / name).is_dir():
            shutil.copytree(root / name, hm / name, ignore=shutil.ignore_patterns("*.o", "*.d", "objects*"))
        elif (root / name).is_file():
            shutil.copy2(root / name, hm / name)
    insertion.uninstall(HM, hm)
    before = snapshot(hm)
    library = find_library(make_library(tmp_path / "prefix"))
    assert insertion.install(HM, hm, library, force=True)
    assert insertion.status(HM, hm).state == "installed"
    assert insertion.install(HM, hm, library, force=True) == []
    insertion.uninstall(HM, hm)
    assert snapshot(hm) == before
