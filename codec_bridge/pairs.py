"""Training pairs: the planes of coded pictures beside their originals, packed for vrcnn_int.training."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from codec_bridge import codecs
from codec_bridge.codecs.base import OFF, ORDINARY, Codec, Loop, Request
from codec_bridge.codecs.dump import dump
from codec_bridge.codecs.programs import at_once, go_on
from codec_bridge.provenance import provenance
from codec_bridge.video.catalogue import Sequence as VideoSequence
from codec_bridge.video.catalogue import resolve
from codec_bridge.video.coding import Coded
from codec_bridge.video.open import open_video
from codec_bridge.video.picture import Picture, plane_shapes, samples_md5
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_folder
from vrcnn_int.io import pairs
from vrcnn_int.io.documents import checked
from vrcnn_int.machine import cores
from vrcnn_int.text import counted, named


def pictures_of(
    path: Path, size: tuple[int, int] | None = None, pixel_format: str | None = None, frames: int | None = None
) -> Iterator[Picture]:
    """Pictures of a video file, or of all videos and picture files of a folder in the order of their names."""
    if path.is_dir():
        sequences = resolve(path, size=size, pixel_format=pixel_format, rate=Fraction(1))
        yield from islice(chain.from_iterable(sequence.open() for sequence in sequences), frames)
        return
    raw = path.suffix.lower() == ".yuv"
    with open_video(path, size if raw else None, pixel_format if raw else None, frames=frames) as video:
        yield from video


def make(
    original: Path,
    recon: Path,
    out: Path,
    qp: int | None,
    position: str | None,
    size: tuple[int, int] | None = None,
    pixel_format: str | None = None,
    frames: int | None = None,
    trusted: bool = False,
) -> tuple[int, int, str]:
    """Write the pair file ``out`` from an original and its coded reconstruction; returns the number of pictures, QP and position.

    ``original``: a video or picture folder. ``recon``: the HEVC stream (decoded here, hashes checked), a yuv, or any video.
    ``qp``, ``position``: None for what the stream says; unless ``trusted``, they are refused where it says something else.
    ``size``, ``pixel_format``: of yuv files. Raises VrcnnError if the two differ in size or number of pictures, or are not 8 bits.
    """

    qp, position = settled(coded(recon, size, pixel_format, frames), qp, position, trusted)

    def planes() -> Iterator[tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]]:
        sources = pictures_of(original, size, pixel_format, frames), pictures_of(recon, size, pixel_format, frames)
        for number, (left, right) in enumerate(beside(original, recon, *sources)):
            sizes = [f"{picture.width}x{picture.height}" for picture in (left, right)]
            if sizes[0] != sizes[1]:
                raise VrcnnError(f"picture {number} of {original} is {sizes[0]}, that of {recon} is {sizes[1]}; they must match")
            yield packed(right), packed(left)

    meta = {
        "qp": qp,
        "position": position,
        "original": named(original.name),
        "recon": named(recon.name),
        "frames": frames,
        "provenance": provenance(),
    }
    return pairs.write(out, planes(), meta), qp, position


def beside(original: Path, recon: Path, originals: Iterable[Picture], recons: Iterable[Picture]) -> Iterator[tuple[Picture, Picture]]:
    """Pictures of an original and of what was coded of it, one beside the other. Raises VrcnnError if one has fewer, not 8 bits, or no
    chroma to pack beside the other's."""
    for number, (left, right) in enumerate(zip_longest(originals, recons)):
        if left is None or right is None:
            short, long = (original, recon) if left is None else (recon, original)
            raise VrcnnError(f"{short} ends after {counted(number, 'picture')}, {long} goes on: they are not the same sequence")
        if left.bit_depth != 8 or right.bit_depth != 8:
            raise VrcnnError(f"only 8-bit pictures can be packed; {original if left.bit_depth != 8 else recon} has more bits")
        if (left.chroma_format == "420") != (right.chroma_format == "420"):
            one, other = left.pixel_format, right.pixel_format
            raise VrcnnError(f"{original} is {one}, {recon} is {other}: both must be 4:2:0, or neither (then luma alone is packed)")
        yield left, right


def packed(picture: Picture) -> list[NDArray[np.uint8]]:
    """The planes of an 8-bit picture that a pair file has room for: all of 4:2:0, else luma."""
    return [plane.astype(np.uint8) for plane in (picture.planes if picture.chroma_format == "420" else picture.planes[:1])]


