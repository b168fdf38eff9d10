"""The installers of x265 and libde265 change a source tree by whole marked lines, all or none, and take them out again exactly."""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from codec_bridge.codecs import insertion
from codec_bridge.codecs.insertion import Codec, Edit, InsertionError, cmake, find_library
from codec_bridge.codecs.libde265.places import LIBDE265
from codec_bridge.codecs.x265.places import X265
from tests.support.hm_checkout import make_library

CODECS = {"x265": X265, "libde265": LIBDE265}
ROOT = Path(__file__).parents[3]

SMALL = Codec(
    name="small",
    version=("version.txt", r"^version (\S+)"),
    tested=("1.0",),
    package="codec_bridge.codecs.libde265",
    adapter={"vrcnn_de265.h": "src"},
    edits=(
        Edit("src/a.cc", r"^\s*run\(\);", ("  before();",), "A::go"),
        Edit("src/a.cc", r"^\s*run\(\);", ("  after();", "  last();"), "A::go", after=True),
        Edit("src/a.h", r"^public:", ("  int vrcnn;",), "class A", after=True, first=True),
    ),
    builds=(cmake("CMakeLists.txt", r"^add_subdirectory"),),
    following="",
    notice="",
)
FILES = {
    "version.txt": "version 1.0\n",
    "src/a.cc": "void A::stop()\n{\n  run();\n}\n\nint A::go(int a,\n          int b)\n{\n  x();\n  run();\n}\n",
    "src/a.h": "class A;\nclass A : B {\npublic:\n  int a;\npublic:\n};\n",
    "CMakeLists.txt": "project(small)\nadd_subdirectory(src)\nadd_subdirectory(more)\n",
}


def make_tree(folder: Path, newline: str = "\n", **changed: str) -> Path:
    for name, text in (FILES | {"src/" + k + ".cc": v for k, v in changed.items()}).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", newline).encode("latin-1"))
    return folder


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_install_again_and_undo(tmp_path: Path, newline: str) -> None:
    tree = make_tree(tmp_path / "tree", newline, b="// \xe9\n")
    (tree / "src/a.h").chmod(0o640)
    library = find_library(make_library(tmp_path / "prefix"))
    before = snapshot(tree)
    assert insertion.status(SMALL, tree) == insertion.Status("1.0", "cmake", "not installed", "")
    changed = insertion.install(SMALL, tree, library)
    assert {str(path.relative_to(tree)) for path in changed} == {"src/a.cc", "src/a.h", "CMakeLists.txt", "src/vrcnn_de265.h"}
    code = (tree / "src/a.cc").read_text().splitlines()
    assert [line.removesuffix(" // vrcnn-int") for line in code[9:13]] == ["  before();", "  run();", "  after();", "  last();"]
    assert code[2] == "  run();"
    assert code[1] == "{"
    assert (tree / "src/a.h").read_text().splitlines()[3] == "  int vrcnn; // vrcnn-int"
    assert (tree / "src/a.h").stat().st_mode & 0o777 == 0o640
    cmake = (tree / "CMakeLists.txt").read_text().splitlines()
    assert cmake[1:4] == [
        f'include_directories("{library.include}") # vrcnn-int',
        f'link_libraries("{library.link[0]}" "-lpthread") # vrcnn-int',
        "add_subdirectory(src)",
    ]
    assert all(line.endswith(newline.encode()) for line in (tree / "src/a.cc").read_bytes().splitlines(keepends=True))
    assert insertion.status(SMALL, tree) == insertion.Status("1.0", "cmake", "installed", library.link[0])
    assert insertion.install(SMALL, tree, library) == []
    assert len(insertion.uninstall(SMALL, tree)) == 4
    assert snapshot(tree) == before
    assert insertion.uninstall(SMALL, tree) == []


def test_nothing_changes_unless_every_place_is_found(tmp_path: Path) -> None:
    library = find_library(make_library(tmp_path / "prefix"))
    for number, (text, message) in enumerate(
        [
            (FILES["src/a.cc"].replace("  run();\n}\n\nint", "}\n\nint").replace("A::go", "A::gone"), "found no such places"),
            (FILES["src/a.cc"].replace("  x();", "  run();"), "2 lines match"),
            (FILES["src/a.cc"].removesuffix("}\n"), "its end is not found"),
        ]
    ):
        tree = make_tree(tmp_path / str(number), a=text)
        before = snapshot(tree)
        with pytest.raises(InsertionError, match=message):
            insertion.install(SMALL, tree, library)
        assert snapshot(tree) == before


