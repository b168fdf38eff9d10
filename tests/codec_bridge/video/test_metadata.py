"""What Y4M carries beside samples goes through reading and writing; what a file cannot carry is said."""

from fractions import Fraction
from pathlib import Path

import pytest

from codec_bridge.video.files import write_y4m
from codec_bridge.video.metadata import LARGEST, SITINGS, Metadata, y4m_rate
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError
from tests.support import media, streams


@pytest.mark.parametrize("siting", ["", "left", "center", "top left"])
@pytest.mark.parametrize("full_range", [None, False, True])
def test_y4m_carries_metadata(tmp_path: Path, siting: str, full_range: bool | None) -> None:
    metadata = Metadata(Fraction(16, 11), full_range, siting)
    write_y4m(tmp_path / "a.y4m", media.pictures(1), 25, metadata)
    assert open_video(tmp_path / "a.y4m").metadata == metadata
    assert metadata.lost(".y4m", "420", 8) == []


def test_what_is_not_said_is_not_written(tmp_path: Path) -> None:
    write_y4m(tmp_path / "a.y4m", media.pictures(1), 25)
    assert (tmp_path / "a.y4m").read_bytes().startswith(b"YUV4MPEG2 W100 H60 F25:1 Ip A0:0 C420\nFRAME\n")
    assert open_video(tmp_path / "a.y4m").metadata == Metadata()


def test_what_is_lost_is_said() -> None:
    said = Metadata(Fraction(4, 3), True, "left", True, True, 90, (1, 1, 1), ("1 audio stream",))
    also = [
        "its colour description",
        "the rotation by 90 degrees",
        "that its pictures are interlaced",
        "that its pictures are single fields",
    ]
    assert sorted(said.lost(".y4m", "420", 8)) == sorted([*also, "1 audio stream"])
    assert "the siting of chroma (left)" in said.lost(".y4m", "420", 10)
    assert "the siting of chroma (left)" not in said.lost(".y4m", "422", 10)
    yuv = said.lost(".yuv", "420", 8)
    assert {"the sample aspect ratio 4/3", "the full range of its samples", "the siting of chroma (left)"} < set(yuv)
    assert Metadata(siting=SITINGS[4]).lost(".y4m", "420", 8) == ["the siting of chroma (bottom left)"]
    assert Metadata(Fraction(1), False).lost(".yuv", "420", 8) == []


def test_metadata_of_a_stream(tmp_path: Path) -> None:
    path = streams.write(tmp_path / "a.hevc", streams.hevc("qp=32:hash=1:sar=4:range=full:chromaloc=2:colorprim=bt709", 2))
    assert open_video(path).metadata == Metadata(Fraction(16, 11), True, "top left", colours=(1, 2, 2))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("29.97002997002997", "30000/1001"),
        ("23.976023976023978", "24000/1001"),
        ("29.97", "2997/100"),
        ("25", "25"),
        ("0.0000001", "1/10000000"),
    ],
)
def test_rates_fit_into_32_bits(tmp_path: Path, text: str, expected: str) -> None:
    assert y4m_rate(Fraction(text)) == Fraction(expected)
    write_y4m(tmp_path / "a.y4m", media.pictures(1), Fraction(text))
    assert open_video(tmp_path / "a.y4m").rate == Fraction(expected)


def test_any_rate_is_written_readably_or_refused(tmp_path: Path) -> None:
    for rate in (Fraction(LARGEST, LARGEST - 1), Fraction(1000000000, 33366667), Fraction(10**12 + 7, 10**10 + 3), Fraction(LARGEST)):
        near = y4m_rate(rate)
        assert max(near.numerator, near.denominator) <= LARGEST
        assert abs(near / rate - 1) < Fraction(1, 10**6)
        write_y4m(tmp_path / "a.y4m", media.pictures(1), rate)
        assert open_video(tmp_path / "a.y4m").rate == near
    for rate in (Fraction(LARGEST + 1), Fraction(1, 10**12)):
        with pytest.raises(VideoError, match="does not fit into a Y4M file"):
            write_y4m(tmp_path / "b.y4m", media.pictures(1), rate)
    assert not (tmp_path / "b.y4m").exists()