def coded(recon: Path, size: tuple[int, int] | None, pixel_format: str | None, frames: int | None) -> Coded:
    """What a reconstruction, or all videos of a folder, say of how they were coded."""
    if recon.is_dir():
        sequences = resolve(recon, size=size, pixel_format=pixel_format, rate=Fraction(1))
        return Coded(recon, [coding for sequence in sequences for coding in sequence.open().codings()])
    raw = recon.suffix.lower() == ".yuv"
    return Coded(recon, open_video(recon, size if raw else None, pixel_format if raw else None, frames=frames).codings())


def settled(stream: Coded, qp: int | None, position: str | None, trusted: bool) -> tuple[int, str]:
    """QP and position of a pair file: those that were given, or those of the stream. Raises VideoError where they contradict each other."""
    if not trusted:
        if qp is not None:
            stream.check_qp([qp])
        if position is not None:
            stream.check_position(position)
    return round(stream.qp) if qp is None else qp, stream.position if position is None else position


def downscaled(picture: Picture, factor: int) -> Picture:
    """The picture with every ``factor`` x ``factor`` samples of each plane averaged; what is left over at right and bottom is cut off.

    Raises VrcnnError if nothing is left of 16x16 samples.
    """
    width, height = (size // (2 * factor) * 2 for size in (picture.width, picture.height))
    if min(width, height) < 16:
        raise VrcnnError(f"a picture of {picture.width}x{picture.height} is too small to be downscaled by {factor}")
    planes = []
    for plane, (h, w) in zip(picture.planes, plane_shapes(width, height, picture.chroma_format), strict=True):
        blocks = plane[: h * factor, : w * factor].reshape(h, factor, w, factor)
        planes.append(np.floor(blocks.mean(axis=(1, 3)) + 0.5).astype(plane.dtype))
    return Picture(tuple(planes), picture.bit_depth, picture.chroma_format)


@dataclass
class Part:
    """What the meta values of a part that was coded say."""

    qp: int
    position: str


@dataclass
class LoopPart(Part):
    """Of ``loop``, also of each picture: slice type, QP, temporal layer."""

    pictures: list[tuple[Literal["I", "P", "B"], int, int]]


def read_part(path: Path, kind: type[Part]) -> pairs.PairFile:
    """A part that was coded. Raises VrcnnError for a damaged or another file."""
    try:
        found = pairs.read(path)
        meta = checked(found.meta, kind, str(path))
        if isinstance(meta, LoopPart) and len(meta.pictures) != len(found.recon):
            raise VrcnnError(f"{path} has not as many pictures as it says")
        return found
    except VrcnnError:
        raise VrcnnError(f"{path} is damaged, or not what was coded here: remove it, and its stream is coded again") from None


def coded_file(out: Path, qp: int) -> Path:
    """Where ``code`` writes the pairs of a QP."""
    return out / f"pairs.q{qp}.npz"


def code(
    images: Path,
    qps: Sequence[int],
    out: Path,
    position: str,
    codec: str = codecs.DEFAULT,
    downscale: int = 1,
    workers: int | None = None,
    progress: Callable[[], None] = lambda: None,
    folders: Mapping[str, Path] | None = None,
) -> list[Path]:
    """Code all 8-bit pictures of a folder's pictures and videos at ``qps``; writes ``out``/pairs.qQP.npz and returns these files.

    before_deblocking: coded with deblocking and SAO off; after_sao: with both on. folders: of the codec's programs. Every coded
    picture is kept in ``out``/parts under the MD5 of its original, so a run that was interrupted, or was given more pictures, codes what
    is missing.
    ``progress()`` is called after each file. Raises VrcnnError for pictures that cannot be coded.
    """
    coder = codecs.find(codec)(folders)
    coder.check("ai")
    loop = ORDINARY if position == "after_sao" else OFF
    parts = out / "parts" / f"{codec}-{position}-planes"
    check_folder(parts)

    def code_file(sequence: VideoSequence) -> list[str]:
        """Code what is missing of one file; returns the MD5 of its pictures."""
        names = []
        with sequence.open() as video:
            for picture in video:
                go_on()
                original = downscaled(picture.cropped(), downscale)
                if original.bit_depth != 8:
                    raise VrcnnError(f"only 8-bit pictures can be packed; {sequence.path} has {original.bit_depth} bits")
                names.append(samples_md5([original]))
                for qp in qps:
                    part = parts / f"{names[-1]}.q{qp}.npz"
                    if not part.exists():
                        coded = coder.code(Request(qp, original, 1, loop=loop), [original])
                        (recon,) = coder.decode_plain(coded.data, 1)  # verifies the hashes
                        pairs.write(part, [(packed(recon.cropped()), packed(original))], {"qp": qp, "position": position})
        progress()
        return names

    sequences = resolve(images, rate=Fraction(1))
    names = list(chain.from_iterable(at_once(code_file, sequences, workers or cores())))
    files = []
    for qp in qps:
        meta = {
            "qp": qp,
            "position": position,
            "images": named(images.name),
            "codec": codec,
            "downscale": downscale,
            "provenance": provenance(),
        }
        found = (read_part(parts / f"{name}.q{qp}.npz", Part) for name in dict.fromkeys(names))
        files.append(coded_file(out, qp))
        pairs.write(files[-1], (planes for pair in found for planes in pair.planes()), meta)
    return files


SLICE_TYPES = "IPB"
LOOP_FILES = re.compile(f"pairs[.][{SLICE_TYPES}][.]q[0-9]+[.]npz")
BAND_FILES = re.compile("pairs[.]q[0-9]+[.]npz")
"""Names of the files that ``loop`` and ``by_bands`` write."""


def files_in(out: Path, names: re.Pattern[str]) -> list[Path]:
    """What lies in a folder under such names."""
    return sorted(path for path in out.glob("pairs.*.npz") if names.fullmatch(path.name))


def loop_file(out: Path, slice_type: str, band: int) -> Path:
    """Where ``loop`` writes the pairs of a slice type and QP band."""
    return out / f"pairs.{slice_type}.q{band}.npz"


def loop(
    clips: Path,
    requests: Sequence[tuple[int, Loop]],
    out: Path,
    position: str,
    coder: Codec,
    decoder: Path,
    configuration: str,
    frames: int,
    bands: Sequence[int],
    workers: int | None = None,
    progress: Callable[[], None] = lambda: None,
) -> list[tuple[Path, int]]:
    """Code 8-bit clips with filters in the loop and pack what networks of a position read there; the files and their pictures.

    clips: a video, or a folder of videos. requests: QPs of streams, and what stands in their loops: every clip is coded by each.
    decoder: dec265 with the filter, which decodes the streams of all codecs. frames: at most so many pictures of a clip.
    bands: a picture goes into the file of its slice type and of the band nearest to its own QP, the lower of two. Clips that were coded
    are kept in ``out``/parts, so a run that was interrupted, or was given more clips, codes what is missing.
    ``progress()`` is called after each stream. Raises VrcnnError for clips that cannot be coded.
    """
    coder.check(configuration)
    if not requests or not bands:
        raise VrcnnError("at least one QP and one band are needed")
    check_folder(out / "parts")

    def code_clip(sequence: VideoSequence) -> list[Path]:
        with sequence.open(frames=frames) as video:
            originals = [picture.cropped() for picture in video]
        if any(original.bit_depth != 8 for original in originals):
            raise VrcnnError(f"only 8-bit pictures can be packed; {sequence.path} has {originals[0].bit_depth} bits")
        found = []
        for qp, filters in requests:
            network = filters.network
            inside = "-".join([network.identity[:16], network.position, network.size]) if network else "ordinary"
            name = f"{coder.name}-{configuration}-{position}-{inside}"
            part = out / "parts" / name / f"{samples_md5(originals)}.q{qp}.npz"
            found.append(part)
            if not part.exists():
                part.parent.mkdir(parents=True, exist_ok=True)
                request = Request(qp, originals[0], len(originals), configuration, loop=filters)
                options = ("--vrcnn-model", str(network.model)) if network and network.model else ()
                dumped = dump(decoder, coder.code(request, originals).data, position, options)
                if len(dumped) != len(originals):
                    raise VrcnnError(f"{sequence.path}: {counted(len(originals), 'picture')} coded, {len(dumped)} decoded")
                told = [[each.slice_type, each.qp, each.temporal_id] for each in dumped]
                meta = {"qp": qp, "position": position, "pictures": told}
                planes = ((packed(within(each.picture, like)), packed(like)) for each, like in zip(dumped, originals, strict=True))
                pairs.write(part, planes, meta)
            progress()
        return found

    parts = list(chain.from_iterable(at_once(code_clip, resolve(clips), workers or cores())))
    groups: dict[tuple[str, int], list[tuple[tuple[NDArray[np.uint8], ...], tuple[NDArray[np.uint8], ...]]]] = {}
    for part in dict.fromkeys(parts):
        file = read_part(part, LoopPart)
        for (slice_type, qp, _), pair in zip(file.meta["pictures"], file.planes(), strict=True):
            groups.setdefault((slice_type, nearest(bands, qp)), []).append(pair)
    common = {
        "position": position,
        "clips": named(clips.name),
        "codec": coder.name,
        "configuration": configuration,
        "model": next((filters.network.identity for _, filters in requests if filters.network), None),
        "provenance": provenance(),
    }
    written = []
    for (slice_type, band), group in sorted(groups.items()):
        path = loop_file(out, slice_type, band)
        written.append((path, pairs.write(path, group, {**common, "qp": band, "slice_type": slice_type})))
    return written


def band_file(out: Path, band: int) -> Path:
    """Where ``by_bands`` writes the pairs of a QP band."""
    return out / f"pairs.q{band}.npz"


def by_bands(
    originals: Path, coded_folder: Path, out: Path, bands: Sequence[int], frames: int, progress: Callable[[], None] = lambda: None
) -> list[tuple[Path, int]]:
    """Sort the pictures of video that any HEVC or H.264 encoder coded by their own QPs; the files and their pictures.

    originals: a folder of 8-bit videos. coded_folder: of coded ones, each named as its original, then whatever tells them apart
    (``bee.mkv``: ``bee.crf28.mkv``). bands: a picture goes into the file of the one nearest to its QP, the lower of two. frames: at most
    so many pictures of a video. ``progress()`` is called after each. Raises VrcnnError where a coded video has no original, several, or is
    not as long, and where its position is not that of all others.
    """
    sources = resolve(originals)
    groups: dict[int, list[tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]]] = {}
    position, first = "", Path()
    for path in (sequence.path for sequence in resolve(coded_folder)):
        # Of names that begin alike the longest counts.
        found = sorted((each for each in sources if path.name.startswith(each.path.stem)), key=lambda each: len(each.path.stem))
        if not found:
            raise VrcnnError(f"{path}: no video in {originals} has the name that it begins with")
        with open_video(path, frames=frames) as video, found[-1].open(frames=frames) as source:
            stands = Coded(path, video.codings()).position
            if position and stands != position:
                raise VrcnnError(f"{path} is {stands}, {first} is {position}: pairs are of one position")
            position, first = stands, first if position else path
            for original, recon in beside(found[-1].path, path, source, video):
                if recon.coding is None:
                    raise VrcnnError(f"{path} does not say at what QP its pictures were coded, as HEVC and H.264 streams do")
                pair = packed(within(recon, original.cropped())), packed(original.cropped())
                groups.setdefault(nearest(bands, round(recon.coding.qp)), []).append(pair)
        progress()
    meta = {"position": position, "originals": named(originals.name), "coded": named(coded_folder.name), "provenance": provenance()}
    return [
        (band_file(out, band), pairs.write(band_file(out, band), group, {**meta, "qp": band})) for band, group in sorted(groups.items())
    ]


