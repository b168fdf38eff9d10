"""Codecs: how each is run, and where the filter goes into it. A new codec is a class (base.Codec) and a line in CODECS; what its
adapter goes into, a line in TREES."""

from importlib import import_module

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs import insertion
from codec_bridge.codecs.base import Codec
from codec_bridge.codecs.external.codec import codec_of
from codec_bridge.codecs.external.commands import Commands

CODECS: dict[str, str | type[Codec]] = {
    "x265": "codec_bridge.codecs.pyav",
    "hm": "codec_bridge.codecs.hm.codec",
    "x265-loop": "codec_bridge.codecs.x265.codec",
}
"""By their words on the command line: the class, or the module that has it as CODEC and is loaded when the codec is wanted."""

DEFAULT = "x265"

TREES = {
    "hm": "codec_bridge.codecs.hm.places:HM",
    "x265": "codec_bridge.codecs.x265.places:X265",
    "libde265": "codec_bridge.codecs.libde265.places:LIBDE265",
}
"""Programs that an adapter goes into, by the words of their commands: module and name."""


def find(name: str, commands: Commands | None = None) -> type[Codec]:
    """The class of a codec: of a plan's own where there are ``commands``. Raises CodecError, listing the known names, if there is none."""
    if commands is not None:
        return codec_of(commands)
    if name not in CODECS:
        raise CodecError(f"unknown codec {name!r}; known: {', '.join(CODECS)}")
    entry = CODECS[name]
    if isinstance(entry, str):
        codec: type[Codec] = import_module(entry).CODEC
        return codec
    return entry


def trees() -> dict[str, insertion.Codec]:
    """Programs that an adapter goes into, by the words of their commands."""
    found = ((word, place.split(":")) for word, place in TREES.items())
    return {word: getattr(import_module(module), name) for word, (module, name) in found}


def every() -> list[type[Codec]]:
    """All codecs, in the order in which texts list them."""
    return [find(name) for name in CODECS]
