"""How videos are opened: names, containers, hashes, lost pictures, what streams say of QP and filters, metadata, picture files."""

from pathlib import Path

import av
import numpy as np
from PIL import Image

from codec_bridge.bitstream import nal
from tests.support import media, streams
from tests.tools.cases import Bench, Outcome, Ran, case, inputs

OFF = inputs.NOTHING_IN_THE_LOOP
EOS, EOB = b"\0\0\1\x48\x01", b"\0\0\1\x4a\x01"


def pictures(path: Path) -> int:
    """Of a Y4M file; 0 if there is none."""
    return path.read_bytes().count(b"FRAME\n") if path.exists() else 0


def filtered(bench: Bench, name: str, data: bytes | None = None, *options: object) -> tuple[Ran, int]:
    """Filter a file, written before if data are given: what was said, and how many pictures came out."""
    if data is not None:
        (bench.folder / name).write_bytes(data)
    done = bench.bridge("filter", bench.folder / name, "o.y4m", *(options or ("--qp", "32")))
    return done, pictures(bench.folder / "o.y4m")


def refusal(done: Ran, *words: str) -> Outcome:
    """Right is one line with these words, and nothing written."""
    return Outcome(done.is_refusal and all(word in done.err for word in words), done.last or f"exit code {done.code}, nothing said")


def whole(done: Ran, found: int, count: int, *words: str) -> Outcome:
    """Right are so many pictures, exit code 0 and these words."""
    said = done.err + done.out
    return Outcome(done.code == 0 and found == count and all(word in said for word in words), f"{found} pictures, {done.last}")


SLICES = "qp=32:bframes=0:slices=3:ctu=32:pools=2:hash=0"
"""Of 96x96 pictures; x265 loses slices itself where it has fewer threads or columns."""


# ---- names ----


@case("A 4", "a file's name is read as an address")
def concat_name(bench: Bench) -> Outcome:
    (bench.folder / "sps.hevc").write_bytes(inputs.hevc(64, 64, 1, OFF + "1"))
    (bench.folder / "concat:sps.hevc").write_bytes(inputs.hevc(64, 64, 3, OFF + "1"))
    done = bench.bridge("filter", "concat:sps.hevc", "o.y4m", "--qp", "32")
    return whole(done, pictures(bench.folder / "o.y4m"), 3)


@case("A 4 b", "other names that look like addresses")
def other_names(bench: Bench) -> Outcome:
    data = inputs.hevc(64, 64, 2, OFF + "1")
    wrong = []
    for name in ("subfile,,start,0,end,9,,:x.hevc", "file:x.hevc", "http:x.hevc", "%03d.hevc", "crypto:x.hevc"):
        (bench.folder / name).write_bytes(data)
        (bench.folder / "o.y4m").unlink(missing_ok=True)
        done = bench.bridge("filter", name, "o.y4m", "--qp", "32")
        if done.code or pictures(bench.folder / "o.y4m") != 2:
            wrong.append(f"{name}: {done.last}")
    return Outcome(not wrong, "; ".join(wrong) or "all read")


@case("A 4 c", "a playlist under a video's name reads the files it names")
def playlist(bench: Bench) -> Outcome:
    (bench.folder / "secret.hevc").write_bytes(inputs.hevc(64, 64, 2, OFF + "1"))
    seen = []
    for name, text in (
        ("a.mkv", "ffconcat version 1.0\nfile secret.hevc\n"),
        ("b.mkv", "#EXTM3U\n#EXTINF:1,\nsecret.hevc\n#EXT-X-ENDLIST\n"),
    ):
        done, count = filtered(bench, name, text.encode())
        seen.append((done.is_refusal and "playlist" in done.err and not count, done.last))
    return Outcome(all(right for right, _ in seen), seen[0][1])


