"""codec-bridge filter into Matroska and MP4: the filter's own samples, and all else of the source as it was, or said by name."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from codec_bridge.cli.commands import app
from codec_bridge.evaluation.beside import BestCrop, split_screen
from codec_bridge.evaluation.filtering import filtered
from codec_bridge.filter import Filter
from codec_bridge.video.encoded import container_writer
from codec_bridge.video.encoding import Encoding
from codec_bridge.video.files import write_y4m
from codec_bridge.video.frames import frame_from_picture
from codec_bridge.video.metadata import Metadata
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, sample_type
from tests.support import media
from vrcnn_int.errors import VrcnnError

TIMES = (0, 40, 80, 200, 210, 250, 330, 400)
"""Milliseconds at which the pictures of `programme` are shown."""
MATRIX = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
COLOURS = (9, 16, 9)


def programme(path: Path, subtitles: str = "", sound: str = "aac", codec: str = "libx264", tags: bool = True) -> list[Picture]:
    """A file with all that a container may hold; returns its pictures."""
    clip = media.pictures(len(TIMES), 64, 48)
    options = {"crf": "30", "chroma_sample_location": "3"}
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25, options=options | ({"x265-params": "log-level=none"} if codec == "libx265" else {}))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        video.codec_context.sample_aspect_ratio = Fraction(12, 11)
        video.codec_context.color_range = 2
        video.codec_context.color_primaries, video.codec_context.color_trc, video.codec_context.colorspace = COLOURS
        video.set_display_matrix(MATRIX)
        audio = out.add_stream(sound, rate=48000)
        audio.metadata.update({"language": "fra"} | ({"title": "sound"} if tags else {}))
        text = av.open(BytesIO(b"1\n00:00:00,050 --> 00:00:00,200\nHello\n\n2\n00:00:00,250 --> 00:00:00,300\nWorld\n"), "r", format="srt")
        lines = (
            out.add_stream(subtitles, rate=1)
            if subtitles == "mov_text"
            else out.add_stream_from_template(text.streams[0])
            if subtitles
            else None
        )
        out.metadata.update({"title": "A title", "artist": "Somebody"} | ({"own": "mine"} if tags else {}))
        out.set_chapters(
            [
                {"id": n, "start": 200 * n, "end": 200 * n + 200, "time_base": Fraction(1, 1000), "metadata": {"title": f"Part {n}"}}
                for n in range(2)
            ]
        )
        for moment, picture in zip(TIMES, clip, strict=True):
            frame = frame_from_picture(picture)
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        for start in range(0, 24000, 1024):
            wave = (np.sin(np.arange(start, start + 1024) / 20)[None] * 0.3).astype(np.float32)
            heard = av.AudioFrame.from_ndarray(np.repeat(wave, 2, axis=0), format="fltp", layout="stereo")
            heard.pts, heard.sample_rate = start, 48000
            out.mux(audio.encode(heard))
        out.mux(audio.encode(None))
        for packet in text.demux() if lines is not None else ():
            if packet.size:
                packet.stream = lines
                out.mux(packet)
    return clip


def packets(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """When each packet of the first such stream begins, and what is in it."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


def words(path: Path) -> tuple[Any, ...]:
    """Chapters, and tags of the file and of its streams."""
    with av.open(str(path)) as container:
        chapters = [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()]
        kept = {"title", "artist", "own", "language"}
        tags = [
            {k.lower(): v for k, v in tags.items() if k.lower() in kept and v != "und"}
            for tags in (container.metadata, *(s.metadata for s in container.streams if s.type != "data"))
        ]
        return chapters, tags


def filter_into(out: Path, source: Path, *options: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["filter", str(source), str(out), *options])
    assert done.exit_code == code, (done.output, done.exception)
    return f"{done.exception}" if isinstance(done.exception, VrcnnError) else done.output


def expected(source: Path) -> list[Picture]:
    """By the oracle's equal, the C library, with each picture's own network of the set for decoded video."""
    with Filter("joint_post") as filter_:
        return [
            filter_.filter_picture(picture, qp=round(picture.coding.qp), position="after_sao")
            for picture in open_video(source)
            if picture.coding
        ]


