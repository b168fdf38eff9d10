"""Sequences by name, folder and file."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from skimage import io

from codec_bridge.video import catalogue
from codec_bridge.video.catalogue import SEARCH_VARIABLE, CatalogueError, Sequence, auto_frames, read_catalogue, resolve
from codec_bridge.video.files import write_y4m, write_yuv
from codec_bridge.video.picture import VideoError
from tests.support import media
from vrcnn_int.io.documents import DocumentError


@pytest.fixture(autouse=True)
def no_search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SEARCH_VARIABLE, raising=False)


def test_builtin_pictures_are_there_and_are_what_the_catalogue_says() -> None:
    sequences = resolve("builtin")
    assert len(sequences) >= 8
    assert len({sequence.name for sequence in sequences}) == len(sequences)
    for sequence in sequences:
        sequence.verify()
        (picture,) = sequence.open()
        assert (picture.width, picture.height, picture.bit_depth) == (sequence.width, sequence.height, 8)
        assert picture.chroma_format == sequence.chroma_format == {"colour": "420", "gray": "400"}[sequence.class_name]
        assert picture.width % 8 == picture.height % 8 == 0
        assert sequence.source
        assert sequence.licence


def test_one_builtin_picture_by_name() -> None:
    (sequence,) = resolve("Chelsea")
    assert (sequence.name, sequence.frames, sequence.rate) == ("chelsea", 1, 1)
    assert [s.name for s in resolve("builtin:gray")] == [s.name for s in resolve("builtin") if s.class_name == "gray"]


def test_ctc_classes(tmp_path: Path) -> None:
    """24 sequences in six classes, found by the names they usually have."""
    sizes = {"A": (2560, 1600), "B": (1920, 1080), "C": (832, 480), "D": (416, 240), "E": (1280, 720)}
    with pytest.raises(CatalogueError, match="the search path is empty"):
        resolve("ctc")
    names = set()
    for class_name, count in zip("ABCDEF", (4, 5, 4, 4, 3, 4), strict=True):
        for sequence in catalogued(tmp_path, class_name):
            assert sequence.class_name == class_name
            assert (sequence.width, sequence.height) == sizes.get(class_name, (sequence.width, sequence.height))
            assert f"_{sequence.width}x{sequence.height}_{sequence.rate}" in sequence.path.name
            assert sequence.bit_depth == (10 if "10bit" in sequence.path.name else 8)
            names.add(sequence.name)
            count -= 1
        assert count == 0
    assert len(names) == 24


def catalogued(folder: Path, class_name: str) -> list[Sequence]:
    """Resolve a class, creating each file that is asked for (empty: resolving does not read them)."""
    while True:
        try:
            return resolve(f"ctc:{class_name}", folder)
        except CatalogueError as error:
            name = str(error).split("there is no ")[1].split(" ")[0]
            assert not (folder / name).exists()
            (folder / name).touch()


def test_search_path_setting_option_and_subfolders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "BasketballPass_416x240_50.yuv"
    first, second = tmp_path / "first", tmp_path / "second"
    (second / "ClassD").mkdir(parents=True)
    clip = media.pictures(2, 416, 240)
    write_yuv(second / "ClassD" / name, clip)
    with pytest.raises(CatalogueError, match=rf"BasketballPass: there is no {name} \(looked in {first} and"):
        resolve("BasketballPass", [first])
    monkeypatch.setenv(SEARCH_VARIABLE, f"{first}:{second}")
    (sequence,) = resolve("basketballpass")
    assert sequence.path == second / "ClassD" / name
    assert media.equal(sequence.open(1), clip[:1])
    assert media.equal(sequence.open(), clip)
    with pytest.raises(CatalogueError, match=SEARCH_VARIABLE):
        resolve("BasketballPass", first)
    with pytest.raises(VideoError, match="MD5 of BasketballPass is not known"):
        sequence.verify()
    # The same name without a catalogue word: the file itself, its size still known.
    (by_path,) = resolve(second / "ClassD" / name)
    assert (by_path.name, by_path.width, by_path.rate) == ("BasketballPass", 416, 50)


def test_a_catalogued_sequence_may_be_in_a_container(tmp_path: Path) -> None:
    clip = media.pictures(1, 416, 240)
    media.write_container(tmp_path / "BQSquare_416x240_60.mkv", clip, rate=25)
    (sequence,) = resolve("BQSquare", tmp_path)
    assert media.equal(sequence.open(), clip)
    assert sequence.open().rate == 60
    media.write_container(tmp_path / "RaceHorses_416x240_30.mkv", media.pictures(1, 208, 120))
    (wrong,) = resolve("RaceHorses", tmp_path)
    with pytest.raises(VideoError, match="208x120 8-bit pictures, RaceHorses should have 416x240"):
        wrong.open()


def test_folder_and_file(tmp_path: Path) -> None:
    write_y4m(tmp_path / "b.y4m", media.pictures(2, 32, 16, 10), Fraction(30000, 1001))
    media.write_container(tmp_path / "a.mkv", media.pictures(3, 48, 32))
    io.imsave(tmp_path / "c.png", np.zeros((40, 24, 3), np.uint8), check_contrast=False)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "d.mkv").mkdir()
    facts = [(s.name, s.width, s.height, s.rate, s.bit_depth, s.frames) for s in resolve(tmp_path)]
    assert facts == [
        ("a", 48, 32, 25, 8, None),
        ("b", 32, 16, Fraction(30000, 1001), 10, 2),
        ("c", 24, 40, 1, 8, 1),
    ]
    assert [s.name for s in resolve(str(tmp_path / "b.y4m"))] == ["b"]
    write_yuv(tmp_path / "e.yuv", media.pictures(2, 32, 16))
    with pytest.raises(VideoError, match=r"e\.yuv does not say how to read it"):
        resolve(tmp_path)
    sequence = resolve(tmp_path, size=(32, 16), pixel_format="yuv420p", rate=50)[-1]
    assert (sequence.name, sequence.rate, sequence.frames) == ("e", 50, 2)
    assert media.equal(sequence.open(), media.pictures(2, 32, 16))
    assert resolve(tmp_path, size=(32, 16), pixel_format="yuv420p", rate=50)[0].rate == 25


def test_what_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"'Foreman' is neither a file or folder nor a known name.*builtin, ctc"):
        resolve("Foreman")
    with pytest.raises(CatalogueError, match="set ctc has no class 'G'; it has A, B, C, D, E, F"):
        resolve("ctc:G")
    with pytest.raises(CatalogueError, match="has no video or picture files"):
        resolve(tmp_path)
    with pytest.raises(CatalogueError, match=r"nowhere\.mkv"):
        resolve(tmp_path / "nowhere.mkv")


@pytest.mark.parametrize(
    ("width", "height", "frames"),
    [(416, 240, 4), (352, 288, 4), (440, 250, 2), (832, 480, 2), (960, 540, 2), (1000, 900, 1), (1280, 720, 1), (1, 1, 4)],
)
def test_auto_frames(width: int, height: int, frames: int) -> None:
    assert auto_frames(width, height) == frames


ENTRY = 'name = "a"\nclass = "A"\nfiles = ["a.yuv"]\nwidth = 8\nheight = 8\nrate = "25"\nframes = 1\nsource = ""\nlicence = ""\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[sequence]]\n" + ENTRY, r"sequence\[0\]: bit_depth is missing"),
        ("bit_depth = 8\n[[sequence]]\n" + ENTRY.replace("width = 8", "width = 0"), r"sequence\[0\]\.width: 0 is not a whole number >= 1"),
        ("bit_depth = 8\n[[sequence]]\n" + ENTRY.replace('"25"', '"1/0"'), r"sequence\[0\]\.rate: '1/0' is not text"),
        ("bit_depth = '8'\n[[sequence]]\n" + ENTRY, r"sequence\[0\]\.bit_depth: '8' is not a whole number"),
        ("bits = 8\n[[sequence]]\n" + ENTRY, r"unknown key sequence\[0\]\.bits"),
        ("bit_depth = 8\n", "sequence: None is not a list"),
        ("sequence = 8\n", "sequence: 8 is not a list"),
        ("a = " + "[" * 10000, "is not TOML"),
    ],
)
def test_damaged_catalogues_are_named_with_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    for name in ("builtin", "ctc"):
        (tmp_path / f"{name}.toml").write_text(text)
    with pytest.raises(DocumentError, match=rf"ctc\.toml\b.*{words}"):
        read_catalogue(tmp_path / "ctc.toml")
    monkeypatch.setattr(catalogue, "_folder", lambda: tmp_path)
    with pytest.raises(CatalogueError, match=rf"cannot read the catalogue builtin.toml: .*{words}.*; reinstall"):
        resolve("camera")