@case("E 4 b", "pipes, devices and loops of links are said to be missing")
def no_files(bench: Bench) -> Outcome:
    (bench.folder / "loop.mkv").symlink_to("loop.mkv")
    bench.run("mkfifo", "pipe.mkv")
    wanted = (
        (("filter", "loop.mkv", "o.y4m", "--qp", "32"), "symbolic links"),
        (("bdrate", "--sequences", "pipe.mkv"), "pipe"),  # `filter` waits for what will be written into one
        (("filter", "/dev/null", "o.y4m", "--qp", "32"), "device"),
    )
    said = [(bench.bridge(*words, timeout=30), word) for words, word in wanted]
    return Outcome(all(done.is_refusal and word in done.err for done, word in said), "; ".join(done.last for done, _ in said))


# ---- what a stream's pictures are ----


@case("A 5", "pictures are cropped with the first parameter set")
def two_sizes(bench: Bench) -> Outcome:
    return refusal(filtered(bench, "sps.hevc", inputs.two_sizes())[0], "picture 2 is 66x58", "70x58")


@case("A 6", "a picture without its slice is dropped")
def lost_slice(bench: Bench) -> Outcome:
    return refusal(filtered(bench, "lost.hevc", inputs.picture_lost())[0], "picture 1")


@case("A 6 b", "the same with --lenient: goes on, counts, exit code 3")
def lost_slice_lenient(bench: Bench) -> Outcome:
    done, count = filtered(bench, "lost.hevc", inputs.picture_lost(), "--qp", "32", "--lenient")
    return Outcome(done.code == 3 and count == 2 and "picture 1" in done.err, f"exit code {done.code}, {count} pictures, {done.last}")


@case("A 6 c", "a picture that others refer to is lost; no hashes")
def lost_reference(bench: Bench) -> Outcome:
    stream = streams.without_picture(streams.hevc(f"{streams.INTER}:hash=0", 8), 1)
    return refusal(filtered(bench, "s.hevc", stream, "--index", "14")[0], "picture 1", "refers to")


@case("A 6 d", "a picture that no other refers to is lost")
def lost_unreferenced(bench: Bench) -> Outcome:
    stream = streams.hevc(f"{streams.INTER}:b-pyramid=0:hash=1", 8)
    units = nal.access_units(nal.split(stream))
    unused = next(at for at, unit in enumerate(units) if any(part.is_slice and part.type == 0 for part in unit))
    done, count = filtered(bench, "s.hevc", streams.without_picture(stream, unused), "--index", "14")
    return whole(done, count, 7, "may be missing")


@case("A 6 e", "an H.264 picture that others refer to is lost")
def lost_h264(bench: Bench) -> Outcome:
    source = streams.contained(bench.folder / "a.mkv", 10, "bframes=0", "libx264")
    seen = []
    for name in ("b.mkv", "b.h264"):
        streams.remuxed(source, bench.folder / name, lambda number: number != 4)
        seen.append(filtered(bench, name, None, "--index", "14")[0])
    return Outcome(all(done.is_refusal and "lost" in done.err for done in seen), seen[0].last)


@case("A 6 f", "a hole in the times of pictures is not said to be one")
def hole(bench: Bench) -> Outcome:
    source = media.write_container(bench.folder / "a.mkv", media.pictures(8, 96, 64), "libvpx")
    streams.remuxed(source, bench.folder / "b.mkv", lambda number: number not in (4, 5))
    return whole(*filtered(bench, "b.mkv", None, "--index", "14"), 6, "pictures may be missing (2)")


@case("A 6 g", "a video that begins with pictures that refer to others")
def begins_within(bench: Bench) -> Outcome:
    source = media.write_container(bench.folder / "a.mkv", media.pictures(8, 96, 64), "mpeg4")
    streams.remuxed(source, bench.folder / "b.mkv", lambda number: number > 2)
    return refusal(filtered(bench, "b.mkv", None, "--index", "14")[0], "begins with pictures that refer to others")


@case("A 7", "CRC hashes are not verified")
def crc(bench: Bench) -> Outcome:
    return refusal(filtered(bench, "crc.hevc", inputs.crc_wrong())[0], "picture 0")