@pytest.mark.parametrize(
    ("source", "out", "codec"), [("mkv", "mkv", "libx264"), ("mkv", "mkv", "libx265"), ("mp4", "mp4", "libx264"), ("mp4", "mkv", "libx265")]
)
def test_all_of_a_file_is_kept(tmp_path: Path, source: str, out: str, codec: str) -> None:
    before, after = tmp_path / f"in.{source}", tmp_path / f"out.{out}"
    programme(before, "srt" if source == "mkv" else "", codec=codec, tags=source == "mkv")
    said = filter_into(after, before, "--threads", "3")
    assert "does not hold" not in said
    assert "evenly timed" not in said
    assert media.equal(open_video(after), expected(before))
    written, own = ([picture.time for picture in open_video(path) if picture.time is not None] for path in (after, before))
    assert [round(1000 * (moment - own[0])) for moment in own] == list(TIMES)
    shift = written[0] - own[0]  # what Matroska has no negative times for: sound that begins before the picture
    assert shift == (Fraction(21, 1000) if (source, out) == ("mp4", "mkv") else 0)
    assert [moment - shift for moment in written] == own
    kinds = ("audio", "subtitle") if source == "mkv" else ("audio",)
    for kind in kinds:
        copied, there = packets(after, kind), packets(before, kind)
        assert [data for _, data in copied] == [data for _, data in there]
        assert all(abs(a - shift - b) <= Fraction(1, 1000) for (a, _), (b, _) in zip(copied, there, strict=True))
    assert words(after) == words(before)
    metadata = open_video(after).metadata
    assert replace(metadata, further=()) == replace(open_video(before).metadata, further=())
    assert (metadata.aspect, metadata.full_range, metadata.siting) == (Fraction(12, 11), True, "top left")
    assert (metadata.colours, metadata.matrix) == (COLOURS, MATRIX)


def test_what_mp4_does_not_hold_is_said(tmp_path: Path) -> None:
    programme(tmp_path / "in.mkv", "srt")
    said = filter_into(tmp_path / "out.mp4", tmp_path / "in.mkv")
    assert "out.mp4 does not hold subtitle stream 2 (srt), the tag OWN, the tag title of audio stream 1 (aac)" in said
    assert open_video(tmp_path / "out.mp4").metadata.matrix == MATRIX


def test_sound_that_mp4_does_not_hold_is_refused(tmp_path: Path) -> None:
    programme(tmp_path / "in.mkv", sound="tta")
    said = filter_into(tmp_path / "out.mp4", tmp_path / "in.mkv", code=1)
    assert ".mp4 files do not hold audio stream 1 (tta); give an .mkv file" in said
    assert os.listdir(tmp_path) == ["in.mkv"]


def test_the_first_pictures_have_their_part_of_the_rest(tmp_path: Path) -> None:
    programme(tmp_path / "in.mkv", "srt")
    filter_into(tmp_path / "out.mkv", tmp_path / "in.mkv", "--frames", "3")
    assert media.equal(open_video(tmp_path / "out.mkv"), expected(tmp_path / "in.mkv")[:3])
    end = packets(tmp_path / "out.mkv", "audio")[-1][0]
    assert Fraction(80, 1000) < end < Fraction(200, 1000)
    assert len(words(tmp_path / "out.mkv")[0]) == 1
    assert len(packets(tmp_path / "out.mkv", "subtitle")) == 1


def test_a_rate_that_is_given_counts(tmp_path: Path) -> None:
    programme(tmp_path / "in.mkv")
    filter_into(tmp_path / "out.mp4", tmp_path / "in.mkv", "--rate", "30000/1001")
    times = [picture.time for picture in open_video(tmp_path / "out.mp4")]
    assert times == [n * Fraction(1001, 30000) for n in range(len(TIMES))]


def test_y4m_and_raw_streams(tmp_path: Path) -> None:
    clip = media.pictures(3, 64, 48)
    write_y4m(tmp_path / "in.y4m", clip, 25, Metadata(Fraction(12, 11), True, "center"))
    filter_into(tmp_path / "out.mkv", tmp_path / "in.y4m", "--qp", "32")
    with Filter() as filter_:
        assert media.equal(open_video(tmp_path / "out.mkv"), [filter_.filter_picture(picture, qp=32) for picture in clip])
    assert open_video(tmp_path / "out.mkv").metadata == Metadata(Fraction(12, 11), True, "center")
    assert [picture.time for picture in open_video(tmp_path / "out.mkv")] == [Fraction(n, 25) for n in range(3)]
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for picture in clip for plane in picture.planes))
    raw = ("--qp", "32", "--size", "64x48", "--format", "yuv420p")
    assert "in.yuv does not say its rate, which .mp4 files have: give --rate" in filter_into(
        tmp_path / "a.mp4", tmp_path / "in.yuv", *raw, code=1
    )
    filter_into(tmp_path / "a.mp4", tmp_path / "in.yuv", *raw, "--rate", "24")
    assert open_video(tmp_path / "a.mp4").rate == 24


