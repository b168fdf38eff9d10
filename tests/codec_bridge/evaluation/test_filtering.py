"""A video filtered and measured, without the command around it."""

from pathlib import Path

import numpy as np
import pytest

from codec_bridge.evaluation.filtering import filtered, measured, picture_filters
from codec_bridge.figures.metrics import picture_psnr
from codec_bridge.video.files import write_y4m
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import VideoError
from tests.support import media
from tests.support.models import shipped
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import filter_plane


def test_pictures_are_the_oracle_s_and_shown_beside_their_originals(tmp_path: Path) -> None:
    clip = media.pictures(3, 40, 24)
    write_y4m(tmp_path / "a.y4m", clip, 25)
    write_y4m(tmp_path / "b.y4m", media.pictures(3, 40, 24, seed=2), 25)
    video, original = open_video(tmp_path / "a.y4m"), open_video(tmp_path / "b.y4m")
    shown: list[tuple[int, tuple[float, ...], tuple[float, ...]]] = []
    apply = picture_filters(None, shipped(), scale=5)
    results = list(measured(filtered(video, [apply], lambda _: 1), video, original, lambda *values: shown.append(values)))
    for number, ((before, after, _), picture, truth) in enumerate(zip(results, clip, original, strict=True)):
        assert media.equal([before], [picture])
        np.testing.assert_array_equal(after.planes[0], filter_plane(shipped().networks[1], picture.planes[0], 8, 5))
        assert shown[number] == (number, picture_psnr(before, truth), picture_psnr(after, truth))


def test_an_original_that_ends_first_is_refused(tmp_path: Path) -> None:
    write_y4m(tmp_path / "a.y4m", media.pictures(3, 16, 16), 25)
    write_y4m(tmp_path / "b.y4m", media.pictures(2, 16, 16), 25)
    video, original = open_video(tmp_path / "a.y4m"), open_video(tmp_path / "b.y4m")
    pictures = measured(((picture, picture) for picture in video), video, original, lambda *_: None)
    with pytest.raises(VideoError, match=r"b\.y4m ends after 2 pictures, .*a\.y4m goes on"):
        list(pictures)


def test_what_cannot_filter_is_refused() -> None:
    with pytest.raises(VrcnnError, match=r"unknown backend 'gpu'; there are .*oracle.* and float"):
        picture_filters(None, shipped(), backend="gpu")
    with pytest.raises(VrcnnError, match="the float network has no output scale"):
        picture_filters(None, shipped(), scale=7, backend="float")