@case("A 7 b", "a stream without hashes that is cut off")
def cut(bench: Bench) -> Outcome:
    return refusal(filtered(bench, "cut.hevc", inputs.cut_off())[0], "picture 1")


@case("A 7 c", "checksum hashes are not verified")
def checksum(bench: Bench) -> Outcome:
    stream = bytearray(inputs.hevc(64, 64, 2, OFF + "3"))
    first = next(at for at in inputs.starts(stream) if stream[at + 3] >> 1 & 63 in inputs.IDR)
    stream[first + 300] ^= 16
    return refusal(filtered(bench, "sum.hevc", bytes(stream))[0], "picture 0")


@case("A 7 d", "a slice without a hash is cut off in the middle of a stream")
def cut_within(bench: Bench) -> Outcome:
    parts = nal.split(inputs.hevc(64, 64, 4, OFF + "0"))
    at = [at for at, part in enumerate(parts) if part.is_slice][1]
    parts[at] = nal.Nal(parts[at].data[:-60], 0)
    return refusal(filtered(bench, "s.hevc", streams.join(parts))[0], "picture 1")


@case("A 7 e", "that pictures carry no hash is not said")
def no_hashes(bench: Bench) -> Outcome:
    return whole(*filtered(bench, "s.hevc", inputs.hevc(64, 64, 2, OFF + "0")), 2, "carry no hash")


@case("A 7 f", "whole streams with CRC and checksum hashes are verified by check")
def check_hashes(bench: Bench) -> Outcome:
    seen = []
    for kind in "23":
        (bench.folder / "s.hevc").write_bytes(inputs.hevc(128, 128, 2, OFF + kind))
        seen.append(bench.bridge("check", "s.hevc", "--qp", "32"))
    return Outcome(all(done.code == 0 for done in seen), "; ".join(done.last for done in seen))


@case("A 7 g", "a later slice of a picture without a hash is lost")
def later_slice(bench: Bench) -> Outcome:
    stream = streams.hevc(SLICES, 4, 96, 96)
    seen = {lost: filtered(bench, f"{lost}.hevc", streams.without(stream, lost), "--index", "14")[0] for lost in (1, 4, 5, 11)}
    right = all(done.is_refusal and f"picture {lost // 3} is incomplete" in done.err for lost, done in seen.items())
    return Outcome(right, seen[4].last)


@case("A 7 h", "the same with --lenient, and for pairs make")
def later_slice_lenient(bench: Bench) -> Outcome:
    stream = streams.hevc(SLICES, 4, 96, 96)
    done, count = filtered(bench, "s.hevc", streams.without(stream, 11), "--index", "14", "--lenient")
    (bench.folder / "whole.hevc").write_bytes(stream)
    packed = bench.bridge("pairs", "make", "whole.hevc", "s.hevc", "--out", "p.npz", "--qp", "32", "--trust-options")
    right = done.code == 3 and count == 4 and "picture 3 is incomplete" in done.err and packed.is_refusal and "picture 3" in packed.err
    return Outcome(right, f"exit code {done.code}, {count} pictures, {packed.last}")


@case("A 7 i", "a picture goes on with the slices of the next one")
def joined_pictures(bench: Bench) -> Outcome:
    stream = streams.hevc(SLICES, 4, 96, 96)
    for _ in range(3):
        stream = streams.without(stream, 5)
    return refusal(filtered(bench, "s.hevc", stream, "--index", "14")[0], "picture 1", "of different pictures")


@case("E 10", "12 bits are not named, or end at picture 0")
def twelve_bits(bench: Bench) -> Outcome:
    stream = streams.hevc("qp=32:hash=1", 2, pixel_format="gray12le")
    return refusal(filtered(bench, "s.hevc", stream, "--qp", "32")[0], "s.hevc", "gray12le", "8 bits")


