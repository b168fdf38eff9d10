"""Draws docs/before_after.png, the picture in README: python docs/before_after.py

A crop of a photograph of scikit-image, coded by x265 all-intra: without in-loop filters, with deblocking and SAO, and with the network on
all planes of the first. PSNR of luma, Cb and Cr and bits are those of the whole picture.
"""

from fractions import Fraction
from pathlib import Path

import av
from PIL import Image, ImageDraw, ImageFont

from codec_bridge.figures.metrics import psnr
from codec_bridge.filter import Filter
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.frames import frame_from_picture, picture_from_frame
from codec_bridge.video.picture import Picture

NAME, QP, MODEL = "astronaut", 37, "joint_intra"
TOP, LEFT, SIDE, ENLARGED = 296, 56, 144, 2
GAP, LINE, TITLE = 8, 18, 44
PARAMETERS = f"qp={QP}:keyint=1:ipratio=1:aq-mode=0:cutree=0:info=0:wpp=0:pools=none:frame-threads=1:log-level=none"
UNFILTERED = ":no-deblock=1:no-sao=1"


def coded(picture: Picture, options: str = "") -> tuple[Picture, int]:
    """What x265 (medium) and FFmpeg make of a picture, and its bits."""
    encoder = av.CodecContext.create("libx265", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = picture.width, picture.height, picture.pixel_format, Fraction(1, 25)
    encoder.options = {"preset": "medium", "x265-params": PARAMETERS + options}
    packets = [*encoder.encode(frame_from_picture(picture)), *encoder.encode(None)]
    decoder = av.CodecContext.create("hevc", "r")
    (frame,) = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return picture_from_frame(frame), 8 * sum(packet.size for packet in packets)


def crop(picture: Picture) -> Image.Image:
    """The crop in colour, every sample ENLARGED times as wide and high."""
    samples = frame_from_picture(picture).to_ndarray(format="rgb24")[TOP : TOP + SIDE, LEFT : LEFT + SIDE]
    return Image.fromarray(samples).resize((SIDE * ENLARGED, SIDE * ENLARGED), Image.Resampling.NEAREST)


def draw(original: Picture, columns: list[tuple[str, Picture, int]]) -> Image.Image:
    """The crops side by side, with their names, PSNR and bits."""
    pitch = SIDE * ENLARGED + GAP
    sheet = Image.new("RGB", (pitch * len(columns) - GAP, TITLE + SIDE * ENLARGED), "white")
    for number, (name, picture, bits) in enumerate(columns):
        planes = zip(picture.planes, original.planes, strict=True)
        levels = " / ".join(f"{psnr(coded_plane, true_plane, 8):.2f}" for coded_plane, true_plane in planes)
        for line, text in enumerate((name, f"{levels} dB, {bits / 1000:.1f} kbit")):
            ImageDraw.Draw(sheet).text((number * pitch + 2, 3 + line * LINE), text, "black", ImageFont.load_default(14))
        sheet.paste(crop(picture), (number * pitch, TITLE))
    return sheet


def main() -> None:
    ((original,),) = (sequence.open(1) for sequence in resolve(NAME))
    (plain, bits), ordinary = coded(original, UNFILTERED), coded(original)
    with Filter(MODEL) as filter_:
        filtered = filter_.filter_picture(plain, qp=QP, kind="joint")
    columns = [("no in-loop filter", plain, bits), ("deblocking and SAO", *ordinary), ("this filter", filtered, bits)]
    draw(original, columns).save(Path(__file__).with_name("before_after.png"), optimize=True)


if __name__ == "__main__":
    main()