def again(
    source: pairs.PairFile,
    filtered: Callable[[tuple[pairs.Plane, ...]], Sequence[pairs.Plane]],
    times: int,
    out: Path,
    said: Mapping[str, Any],
) -> int:
    """Pack what a filter makes of a pair file's coded pictures when it is run on its own output, so many times; the number of pictures.

    filtered: of the planes of a picture. In a loop of inter pictures a network reads what it, or its like, has filtered before; these
    pairs show that to training without coding anything anew. said: of source file and network, which the file's meta values state, beside
    the provenance of the source. Raises VrcnnError for pairs made so themselves.
    """
    if source.meta.get("filtered"):
        raise VrcnnError("these pairs were filtered already: begin with those that were coded, and say how many times")

    def planes() -> Iterator[tuple[Sequence[pairs.Plane], Sequence[pairs.Plane]]]:
        for recon, original in source.planes():
            for _ in range(times):
                recon = tuple(filtered(recon))
            yield recon, original

    about = {"times": times, **said, "provenance": source.meta.get("provenance")}
    return pairs.write(out, planes(), {**source.meta, "filtered": about, "provenance": provenance()})


def nearest(bands: Sequence[int], qp: int) -> int:
    """The band of a picture's QP."""
    return min(bands, key=lambda band: (abs(band - qp), band))


def within(picture: Picture, like: Picture) -> Picture:
    """The upper left part of a coded picture, as large as its original. Raises VrcnnError where it is smaller."""
    right, bottom = picture.width - like.width, picture.height - like.height
    if min(right, bottom) < 0 or picture.chroma_format != like.chroma_format:
        decoded, coded = (f"{some.width}x{some.height} {some.pixel_format}" for some in (picture, like))
        raise VrcnnError(f"a picture of {decoded} was decoded, {coded} was coded")
    return Picture(picture.planes, picture.bit_depth, picture.chroma_format, (0, 0, right, bottom)).cropped()