@case("E 10 b", "a first picture that is no random access point: no way to go on")
def no_irap(bench: Bench) -> Outcome:
    stream = streams.without_picture(streams.hevc(f"{streams.INTER}:hash=1", 8), 0)
    done, count = filtered(bench, "s.hevc", stream, "--index", "14", "--lenient")
    return Outcome(done.code == 3 and count == 7 and "picture 0" in done.err, f"exit code {done.code}, {count} pictures, {done.last}")


@case("E 10 c", "a missing reference: no way to go on")
def no_reference(bench: Bench) -> Outcome:
    stream = streams.without_picture(streams.hevc(f"{streams.INTER}:hash=1", 8), 1)
    done, count = filtered(bench, "s.hevc", stream, "--index", "14", "--lenient")
    return Outcome(done.code == 3 and count == 7 and "picture 1" in done.err, f"exit code {done.code}, {count} pictures, {done.last}")


@case("F 4", "pictures are cropped with a parameter set that is never active")
def unused_set(bench: Bench) -> Outcome:
    other = next(part for part in nal.split(inputs.hevc(70, 58, 1, OFF + "1")) if part.type == 33)
    stream = streams.join([other]) + inputs.hevc(64, 64, 2, OFF + "1")
    done, count = filtered(bench, "s.hevc", stream)
    return Outcome(count == 2 and b" W64 H64 " in (bench.folder / "o.y4m").read_bytes()[:40], f"{count} pictures, {done.last}")


@case("F 7", "ends of sequence and bitstream behind the last picture: it lacks its hash")
def ends(bench: Bench) -> Outcome:
    return whole(*filtered(bench, "s.hevc", inputs.hevc(64, 64, 3, OFF + "1") + EOS + EOB), 3)


@case("F 8", "a splice whose second part has no hashes")
def splice(bench: Bench) -> Outcome:
    with_hash, without = inputs.hevc(64, 64, 2, OFF + "1"), inputs.hevc(64, 64, 2, OFF + "0")
    first, count = filtered(bench, "a.hevc", with_hash + without)
    (bench.folder / "o.y4m").unlink(missing_ok=True)
    other, count_of_other = filtered(bench, "b.hevc", without + with_hash)
    right = first.code == other.code == 0 and count == count_of_other == 4
    return Outcome(right and "2 of 4 pictures carry no hash" in first.err, f"{count} and {count_of_other} pictures, {first.last}")


@case("F 9", "check refuses a stream that begins with a CRA picture and its RASL pictures")
def leading(bench: Bench) -> Outcome:
    parameters = "qp=32:keyint=8:min-keyint=8:open-gop=1:bframes=3:b-adapt=0:scenecut=0:hash=1:repeat-headers=1"
    units = nal.access_units(nal.split(streams.hevc(parameters, 20)))
    start = next(at for at, unit in enumerate(units) if any(part.type == 21 for part in unit))
    (bench.folder / "s.hevc").write_bytes(streams.join(part for unit in units[start:] for part in unit))
    done = bench.bridge("check", "s.hevc", "--qp", "32")
    return Outcome(done.code == 0 and "coded pictures" in done.out, done.last)


@case("F 10", "a layered stream whose base layer is fine is refused")
def layers(bench: Bench) -> Outcome:
    parts = []
    for part in nal.split(inputs.hevc(64, 64, 3, OFF + "1")):
        parts += [part, nal.Nal(bytes([part.data[0], part.data[1] | 8]) + part.data[2:], 0)]
    return whole(*filtered(bench, "s.hevc", streams.join(parts)), 3)


# ---- containers ----


@case("F 3", "a cover picture before the video is filtered")
def cover(bench: Bench) -> Outcome:
    plain = streams.contained(bench.folder / "a.mkv", 5)
    streams.remuxed(plain, bench.folder / "c.mp4", cover=True)
    done, count = filtered(bench, "c.mp4", None, "--index", "14")
    return whole(done, count, 5)


@case("F 6", "an AVI file with null frames is said to be truncated")
def null_frames(bench: Bench) -> Outcome:
    with av.open(str(bench.folder / "a.avi"), "w") as output:
        stream = output.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for frame in streams.frames(4, 64, 48):
            frame.pts = 3 * (frame.pts or 0)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return whole(*filtered(bench, "a.avi"), 4)


