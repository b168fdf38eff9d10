"""Files are written whole or not at all, never over what is read, through links, and into devices instead of over them."""

import errno
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import append_text, check_outputs, is_standard_output, replacing, write_bytes, write_text


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert left(tmp_path) == ["a.txt"]


def test_a_new_file_has_an_ordinary_mode_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.touch(mode=0o640)
    before = os.umask(0o022)
    try:
        write_bytes(new, b"1")
        write_bytes(old, b"2")
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o644
    assert stat.S_IMODE(old.stat().st_mode) == 0o640


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    link, dangling = tmp_path / "link", tmp_path / "dangling"
    link.symlink_to("folder/target")
    dangling.symlink_to(link)
    write_text(dangling, "1")
    assert (tmp_path / "folder/target").read_text() == "1"
    assert link.is_symlink()
    assert dangling.is_symlink()
    write_text(link, "2")
    assert (tmp_path / "folder/target").read_text() == "2"
    assert link.is_symlink()


def test_pipes_and_devices_are_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(pipe.read_text()))
    reader.start()
    check_outputs([pipe], replace=False)
    write_text(pipe, "through")
    reader.join()
    assert seen == ["through"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert left(tmp_path) == ["pipe"]
    ours, theirs = os.openpty()  # not /dev/null: a fault would cost the machine that
    terminal = os.ttyname(theirs)
    write_text(terminal, "through")
    assert os.read(ours, 100) == b"through"
    assert stat.S_ISCHR(os.stat(terminal).st_mode)
    os.close(ours)
    os.close(theirs)


def test_descriptors_of_this_process_are_written_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("w") as file:
        file.write("before ")
        file.flush()
        for name in (f"/dev/fd/{file.fileno()}", f"/proc/self/fd/{file.fileno()}"):
            write_text(name, "within ")
        file.write("after")
    assert path.read_text() == "before within within after"


@pytest.mark.parametrize("name", ["/proc/self/fd/1", "/dev/fd/1", "link", "out.txt"])
def test_standard_output_in_a_file_is_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/proc/self/fd/1")
    code = (
        "from vrcnn_int.files import *; import sys; print('before'); assert is_standard_output(sys.argv[1]);"
        "write_text(sys.argv[1], 'document\\n'); print('after')"
    )
    with (tmp_path / "out.txt").open("wb") as out:
        subprocess.run([sys.executable, "-c", code, name], cwd=tmp_path, stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "before\ndocument\nafter\n"


def test_what_is_not_standard_output(tmp_path: Path) -> None:
    assert not is_standard_output(tmp_path / "new")
    assert not is_standard_output(os.devnull)


def refusal(outputs: list[Path], inputs: list[Path] | None = None, replace: bool = True) -> str:
    before = {path: path.lstat().st_mode for path in outputs if os.path.lexists(path)}
    with pytest.raises(VrcnnError) as caught:
        check_outputs(outputs, inputs or [], replace)
    assert before == {path: path.lstat().st_mode for path in outputs if os.path.lexists(path)}
    assert str(outputs[0]) in str(caught.value)
    return str(caught.value)


def test_no_output_is_an_input_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, link, hard, two = (tmp_path / name for name in ("in.y4m", "link.y4m", "hard.y4m", "two"))
    source.write_bytes(b"video")
    link.symlink_to(source)
    hard.hardlink_to(source)
    two.symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with source.open("rb") as file:
        aliases = [source, link, hard, two / "in.y4m", Path("in.y4m"), Path("/proc/self/cwd/in.y4m"), Path(f"/dev/fd/{file.fileno()}")]
        for output in aliases:
            assert "is an input of this command" in refusal([output], [tmp_path / "none", source])
        for given in aliases:
            assert "is an input of this command" in refusal([source], [given])
    assert left(tmp_path) == ["hard.y4m", "in.y4m", "link.y4m", "two"]


def test_no_two_outputs_are_one_file(tmp_path: Path) -> None:
    link, new = tmp_path / "link", tmp_path / "new"
    link.symlink_to(new)
    assert "the same file" in refusal([link, new])
    new.touch()
    assert "the same file" in refusal([link, new])
    check_outputs([Path(os.devnull), Path(os.devnull)])
    check_outputs([new, tmp_path / "other"])


def test_an_older_file_asks_for_force(tmp_path: Path) -> None:
    old, link = tmp_path / "old", tmp_path / "link"
    old.touch()
    link.symlink_to(old)
    for path in (old, link):
        assert "--force" in refusal([path], replace=False)
        check_outputs([path])
    check_outputs([tmp_path / "new"], replace=False)
    assert left(tmp_path) == ["link", "old"]


def test_what_cannot_be_written_is_found_before(tmp_path: Path) -> None:
    loop, file = tmp_path / "loop", tmp_path / "file"
    loop.symlink_to(loop)
    file.touch()
    assert "Too many levels of symbolic links" in refusal([loop])
    assert "File name too long" in refusal([tmp_path / ("x" * 300)])
    assert "no folder" in refusal([tmp_path / "none/a"])
    assert "Not a directory" in refusal([file / "a"])
    assert "folder" in refusal([tmp_path])
    assert "Bad file descriptor" in refusal([Path("/dev/fd/987654")])
    check_outputs([tmp_path / ("x" * 255), tmp_path / ("x." + "y" * 200)])
    check_outputs([tmp_path / "made/here/a"], make_folders=True)
    assert left(tmp_path / "made/here") == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_protected_files_and_folders_stay(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(mode=0o444)
    assert "write-protected" in refusal([file])
    tmp_path.chmod(0o555)
    assert "Permission denied" in refusal([tmp_path / "new"])


def test_errors_of_writing_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(VrcnnError, match=f"cannot write {tmp_path}/a: No space left on device"), replacing(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    read, written = os.pipe()
    os.close(read)
    with pytest.raises(VrcnnError, match=f"cannot write /dev/fd/{written}: whoever reads it has gone"):
        write_bytes(f"/dev/fd/{written}", b"1")
    os.close(written)
    with pytest.raises(OSError, match="not of the output"), replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "not of the output", "input")
    assert left(tmp_path) == []


def test_lines_are_added_whole(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append_text(log, "one\n")
    append_text(log, "two\n")
    assert log.read_text() == "one\ntwo\n"
    with pytest.raises(VrcnnError, match="cannot write /dev/full: No space left on device"):
        append_text("/dev/full", "x")
