"""Decoding of whole HEVC streams, any encoder's, with FFmpeg: every picture is verified by its hash."""

from collections.abc import Iterator

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import read_units
from codec_bridge.video.picture import Picture
from vrcnn_int.text import counted


def decode(data: bytes, *, cropping: bool = False, check_hash: bool = True, pictures: int | None = None) -> Iterator[Picture]:
    """Decode an HEVC byte stream, picture by picture in output order.

    cropping: False gives the coded planes with ``crop`` saying what lies outside the conformance window, True the
    pictures inside it. check_hash: every picture must carry a picture hash and decode to it. pictures: how many
    there must be.
    Raises CodecError, naming the picture (counted from 0 in decoding order), for a damaged stream, a picture whose hash
    is missing or does not match, a wrong number of pictures, and a stream with networks in the loop, which this decoder lacks.
    """
    from codec_bridge.video.hevc import Decoder  # loads PyAV

    if pictures is not None:
        found = len(nal.access_units(nal.split(data)))
        if found != pictures:
            raise CodecError(f"the stream has {counted(found, 'picture')} instead of {pictures}")
    decoder = Decoder(required=check_hash, ignored=not check_hash)
    for picture in decoder.decode(read_units(nal.scan(data))):
        yield picture.cropped() if cropping else picture
    if not decoder.findings.pictures:
        raise CodecError("the stream has no picture that can be decoded")
