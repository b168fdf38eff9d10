"""Streams that lie in files, checked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from codec_bridge.bitstream import nal
from codec_bridge.bitstream.announcement import Announcement, announced
from codec_bridge.bitstream.errors import CodecError
from codec_bridge.bitstream.pictures import read_units
from codec_bridge.bitstream.sideinfo import Sideinfo, SideinfoError, side_information
from codec_bridge.codecs.base import Network
from codec_bridge.evaluation import check
from codec_bridge.evaluation.settings import EvaluationError, Settings, open_filter
from codec_bridge.video.coding import Coded
from codec_bridge.video.in_loop import TAKEN_OUT
from vrcnn_int.inputs import open_to_read
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, set_names


def check_inside(path: Path, settings: Settings) -> tuple[int, int]:
    """Check a stream with the decoder that has the filter inside: every picture hash; returns pictures, and how many are filtered.

    Raises CodecError for a damaged stream, or one whose SEI message names what is missing; SideinfoError for such side information,
    gates.Inconsistency for a wrong hash.
    """
    codec = settings.coder(settings.folders)
    data = read(path)
    if announcement := announced(nal.scan(data, lenient=True)):
        if not any(side_information(data)):
            raise CodecError(f"{path}: {TAKEN_OUT}")
        given = settings.model and ModelSet.load(settings.model).identity.startswith(announcement.identity)
        if not given and builtin_name(announcement.identity) is None:
            raise CodecError(f"{path}: the stream {set_words(announcement.identity)}: give its .vrcnn file with --model")
    return codec.check_stream(data, Network(settings.position, True, settings.kernel, settings.model))


def builtin_name(identity: str) -> str | None:
    """The shipped model set that a stream names by the beginning of its identity; None: another one."""
    identities = {name: ModelSet.load(builtin_path(name)).identity for name in set_names()}
    return next((name for name, whole in identities.items() if whole.startswith(identity)), None)


def set_words(identity: str) -> str:
    """'needs the model set 0123456789abcdef (joint_intra)', or that it is not built in."""
    name = builtin_name(identity)
    return f"needs the model set {identity}{f' ({name})' if name else ', which is not built in'}"


def coded(path: Path, data: bytes, frames: int | None) -> Coded:
    """What a file's stream says of how its first pictures in decoding order were coded. Raises CodecError for what is no stream."""
    try:
        units = list(read_units(nal.scan(data)))
        codings = [unit.coding for unit in units if unit.coding and not unit.leading_skipped]
        return Coded(path, codings[:frames], sum(unit.leading_skipped for unit in units))
    except CodecError as error:
        raise CodecError(f"{path}: {error}") from None


@dataclass(frozen=True)
class Compared:
    """pictures, samples: of the stream; each counts once, by however many networks it was filtered. has_chroma: it was filtered, too.
    qps: those of pictures, beside those of their networks."""

    pictures: int
    samples: int
    has_chroma: bool
    kernel: str
    qps: set[tuple[int, int]]


def check_offline(
    coded: Coded,
    data: bytes,
    qps: Sequence[int] | None,
    settings: Settings,
    models: ModelSet,
    progress: Callable[[], None] = lambda: None,
) -> Compared:
    """Check a file's stream after decoding, with the network for each of ``qps``; None: for each picture's own QP.

    progress: called after each picture. Raises CodecError for a damaged stream, gates.Inconsistency if a picture differs.
    """
    codec = settings.coder(settings.folders)
    pictures = samples = 0
    has_chroma = False
    used: set[tuple[int, int]] = set()
    with open_filter(settings, models) as filter_, open_filter(settings, models, check.THREADS) as other:
        sides = zip(codec.decode_plain(data), codec.decode_plain(data), strict=True)
        for recon, again in islice(sides, settings.frames):
            own = round(recon.coding.qp if recon.coding else coded.qp)
            wanted = {settings.network_in(models, qp, stated=True): qp for qp in qps or (own,)}
            for index, qp in wanted.items():
                network = models.networks[index]
                filtered = filter_.filter_picture(recon, index=index)
                name = f"{coded.path}, network {index}, picture {pictures}"
                compared = check.check_picture((filter_, other), network, index, recon, filtered, again, name)
                used.add((qp, network.qp))
            samples += compared
            has_chroma = has_chroma or compared > recon.planes[0].size
            pictures += 1
            progress()
        return Compared(pictures, samples, has_chroma, filter_.kernel, used)


def inspected(path: Path) -> tuple[Announcement | None, list[Sideinfo | None]]:
    """What a stream's SEI message says, and the side information of its pictures, in decoding order.

    Raises CodecError, with the file's name, for a damaged stream.
    """
    data = read(path)
    try:
        return announced(nal.scan(data)), list(side_information(data))
    except (CodecError, SideinfoError) as error:
        raise CodecError(f"{path}: {error}") from None


def read(path: Path) -> bytes:
    """A stream, once: it may be a pipe. Raises EvaluationError, with the file's name, where it cannot be read."""
    if str(path) == "-" and not path.exists():
        raise EvaluationError("- is no file: a stream is not read from standard input (but from /dev/stdin)")
    try:
        with open_to_read(path) as file:
            data = file.read()
    except OSError as error:
        raise EvaluationError(f"cannot read {path}: {error.strerror}") from None
    if not data:
        raise EvaluationError(f"{path} has no pictures: the file is empty")
    return data
