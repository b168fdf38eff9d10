"""What a stream says is compared with what its user says."""

from pathlib import Path

import pytest

from codec_bridge.bitstream.pictures import Coding
from codec_bridge.video.coding import Coded
from codec_bridge.video.picture import VideoError


def coded(*codings: tuple[float, bool, bool]) -> Coded:
    return Coded(Path("a.hevc"), [Coding(*coding) for coding in codings])


def test_qps() -> None:
    stream = coded((29, False, False), (35, False, False))
    assert stream.qp == 32
    for qps in ((32,), (29,), (35,), (22, 27, 32, 37)):
        stream.check_qp(qps)
    for qps, listed in (((27,), "27"), ((37,), "37"), ((22, 27), "22 or 27")):
        with pytest.raises(VideoError, match=rf"a\.hevc was coded at QP 29 to 35 \(mean 32\.0\), not at {listed}: give --qp auto"):
            stream.check_qp(qps)


@pytest.mark.parametrize(
    ("deblocking", "sao", "said"), [(True, True, "deblocking and SAO"), (True, False, "deblocking"), (False, True, "SAO")]
)
def test_filters_in_the_loop_mean_after_sao(deblocking: bool, sao: bool, said: str) -> None:
    stream = coded((32, False, False), (32, deblocking, sao))
    assert stream.position == "after_sao"
    stream.check_position("after_sao")
    with pytest.raises(VideoError, match=rf"has {said} in its loop: .*give --position after_sao, or --trust-options"):
        stream.check_position("before_deblocking")


def test_no_filters_mean_before_deblocking() -> None:
    stream = coded((32, False, False))
    stream.check_position("before_deblocking")
    with pytest.raises(VideoError, match=r"has neither deblocking nor SAO in its loop: .*give --position before_deblocking"):
        stream.check_position("after_sao")


def test_where_nothing_is_known_nothing_is_refused() -> None:
    nothing = coded()
    nothing.check_qp([5])
    nothing.check_position("after_sao")
    assert nothing.position == "before_deblocking"
    with pytest.raises(VideoError, match="does not say at what QP it was coded"):
        _ = nothing.qp