def extremes(bit_depth: int, chroma_format: str) -> list[Picture]:
    """Noise, and nothing but the smallest and largest samples: what an encoder that is not lossless cannot keep."""
    rng = np.random.default_rng(5)
    like = media.pictures(3, 40, 24, bit_depth, chroma_format)
    most = (1 << bit_depth) - 1
    made = []
    for number, picture in enumerate(like):
        draw = (lambda shape: rng.choice([0, most], shape)) if number else (lambda shape: rng.integers(0, most + 1, shape))
        made.append(picture.with_planes(tuple(draw(plane.shape).astype(sample_type(bit_depth)) for plane in picture.planes)))
    return made


@pytest.mark.parametrize("encoder", [None, "libx264", "libx265", "ffv1"])
@pytest.mark.parametrize("bit_depth", [8, 9, 10, 12])
@pytest.mark.parametrize("chroma_format", ["400", "420", "444"])
def test_lossless_is_lossless(tmp_path: Path, encoder: str | None, bit_depth: int, chroma_format: str) -> None:
    clip = extremes(bit_depth, chroma_format)
    write_y4m(tmp_path / "in.y4m", clip, 25)
    video = open_video(tmp_path / "in.y4m")
    suffix = ".mkv" if encoder else ".mp4"
    if (encoder, bit_depth) in (("libx264", 9), ("libx265", 9), ("libx264", 12)):
        with pytest.raises(VrcnnError, match=f"{encoder} does not encode {bit_depth} bits; give --encoder .*ffv1"):
            write(tmp_path / f"out{suffix}", clip, video, Encoding(encoder))
        assert os.listdir(tmp_path) == ["in.y4m"]
        return
    write(tmp_path / f"out{suffix}", clip, video, Encoding(encoder))
    found = list(open_video(tmp_path / f"out{suffix}"))
    if encoder == "libx264" and chroma_format == "400":  # FFmpeg decodes them as 4:2:0
        found = [Picture(picture.planes[:1], bit_depth, "400") for picture in found]
    assert [picture.planes[0].tobytes() for picture in found] == [picture.planes[0].tobytes() for picture in clip]
    assert [[plane.tobytes() for plane in picture.planes] for picture in found] == [
        [plane.tobytes() for plane in picture.planes] for picture in clip
    ]


def write(path: Path, clip: list[Picture], video: Any, encoding: Encoding) -> None:
    with container_writer(path, video, encoding) as writer:
        for picture in clip:
            writer.write(picture)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("out.y4m", "--crf", "20"), "--crf is for .mkv and .mp4 files, not .y4m"),
        (("out.mkv", "--encoder", "vp9"), "unknown encoder 'vp9'; there are libx264, libx265, ffv1"),
        (("out.mkv", "--preset", "quick"), "unknown preset 'quick'; there are ultrafast"),
        (("out.mkv", "--encoder", "ffv1", "--crf", "20"), "ffv1 is always lossless"),
        (("out.avi",), "the output is .yuv, .y4m, .mkv or .mp4, not 'out.avi'"),
        (("out.mkv", "--preview", "p.avi"), "the preview is .mkv or .mp4, not 'p.avi'"),
        (("out.mkv", "--compare", "c.jpg"), "the comparison is .png, not 'c.jpg'"),
        (("out.mkv", "--preview", "out.mkv"), "are the same file"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], message: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_y4m("in.y4m", media.pictures(1, 16, 16), 25)
    assert message in filter_into(Path(options[0]), Path("in.y4m"), "--qp", "32", *options[1:], code=1)
    assert os.listdir() == ["in.y4m"]


def test_crf_and_preset_reach_the_encoder(tmp_path: Path) -> None:
    write_y4m(tmp_path / "in.y4m", media.pictures(4, 128, 96), 25)
    sizes = []
    for options in ((), ("--crf", "10"), ("--crf", "40"), ("--crf", "40", "--encoder", "libx265", "--preset", "ultrafast")):
        out = tmp_path / f"{len(sizes)}.mkv"
        filter_into(out, tmp_path / "in.y4m", "--qp", "32", *options)
        sizes.append(out.stat().st_size)
        with av.open(str(out)) as container:
            assert container.streams.video[0].codec_context.name == ("hevc" if "libx265" in options else "h264")
    assert sizes[0] > sizes[1] > sizes[2]