def test_refusals(tmp_path: Path) -> None:
    library = find_library(make_library(tmp_path / "prefix"))
    tree = make_tree(tmp_path / "tree")
    (tree / "version.txt").write_text("version 2.0\n")
    with pytest.raises(InsertionError, match=r"small 2.0 was never tested, only 1.0 was"):
        insertion.install(SMALL, tree, library)
    assert insertion.install(SMALL, tree, library, force=True)
    with pytest.raises(InsertionError, match="not a source tree of small"):
        insertion.status(SMALL, tmp_path)
    with pytest.raises(InsertionError, match="cannot hold this path"):
        insertion.install(SMALL, tree, replace(library, include=Path('/with "')), force=True)
    with pytest.raises(InsertionError, match="make install PREFIX"):
        find_library(tmp_path)
    (tmp_path / "prefix/include/vrcnn/vrcnn.h").write_text("int vrcnn_open(void);\n")
    with pytest.raises(InsertionError, match="earlier version"):
        find_library(tmp_path / "prefix")
    assert "-Wl,-rpath" in " ".join(find_library(make_library(tmp_path / "other", shared=True)).link)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["p\xfcx", "\u65e5\u672c", "a b \u20ac", os.fsdecode(b"no utf-8 \xfc")])
def test_paths_are_written_as_the_system_has_them(tmp_path: Path, name: str, newline: str) -> None:
    """Beside sources in UTF-8, in Latin-1, and with what ends a line to Unicode but not to compilers."""
    texts = b"// \xc3\xa9 \xe2\x80\xa8add_subdirectory(x)\n", b"// \xe9 \x85add_subdirectory(x)\n"
    prefix = make_library(tmp_path / name)
    (prefix / "include/vrcnn/vrcnn.h").write_bytes(b"/* \xe9 */ int vrcnn_receiver_open(void);\n")
    for number, text in enumerate(texts):
        tree = make_tree(tmp_path / f"tree{number}", newline)
        for file in ("CMakeLists.txt", "src/a.cc"):
            comment = text.replace(b"//", b"#") if file == "CMakeLists.txt" else text
            (tree / file).write_bytes(comment + (tree / file).read_bytes() + comment)
        before, library = snapshot(tree), find_library(prefix)
        insertion.install(SMALL, tree, library)
        lines = [line.rstrip(b"\r") for line in (tree / "CMakeLists.txt").read_bytes().split(b"\n")]
        assert b'include_directories("' + os.fsencode(library.include) + b'") # vrcnn-int' in lines
        assert insertion.status(SMALL, tree) == insertion.Status("1.0", "cmake", "installed", library.link[0])
        assert Path(insertion.status(SMALL, tree).library).is_file()
        assert insertion.install(SMALL, tree, library) == []
        insertion.uninstall(SMALL, tree)
        assert snapshot(tree) == before


