"""Decoding of HEVC streams, any encoder's, with FFmpeg: every picture is verified by its hash."""

import hashlib
from collections.abc import Iterator

import av

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.video.container import picture_from_frame
from codec_bridge.video.picture import Picture, VideoError, sample_bytes


def decode(data: bytes, *, cropping: bool = False, check_hash: bool = True, pictures: int | None = None) -> Iterator[Picture]:
    """Decode an HEVC byte stream, picture by picture in output order.

    cropping: False gives the coded planes with ``crop`` saying what lies outside the conformance window, True the
    pictures inside it. check_hash: every picture must carry an MD5 picture hash and decode to it. pictures: how many
    there must be.
    Raises CodecError, naming the picture (counted from 0 in decoding order), for a damaged stream, a picture whose hash
    is missing or does not match, and a wrong number of pictures.
    """
    nals = nal.split(data)
    units = nal.access_units(nals)
    if pictures is not None and len(units) != pictures:
        raise CodecError(f"the stream has {len(units)} pictures instead of {pictures}")
    windows = {nal.parse_sps(part).window for part in nals if part.type == nal.SPS and part.layer == 0}
    if len(windows) != 1:
        raise CodecError(f"the stream has {len(windows) or 'no'} sequence parameter sets of different windows")
    crop = windows.pop()

    # Packets are numbered by pts, so that a decoded picture finds its access unit's hash whatever the output order is.
    context = av.CodecContext.create("hevc", "r")
    if not isinstance(context, av.VideoCodecContext):
        raise CodecError("FFmpeg has no HEVC decoder")
    context.thread_count = 1  # frame threads drop damaged pictures without an error
    context.options = {"err_detect": "explode", "apply_cropping": "0"}
    decoded: set[int] = set()
    for number, unit in enumerate([*units, None]):
        packet = None
        if unit is not None:
            packet = av.Packet(b"".join(b"\0\0\0\1" + part.data for part in unit))
            packet.pts = packet.dts = number
        try:
            frames = context.decode(packet)
        except av.FFmpegError as error:
            at = min(number, len(units) - 1)
            raise CodecError(f"picture {at} cannot be decoded: {error.strerror or error}") from None
        for frame in frames:
            index = frame.pts
            if index is None or index in decoded:
                raise CodecError(f"the stream is damaged after picture {len(decoded)}: a picture came out twice")
            decoded.add(index)
            try:
                picture = picture_from_frame(frame, crop)
            except VideoError as error:
                raise CodecError(f"picture {index}: {error}") from None
            if check_hash:
                _check_hash(picture, nal.picture_hashes(units[index]), index)
            yield picture.cropped() if cropping else picture
    if len(decoded) != len(units):
        raise CodecError(f"the stream has {len(units)} pictures, {len(decoded)} came out of the decoder")


def _check_hash(picture: Picture, hashes: list[bytes], index: int) -> None:
    if len(hashes) != 1:
        raise CodecError(f"picture {index} carries {len(hashes) or 'no'} picture hashes instead of one")
    if hashes[0][:1] != bytes([nal.MD5]):
        raise CodecError(f"picture {index} carries a picture hash other than MD5, which cannot be checked")
    # Clause D.3.19.
    actual = [hashlib.md5(sample_bytes(plane)).digest() for plane in picture.planes]
    stated = [hashes[0][1 + 16 * k : 17 + 16 * k] for k in range(len(actual))]
    wrong = [name for name, a, b in zip("YUV", actual, stated, strict=False) if a != b]
    if wrong or len(hashes[0]) != 1 + 16 * len(actual):
        raise CodecError(f"picture {index} does not match its MD5 picture hash ({', '.join(wrong) or 'wrong length'})")
