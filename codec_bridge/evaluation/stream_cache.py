"""Streams without a network, kept between evaluations: another model set does not code them again.

A folder with two files for each stream, KEY.hevc and KEY.json; KEY is the hash of all that determines the stream. Only streams that
passed the gates (streams.py) are kept, and each time the decoder verifies every picture hash again.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from codec_bridge.codecs.base import Coded
from codec_bridge.figures.row import Seconds, Size
from vrcnn_int.errors import VrcnnError
from vrcnn_int.files import check_folder, own_path, write_bytes, write_text
from vrcnn_int.io.documents import DocumentError, checked, read_json


@dataclass(frozen=True)
class Facts:
    """What is known of a stream beside its bytes: as in Coded."""

    bits: Size
    pictures: Size
    encoder: str
    command: str
    seconds: Seconds
    cpu_seconds: Seconds | None


class StreamCache:
    """Of a folder. Several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def check(self) -> None:
        """Make the folder if it is not there, and read all that it keeps. Raises VrcnnError for what is damaged or cannot be written."""
        check_folder(self.folder)
        damaged = []
        for path in sorted(self.folder.glob("*.json")):
            if re.fullmatch("[0-9a-f]{64}", path.stem):
                try:
                    self.load(path.stem)
                except VrcnnError as error:
                    damaged.append(str(error))
        if damaged:
            more = f", and {len(damaged) - 1} more are" if len(damaged) > 1 else ""
            raise VrcnnError(f"{damaged[0]}{more}")

    def load(self, key: str) -> Coded | None:
        """A stream, without its reconstruction; None if it is not kept. Raises VrcnnError if its files are not what was written."""
        path = self.folder / f"{key}.json"
        try:
            content = read_json(path)
            data = path.with_suffix(".hevc").read_bytes()
            if hashlib.sha256(data).hexdigest() != content.pop("sha256"):
                raise ValueError("the stream's checksum is wrong")
            facts = checked(content, Facts, path.name)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, DocumentError) as error:
            raise VrcnnError(f"{path} or the stream beside it is damaged ({error}); delete both to have it coded again") from None
        return Coded(data, **asdict(facts))

    def save(self, key: str, coded: Coded) -> None:
        """Keep a stream; the JSON file, which tells of it, comes last."""
        path = self.folder / f"{key}.json"
        facts = Facts(coded.bits, coded.pictures, coded.encoder, coded.command, coded.seconds, coded.cpu_seconds)
        write_bytes(own_path(path.with_suffix(".hevc")), coded.data)
        write_text(own_path(path), json.dumps({**asdict(facts), "sha256": hashlib.sha256(coded.data).hexdigest()}, indent=1) + "\n")