def kinds(folder: Path) -> dict[str, tuple[str | bytes, int]]:
    """Every entry of a tree: a link's target, a file's bytes, and its mode."""
    return {
        str(path.relative_to(folder)): (os.readlink(path) if path.is_symlink() else path.read_bytes(), path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def test_links_stay(tmp_path: Path) -> None:
    """What they lead to is changed, and restored, in the tree and out of it."""
    library = find_library(make_library(tmp_path / "prefix"))
    tree = make_tree(tmp_path / "both/tree")
    (tmp_path / "both/kept").mkdir()
    for name, place in (("src/a.cc", "../../kept/a.cc"), ("src/a.h", "real.h")):
        (tree / name).rename(tree / "src" / place)
        (tree / name).symlink_to(place)
    (tree / "src/real.h").chmod(0o640)
    before = kinds(tmp_path / "both")
    insertion.install(SMALL, tree, library)
    assert (tree / "src/a.cc").is_symlink()
    assert (tree / "src/a.h").is_symlink()
    assert "vrcnn-int" in (tmp_path / "both/kept/a.cc").read_text()
    assert insertion.status(SMALL, tree).state == "installed"
    insertion.uninstall(SMALL, tree)
    assert kinds(tmp_path / "both") == before
    (tree / "src/vrcnn_de265.h").symlink_to("real.h")
    with pytest.raises(InsertionError, match=r"vrcnn_de265.h is a link"):
        insertion.install(SMALL, tree, library)
    (tree / "src/vrcnn_de265.h").unlink()
    (tree / "CMakeLists.txt").rename(tree / "src/a.txt")
    (tree / "CMakeLists.txt").symlink_to("src/a.txt")
    twins = replace(SMALL, edits=(*SMALL.edits, Edit("src/a.txt", r"^project", ("# here",))))
    with pytest.raises(InsertionError, match="links to one; nothing was changed"):
        insertion.install(twins, tree, library)
    assert not any("vrcnn-int" in str(path) for path in tree.rglob("*"))


@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undo: bool, error: BaseException) -> None:
    """Whatever fails of it, and whenever."""
    library = find_library(make_library(tmp_path / "prefix"))
    tree = make_tree(tmp_path / "tree")
    if undo:
        insertion.install(SMALL, tree, library)
    before = kinds(tree)
    for name, module in (("mkdtemp", tempfile), ("chmod", Path), ("replace", os)):
        for allowed in range(4 - (undo and name == "chmod")):
            with monkeypatch.context() as patch:
                left, real = [allowed], getattr(module, name)

                def fails(*words: object, _left: list[int] = left, _real: Callable[..., object] = real, **named: object) -> object:
                    _left[0] -= 1
                    if _left[0] == -1:
                        raise error
                    return _real(*words, **named)

                patch.setattr(module, name, fails)
                with pytest.raises((InsertionError, KeyboardInterrupt)) as raised:
                    insertion.uninstall(SMALL, tree) if undo else insertion.install(SMALL, tree, library)
            assert isinstance(raised.value, KeyboardInterrupt) or str(raised.value).endswith("nothing was changed")
            assert kinds(tree) == before
            assert not list(tree.rglob(".vrcnn-int.*"))
    insertion.uninstall(SMALL, tree) if undo else insertion.install(SMALL, tree, library)
    assert insertion.status(SMALL, tree).state == ("not installed" if undo else "installed")


def test_blanks_in_paths(tmp_path: Path) -> None:
    library = find_library(make_library(tmp_path / "a b/c d", shared=True))
    tree = make_tree(tmp_path / "my tree")
    insertion.install(SMALL, tree, library)
    folder = tmp_path / "a b/c d"
    assert (tree / "CMakeLists.txt").read_text().splitlines()[1:3] == [
        f'include_directories("{folder}/include") # vrcnn-int',
        f'link_libraries("{folder}/lib/libvrcnn.so" "-Wl,-rpath,\'{folder}/lib\'" "-lpthread") # vrcnn-int',
    ]
    assert insertion.status(SMALL, tree) == insertion.Status("1.0", "cmake", "installed", f"{folder}/lib/libvrcnn.so")
    insertion.uninstall(SMALL, tree)


def test_changed_or_partly_installed_trees_are_told(tmp_path: Path) -> None:
    library = find_library(make_library(tmp_path / "prefix"))
    tree = make_tree(tmp_path / "tree")
    insertion.install(SMALL, tree, library)
    with (tree / "src/vrcnn_de265.h").open("a") as file:
        file.write("\n")
    assert "changed since" in insertion.status(SMALL, tree).state
    (tree / "src/vrcnn_de265.h").unlink()
    assert "partly installed" in insertion.status(SMALL, tree).state
    assert len(insertion.install(SMALL, tree, library)) == 1
    assert insertion.status(SMALL, tree).state == "installed"


@pytest.mark.parametrize("name", CODECS)
def test_real_source_trees(name: str, tmp_path: Path) -> None:
    """Needs the source trees that `make codecs` gets, or X265_SOURCE and LIBDE265_SOURCE."""
    given = os.environ.get(f"{name.upper()}_SOURCE")
    found = [Path(given)] if given else sorted((ROOT / "build/codecs/packages").glob(f"{name}-*/"))
    if not found:
        pytest.skip(f"there is no source tree of {name}; make codecs gets one")
    codec = CODECS[name]
    tree = tmp_path / name
    shutil.copytree(found[0], tree, symlinks=True)
    insertion.uninstall(codec, tree)
    before = snapshot(tree)
    insertion.install(codec, tree, find_library(make_library(tmp_path / "prefix")))
    assert insertion.status(codec, tree).state == "installed"
    after = snapshot(tree)
    for file, (data, _) in before.items():
        kept = [line for line in after[file][0].splitlines(keepends=True) if not line.rstrip().endswith(b" vrcnn-int")]
        assert b"".join(kept) == data, file
    assert set(after) - set(before) == {f"{folder}/{name}" for name, folder in codec.adapter.items()}
    insertion.uninstall(codec, tree)
    assert snapshot(tree) == before
