"""Codecs: how each is run, and where the filter goes into it. A new codec is a class (base.Codec) and a line in CODECS."""

from importlib import import_module

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.base import Codec

CODECS: dict[str, str | type[Codec]] = {
    "x265": "codec_bridge.codecs.pyav",
    "hm": "codec_bridge.codecs.hm.codec",
    "x265-loop": "codec_bridge.codecs.x265.codec",
}
"""By their words on the command line: the class, or the module that has it as CODEC and is loaded when the codec is wanted."""

DEFAULT = "x265"


def find(name: str) -> type[Codec]:
    """The class of a codec. Raises CodecError, listing the known names, if there is none."""
    if name not in CODECS:
        raise CodecError(f"unknown codec {name!r}; known: {', '.join(CODECS)}")
    entry = CODECS[name]
    if isinstance(entry, str):
        codec: type[Codec] = import_module(entry).CODEC
        return codec
    return entry


def every() -> list[type[Codec]]:
    """All codecs, in the order in which texts list them."""
    return [find(name) for name in CODECS]
