"""Keys of results and of kept streams: what older evaluations were kept under is found again, whatever the code looks like."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from codec_bridge import codecs
from codec_bridge.codecs.base import OFF, ORDINARY, Loop, Request
from codec_bridge.codecs.programs import Programs
from codec_bridge.evaluation import keys
from codec_bridge.evaluation.settings import Settings
from codec_bridge.evaluation.steps import Steps
from codec_bridge.evaluation.store import digest
from codec_bridge.evaluation.stream_cache import StreamCache
from codec_bridge.evaluation.streams import Streams
from codec_bridge.video.catalogue import Sequence

CLIP = Sequence("clip", Path("clip.y4m"), "", 416, 240, Fraction(30000, 1001), 8, "420", None)
DEEP = replace(CLIP, bit_depth=10, chroma_format="444")

KEYS = {
    "x265 ai plain": "a47bacb1 94bc5a7d 4214253e 136b031f eabed740",
    "x265 ai rich": "844ed172 dda2caba 0fac497e 3468c4b1 59dd1554",
    "hm ai plain": "d9bec3e3 0fa1870f 2ba8ec6e 7b39491f 6d0b6b9e 2908a7f2 e1d730d1",
    "hm ai rich": "1e9c1f1c 1091ae72 1ae91e1d 8a51ea9a d29a8839 95028701 82877d8b",
    "hm ra plain": "043ba32e da45d5eb 10550518 2c2908d9 f404bb4a 655474b0 50dfb6e1",
    "hm ra rich": "0118f010 08f35813 38befd05 cd717923 fbcfa458 51fdfecb 9f36ff34",
    "hm ldb plain": "43e3a541 6cd28b12 aaa5f4c1 7514e348 9f7e33e1 2170fdf8 51e84dcb",
    "hm ldb rich": "4910ee06 427ce880 54a870a8 3f7364d7 a6395aac 27289200 c991bad7",
    "hm ldp plain": "275b8c1f 827bc6b0 489ec753 34b3de7e ea5a79f0 5e09845c 3db8613e",
    "hm ldp rich": "03896f32 468ea45a 1aed108f ce6f3c3d db1b3ef1 08b25c24 dc515261",
    "x265-loop ai plain": "a3d603af a18435a7 52dc1cd7 e7997d5d e9a55fde",
    "x265-loop ai rich": "964c9230 d83113cb df13e6ee 54343f0a 4f441769",
    "x265-loop ldp plain": "1c1d17e9 c0d4e909 969a054e 08d3d6e0 1c10132f",
    "x265-loop ldp rich": "619619fd 846718e2 f5451d0a 9c9cdec8 76f035c2",
    "x265-loop ra plain": "1d1c1969 13dbd62c d68cc0d1 9b6d7a19 8034be3d",
    "x265-loop ra rich": "c1932f22 f4931a94 6d58af66 4cb85c72 48c3398d",
}
"""The first digits of each variant's key, in the codec's order: with the defaults (plain), or with everything changed (rich)."""


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs, libraries and packages that are the same on every machine."""
    for codec in codecs.every():
        monkeypatch.setattr(codec, "programs", lambda *_: Programs("stub 1", {"stub": "00"}))
    monkeypatch.setattr(keys, "file_hash", lambda _: "11")
    monkeypatch.setattr(keys, "float_file", lambda _: None)
    monkeypatch.setattr(keys, "_installed", lambda _: "2")
    monkeypatch.setattr(keys.metrics, "VERSION", 1)


@pytest.mark.usefixtures("stubs")
@pytest.mark.parametrize("name", KEYS)
def test_a_result_is_kept_under_the_same_key_as_ever(name: str) -> None:
    codec, configuration, how = name.split()
    settings, sequence = Settings(codec, variants=codecs.find(codec).variants, configuration=configuration), CLIP
    if how == "rich":
        changes: dict[str, Any] = {"model": Path("/models/mine.vrcnn"), "kernel": "scalar", "position": "after_sao", "preset": "fast"}
        settings, sequence = replace(settings, check=True, **changes), DEEP
    inputs = [keys.inputs_of(sequence, 4, "33", 32, variant, settings, 32 * "ab") for variant in settings.variants]
    assert " ".join(digest(values)[:8] for values in inputs) == KEYS[name]


@pytest.mark.usefixtures("stubs")
def test_what_side_information_costs_is_in_the_keys_of_joint_networks_that_filter_everywhere() -> None:
    settings = Settings("x265", variants=codecs.find("x265").variants)
    for variant in settings.variants:
        luma, joint = (keys.inputs_of(CLIP, 4, "33", 32, variant, settings, 32 * "ab", kind) for kind in ("luma", "joint"))
        paid = {"side_information_bits": 16} if variant in ("integer", "float") else {}
        assert joint == luma | paid


@pytest.mark.parametrize(
    ("codec", "loop", "key"),
    [
        ("x265", ORDINARY, "c003b2f527e82e0d"),
        ("x265", OFF, "5c1684ca2ad5f2dd"),
        ("hm", ORDINARY, "c003b2f527e82e0d"),
        ("hm", OFF, "e4538290a83a6b14"),
        ("x265-loop", ORDINARY, "c003b2f527e82e0d"),
        ("x265-loop", OFF, "5c1684ca2ad5f2dd"),
    ],
)
def test_a_kept_stream_is_found_under_the_same_key_as_ever(codec: str, loop: Loop, key: str, tmp_path: Path) -> None:
    asked: list[str] = []

    class Asked(StreamCache):
        def load(self, key: str) -> None:
            asked.append(key[:16])
            raise LookupError

    streams = Streams(codecs.find(codec)(), Request(32, CLIP, 1), [], Steps(), Asked(tmp_path), {"sequence": "clip"})
    with pytest.raises(LookupError):
        streams.verified(loop)
    assert asked == [key]
