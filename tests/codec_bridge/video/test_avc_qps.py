"""QPs of H.264 streams and whether they are deblocked, as their slice headers say."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.bitstream.avc import FrameNumbers
from codec_bridge.cli.commands import app
from codec_bridge.video.coding import Coded
from codec_bridge.video.open import open_video
from tests.codec_bridge.video.test_lost_pictures import AVC, packets
from tests.support import streams


@pytest.mark.parametrize("suffix", ["mkv", "h264"])
@pytest.mark.parametrize("parameters", AVC.values(), ids=list(AVC))
def test_the_qp_of_each_picture(parameters: str, suffix: str, tmp_path: Path) -> None:
    path = streams.contained(tmp_path / f"a.{suffix}", 12, f"{parameters}:qp=23:ipratio=1:pbratio=1", "libx264")
    codings = open_video(path, lenient=True).codings()
    assert [(coding.qp, coding.deblocking, coding.sao) for coding in codings] == [(23, True, False)] * 12
    assert len(open_video(path, frames=5).codings()) == 5


def test_pictures_keep_their_own_whatever_their_order(tmp_path: Path) -> None:
    """x264 codes B pictures at a QP 2 above, I pictures 3 below that of P pictures."""
    path = streams.contained(tmp_path / "a.mkv", 9, "bframes=3:b-adapt=0:b-pyramid=none:qp=23:keyint=50:scenecut=0", "libx264")
    video = open_video(path)
    assert [coding.qp for coding in video.codings()] == [20, 23, 25, 25, 25, 23, 25, 25, 25]
    assert [picture.coding.qp for picture in video if picture.coding] == [20, 25, 25, 25, 23, 25, 25, 25, 23]
    assert Coded(path, video.codings()).position == "after_sao"


@pytest.mark.parametrize("cabac", [0, 1])
def test_without_deblocking(cabac: int, tmp_path: Path) -> None:
    path = streams.contained(tmp_path / "a.mp4", 6, f"qp=31:no-deblock=1:cabac={cabac}:ipratio=1:pbratio=1", "libx264")
    codings = open_video(path).codings()
    assert [(coding.qp, coding.deblocking) for coding in codings] == [(31, False)] * 6
    assert Coded(path, codings).position == "before_deblocking"


def test_damaged_headers_say_nothing(tmp_path: Path) -> None:
    whole = streams.contained(tmp_path / "a.mkv", 3, "bframes=0:qp=23", "libx264")
    data = [bytes(packet) for packet in packets(whole)]
    numbers = FrameNumbers()
    assert [numbers.coding(packet) for packet in data] == [None] * 3
    assert [numbers.coding(packet[:cut]) for packet in data for cut in (0, 4, 5)] == [None] * 9


def test_filter_takes_the_qps_of_h264(tmp_path: Path) -> None:
    path = streams.contained(tmp_path / "a.mp4", 3, "bframes=0:qp=28:ipratio=1", "libx264")

    def said(*words: str) -> str:
        return CliRunner().invoke(app, ["filter", str(path), str(tmp_path / "out.y4m"), "--force", *words], env={"COLUMNS": "300"}).output

    assert "QP 28, deblocking in the loop; filtered after_sao" in said()
    first = (tmp_path / "out.y4m").read_bytes()
    assert "wrote" in said("--qp", "28", "--position", "after_sao")
    assert (tmp_path / "out.y4m").read_bytes() == first