def test_preview_and_comparison(tmp_path: Path) -> None:
    programme(tmp_path / "in.mkv")
    originals = media.pictures(len(TIMES), 64, 48, seed=2)
    write_y4m(tmp_path / "original.y4m", originals, 25)
    extra = ("--preview", str(tmp_path / "p.mp4"), "--compare", str(tmp_path / "c.png"), "--original", str(tmp_path / "original.y4m"))
    said = filter_into(tmp_path / "out.mkv", tmp_path / "in.mkv", *extra)
    assert f"mean gain over {len(TIMES)} pictures" in said
    before, after = list(open_video(tmp_path / "in.mkv")), expected(tmp_path / "in.mkv")
    shown = list(open_video(tmp_path / "p.mp4"))
    assert [picture.time for picture in shown] == [picture.time for picture in open_video(tmp_path / "out.mkv")]
    for picture, one, other in zip(shown, before, after, strict=True):
        halves = split_screen(one, other)
        for plane, left, right in zip(halves.planes, one.planes, other.planes, strict=True):
            cut, line = plane.shape[1] // 2, plane.shape[1] // 32
            np.testing.assert_array_equal(plane[:, :cut], left[:, :cut])
            np.testing.assert_array_equal(plane[:, cut + line :], right[:, cut + line :])
        assert np.abs(picture.planes[0].astype(int) - halves.planes[0]).mean() < 3
    with Image.open(tmp_path / "c.png") as image:
        assert image.size == (3 * 3 * 64, 3 * 48 + 16)
    errors = [
        ((a.planes[0].astype(int) - c.planes[0]) ** 2).sum() - ((b.planes[0].astype(int) - c.planes[0]) ** 2).sum()
        for a, b, c in zip(before, after, originals, strict=True)
    ]
    assert f"c.png: picture {int(np.argmax(errors))} at 0, 0" in said


def test_the_crop_without_an_original_is_where_most_changes() -> None:
    clip = media.pictures(3, 400, 300)
    changed = clip[1].planes[0].copy()
    changed[160:200, 240:300] ^= 64
    after = [clip[0], clip[1].with_luma(changed), clip[2]]
    crop = BestCrop(Metadata())
    assert [a for _, a, _ in crop.watch((one, other, None) for one, other in zip(clip, after, strict=True))] == after
    assert crop.picture == 1
    assert crop.x <= 240 <= 300 <= crop.x + 176
    assert crop.y <= 160 <= 200 <= crop.y + 112


def test_pictures_stay_in_order_and_few_are_held() -> None:
    """The first of three pictures takes longest; nobody reads further ahead than there are filters, and one."""
    clip = media.pictures(9, 16, 16)
    taken: list[int] = []

    def source() -> Iterator[Picture]:
        for number, picture in enumerate(clip):
            taken.append(number)
            yield picture

    def network(number: int) -> Any:
        def apply(picture: Picture) -> Picture:
            time.sleep(0.05 if number == 0 else 0)
            return picture.with_luma(picture.planes[0] + 1)

        return apply

    numbers = iter(range(9))
    given = filtered(source(), [network] * 3, lambda picture: next(numbers) % 3)
    for count, (before, after) in enumerate(given):
        assert before is clip[count]
        np.testing.assert_array_equal(after.planes[0], clip[count].planes[0] + 1)
        assert len(taken) <= count + 4
    assert taken == list(range(9))


def command(tmp_path: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "codec_bridge.cli", "filter", str(tmp_path / "in.y4m"), *options]


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_an_interrupted_command_leaves_no_file(tmp_path: Path, suffix: str) -> None:
    write_y4m(tmp_path / "in.y4m", media.pictures(2, 640, 480) * 100, 25)
    options = (str(tmp_path / f"out.{suffix}"), "--qp", "32", "--preview", str(tmp_path / "p.mp4"))
    program = subprocess.Popen(command(tmp_path, *options), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert program.stderr is not None
    deadline = time.monotonic() + 100
    while len(os.listdir(tmp_path)) < 3 and time.monotonic() < deadline:  # both are being written
        time.sleep(0.05)
    assert len(os.listdir(tmp_path)) == 3
    program.send_signal(signal.SIGINT)
    assert program.wait(100) == 130
    assert program.stderr.read() == b"interrupted\n"
    assert os.listdir(tmp_path) == ["in.y4m"]


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path: Path) -> None:
    write_y4m(tmp_path / "in.y4m", extremes(8, "420") * 30, 25)
    done = subprocess.run(
        command(tmp_path, str(tmp_path / "out.mkv"), "--qp", "32"),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30000, 30000)),
    )
    assert done.returncode == 1
    assert done.stderr == f"error: cannot write {tmp_path / 'out.mkv'}: File too large\n"
    assert os.listdir(tmp_path) == ["in.y4m"]