@case("F 12", "hev1 with an empty decoder configuration record")
def empty_record(bench: Bench) -> Outcome:
    plain = streams.write(bench.folder / "a.hevc", inputs.hevc(64, 64, 3, OFF + "1"))
    path = streams.remuxed(plain, bench.folder / "a.mp4", time=lambda number: 40 * number)
    data = bytearray(path.read_bytes())
    data[data.index(b"hvcC") + 26] = 0
    return whole(*filtered(bench, "b.mp4", bytes(data)), 3)


@case("F 13", "an edit list: Video.pictures says what is not given")
def edit_list(bench: Bench) -> Outcome:
    path = streams.contained(bench.folder / "a.mp4", 30, "qp=32:keyint=10:hash=1")
    data = bytearray(path.read_bytes())
    start = data.index(b"elst") + 16
    ticks = int.from_bytes(data[data.index(b"mdhd") + 16 :][:4], "big")
    data[start : start + 4] = (int.from_bytes(data[start : start + 4], "big") + 8 * ticks // 25).to_bytes(4, "big")
    path.write_bytes(data)
    code = "from codec_bridge.video.open import open_video; v = open_video('a.mp4'); print(v.pictures, len(list(v)))"
    said, given = bench.python(code).out.split() or ("nothing", "nothing")
    return Outcome(given == "22" and said in ("None", "22"), f"says {said}, gives {given}")


# ---- QP, filters, networks in the loop ----


@case("A 15", "deblocking and SAO are on, the network before deblocking is used")
def filters_on(bench: Bench) -> Outcome:
    done, count = filtered(bench, "on.hevc", inputs.loop_filters_on())
    return whole(done, count, 2, "after_sao", "network 14")


@case("A 15 b", "--position that contradicts the stream")
def wrong_position(bench: Bench) -> Outcome:
    done, _ = filtered(bench, "on.hevc", inputs.loop_filters_on(), "--qp", "32", "--position", "before_deblocking")
    return refusal(done, "--position after_sao")


@case("A 15 c", "--qp that contradicts the stream")
def wrong_qp(bench: Bench) -> Outcome:
    return refusal(filtered(bench, "on.hevc", inputs.hevc(64, 64, 2, OFF + "1"), "--qp", "22")[0], "--qp auto")


@case("A 15 d", "check and pairs make, with options that contradict the stream")
def other_commands(bench: Bench) -> Outcome:
    (bench.folder / "on.hevc").write_bytes(inputs.loop_filters_on())
    said = [
        bench.bridge("check", "on.hevc", "--qp", "45"),
        bench.bridge("check", "on.hevc", "--position", "before_deblocking"),
        bench.bridge("pairs", "make", "on.hevc", "on.hevc", "--out", "a.npz", "--qp", "45"),
        bench.bridge("pairs", "make", "on.hevc", "on.hevc", "--out", "a.npz", "--qp", "29", "--position", "before_deblocking"),
    ]
    words = ("--qp auto", "--position after_sao") * 2
    return Outcome(all(done.is_refusal and word in done.err for done, word in zip(said, words, strict=True)), said[0].last)


@case("A 15 e", "--trust-options keeps what was given")
def trusted(bench: Bench) -> Outcome:
    options = ("--qp", "22", "--position", "before_deblocking", "--trust-options")
    return whole(*filtered(bench, "on.hevc", inputs.loop_filters_on(), *options), 2, "network 0 ")


@case("F 2", "streams with networks in the loop are shown unfiltered, and packed")
def in_loop(bench: Bench) -> Outcome:
    (bench.folder / "loop.hevc").write_bytes(streams.carrying(streams.hevc(f"{streams.INTER}:hash=0", 4)))
    said = [
        bench.bridge("filter", "loop.hevc", "o.y4m", "--index", "2"),
        bench.bridge("pairs", "make", "loop.hevc", "loop.hevc", "--out", "a.npz", "--qp", "32"),
        bench.bridge("bdrate", "--sequences", "loop.hevc", "--qp", "22,27,32,37", "--variants", "anchor"),
        bench.bridge("check", "loop.hevc"),
    ]
    return Outcome(
        all(done.code and "dec265" in done.err for done in said), "; ".join(f"{done.code}" for done in said) + f", {said[0].last}"
    )


@case("A 17", "filter says Invalid data instead of naming the decoder that is needed")
def in_loop_in_containers(bench: Bench) -> Outcome:
    plain = streams.write(bench.folder / "loop.hevc", streams.carrying(streams.hevc(f"{streams.INTRA}:hash=1", 4)))
    said = []
    for suffix in ("hevc", "mkv", "mp4", "ts"):
        name = f"loop.{suffix}"
        if suffix != "hevc":
            streams.remuxed(plain, bench.folder / name, time=lambda number: 40 * number)
        said.append(bench.bridge("filter", name, "o.y4m", "--index", "2"))
    return Outcome(all(done.is_refusal and "dec265" in done.err for done in said), said[0].last)


# ---- metadata ----


@case("A 16", "sample aspect ratio, chroma siting and colour range are dropped")
def metadata(bench: Bench) -> Outcome:
    stream = streams.hevc(f"{streams.INTRA}:hash=1:sar=4:range=full:chromaloc=2", 2)
    filtered(bench, "s.hevc", stream, "--index", "2")
    output = bench.folder / "o.y4m"
    header = output.read_bytes().split(b"\n")[0].decode() if output.exists() else ""
    right = all(word in header.split() for word in ("A16:11", "C420paldv", "XCOLORRANGE=FULL"))
    return Outcome(right, header)


@case("A 16 b", "rotation and uneven times are dropped without a word")
def lost_metadata(bench: Bench) -> Outcome:
    plain = streams.write(bench.folder / "a.hevc", inputs.hevc(64, 64, 4, OFF + "1"))
    times = (0, 40, 200, 240)
    streams.remuxed(plain, bench.folder / "a.mp4", time=lambda number: times[number], rotation=90)
    done, count = filtered(bench, "a.mp4", None, "--index", "2")
    return whole(done, count, 4, "rotation by 90", "not evenly timed")


@case("A 16 f", "transparency beside VP9's pictures is dropped without a word")
def transparent(bench: Bench) -> Outcome:
    with av.open(str(bench.folder / "a.webm"), "w") as output:
        stream = output.add_stream("libvpx-vp9", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["alpha_mode"] = "1"
        for frame in streams.frames(2, 64, 48):
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return refusal(filtered(bench, "a.webm", None, "--index", "2")[0], "alpha")


@case("A 16 g", "a Y4M file that says a thing twice, or has interlaced pictures in a progressive file")
def odd_y4m(bench: Bench) -> Outcome:
    seen = []
    for header, frame in (("W16 H16 Cmono C420", ""), ("W16 W8 H16 Cmono", ""), ("W16 H16 Ip Cmono", " It")):
        seen.append(filtered(bench, "a.y4m", f"YUV4MPEG2 {header}\nFRAME{frame}\n".encode() + bytes(256))[0])
    words = ("C twice", "W twice", "picture 0 is interlaced")
    return Outcome(all(done.is_refusal and word in done.err for done, word in zip(seen, words, strict=True)), seen[-1].last)


@case("A 16 e", "further video streams are not mentioned")
def further(bench: Bench) -> Outcome:
    plain = streams.write(bench.folder / "a.hevc", inputs.hevc(64, 64, 4, OFF + "1"))
    streams.remuxed(plain, bench.folder / "a.mkv", time=lambda number: 40 * number, further=True)
    return whole(*filtered(bench, "a.mkv", None, "--index", "2"), 4, "1 further video stream")


@case("A 16 c", "interlaced frames become pictures")
def interlaced(bench: Bench) -> Outcome:
    streams.contained(bench.folder / "a.mkv", 3, "tff=1", "libx264")
    return refusal(filtered(bench, "a.mkv", None, "--index", "2", "--trust-options")[0], "interlaced")


@case("A 16 d", "an original that goes on is not mentioned")
def longer_original(bench: Bench) -> Outcome:
    (bench.folder / "long.hevc").write_bytes(inputs.hevc(64, 64, 3, OFF + "1"))
    done, count = filtered(bench, "s.hevc", inputs.hevc(64, 64, 2, OFF + "1"), "--qp", "32", "--original", "long.hevc")
    return whole(done, count, 2, "goes on after 2 pictures")


@case("A 10", "a rate is written that cannot be read")
def rate(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    bench.bridge("filter", "s.y4m", "o.y4m", "--qp", "32", "--rate", "29.97002997002997")
    done = bench.bridge("filter", "o.y4m", "p.y4m", "--qp", "32")
    return Outcome(done.code == 0 and b" F30000:1001 " in (bench.folder / "o.y4m").read_bytes()[:80], done.last)


@case("A 10 b", "rates that nobody can mean")
def odd_rates(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    said = [
        bench.bridge("filter", "s.y4m", "o.y4m", "--qp", "32", "--rate", text, timeout=20)
        for text in ("1e99999999", "9999999999", "0", "inf", "1/0", "0.00000000000000000001")
    ]
    right = all(done.is_refusal for done in said) and not (bench.folder / "o.y4m").exists()
    return Outcome(right, "; ".join(done.last for done in said if not done.is_refusal) or said[0].last)


# ---- picture files ----


def picture_file(bench: Bench, name: str, word: str) -> Outcome:
    return refusal(bench.bridge("filter", name, "o.y4m", "--qp", "32"), name, word)


@case("A 9", "a CMYK JPEG is read as RGB")
def cmyk(bench: Bench) -> Outcome:
    Image.fromarray(np.full((32, 32, 4), 90, np.uint8), "CMYK").save(bench.folder / "a.jpg")
    return picture_file(bench, "a.jpg", "CMYK")


@case("A 9 b", "a picture that a camera turned")
def turned(bench: Bench) -> Outcome:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((32, 64, 3), np.uint8)).save(bench.folder / "a.jpg", exif=exif)
    done = bench.bridge("filter", "a.jpg", "o.y4m", "--qp", "32")
    header = (bench.folder / "o.y4m").read_bytes().split(b"\n")[0].decode() if done.code == 0 else ""
    return Outcome(" W32 H64 " in header, header or done.last)


@case("A 9 c", "16 bits a sample, read as 8")
def deep(bench: Bench) -> Outcome:
    Image.fromarray(np.full((32, 32), 3000, np.uint16)).save(bench.folder / "a.png")
    return picture_file(bench, "a.png", "8 bits")


@case("A 9 d", "the first of several pictures is read")
def several(bench: Bench) -> Outcome:
    first, second = (Image.fromarray(np.full((32, 32, 3), value, np.uint8)) for value in (50, 200))
    first.save(bench.folder / "a.png", save_all=True, append_images=[second])
    return picture_file(bench, "a.png", "2 pictures")


@case("E 2 b", "errors of sizes and originals do not name the file")
def sizes(bench: Bench) -> Outcome:
    inputs.noise_y4m(bench.folder / "s.y4m")
    (bench.folder / "r.yuv").write_bytes(bytes(6000))
    inputs.noise_y4m(bench.folder / "t.y4m", 32, 32)
    said = [
        bench.bridge("filter", "r.yuv", "o.y4m", "--qp", "32", "--format", "yuv420p", "--size", size)
        for size in ("15x16", "0x16", "999999x999999")
    ]
    original = bench.bridge("filter", "s.y4m", "o.y4m", "--qp", "32", "--original", "t.y4m")
    right = all(done.is_refusal and "r.yuv" in done.err for done in said) and original.is_refusal
    return Outcome(right and "s.y4m" in original.err and "t.y4m" in original.err, f"{said[0].last}; {original.last}")
