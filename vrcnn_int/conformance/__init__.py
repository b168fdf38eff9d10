"""The conformance suite: models, pictures and side information with what every implementation must make of them.

The files are described in c/SPECIFICATION.md, section 9. No torch here.
"""

import atexit
import functools
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from msgspec import Meta, Struct, structs
from numpy.typing import NDArray

from vrcnn_int.errors import VrcnnError
from vrcnn_int.io.documents import DocumentError, checked, read_json
from vrcnn_int.models import builtin_path

INDEX = "suite.json"
INSTALLED = Path(__file__).parent / "vectors"
SHIPPED = "models/shipped.vrcnn"
VERSION = 3
FILTER_PARTS = ("shipped", "general", "extreme")
LAYER_PARTS = ("layers", "joint-layers")
PARTS = (*FILTER_PARTS, "layers", "joint", "joint-layers", "refused", "sideinfo")

FileName = Annotated[str, Meta(pattern=r"^\w[\w.-]*(/\w[\w.-]*)*$")]
"""Of a file inside the suite's folder."""
Size = Annotated[int, Meta(ge=1, le=16384)]
Depth = Annotated[int, Meta(ge=8, le=12)]
Part = Literal["shipped", "general", "extreme"]
Heads = Annotated[list[Annotated[int, Meta(ge=-5, le=10)]], Meta(min_length=1, max_length=2)]
Md5 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Hex = Annotated[str, Meta(pattern="^([0-9a-f]{2})*$")]


class SuiteError(VrcnnError):
    """A folder holds no conformance suite, or a damaged one."""


class FilterVector(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture, a network, and the MD5 of the filtered picture and of every hidden layer's values. Files: names in the suite."""

    name: str
    part: Part
    model: FileName
    network: Annotated[int, Meta(ge=0, le=65535)]
    picture: FileName
    width: Size
    height: Size
    bit_depth: Depth
    scale: Annotated[int, Meta(ge=1, le=10)]
    md5: Md5
    layer_md5: list[Md5]

    @property
    def samples(self) -> int:
        return self.width * self.height

    @property
    def bytes_per_sample(self) -> int:
        return 1 if self.bit_depth == 8 else 2


class JointVector(Struct, frozen=True, forbid_unknown_fields=True):
    """A picture of planes, a network of the kind joint, and the MD5 of the filtered planes and of every hidden layer's values.

    width, height: of luma; chroma_format: 400, 420, 422 or 444; bit_depths: of luma and of chroma; luma_weights, chroma_weights: c_h of
    each head.
    """

    name: str
    model: FileName
    network: Annotated[int, Meta(ge=0, le=65535)]
    picture: FileName
    width: Size
    height: Size
    chroma_format: int
    bit_depths: Annotated[list[Depth], Meta(min_length=2, max_length=2)]
    luma_weights: Heads
    chroma_weights: Heads
    md5: Md5
    layer_md5: list[Md5]

    def __post_init__(self) -> None:
        if self.chroma_format not in (400, 420, 422, 444):
            raise ValueError(f"{self.chroma_format} is no chroma_format; there are 400, 420, 422 and 444")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Height and width of each plane."""
        return plane_shapes(self.width, self.height, self.chroma_format)

    @property
    def samples(self) -> int:
        """Of all planes."""
        return sum(height * width for height, width in self.shapes)

    @property
    def sites(self) -> tuple[int, int]:
        """Rows of sites, sites in a row."""
        return (self.height + 1) // 2, (self.width + 1) // 2

    @property
    def dtypes(self) -> list[np.dtype[Any]]:
        """Of each plane in a file."""
        return [np.dtype("u1" if self.bit_depths[n > 0] == 8 else "<u2") for n in range(len(self.shapes))]

    @property
    def size(self) -> int:
        """Bytes of a picture."""
        return sum(height * width * dtype.itemsize for (height, width), dtype in zip(self.shapes, self.dtypes, strict=True))

    def split(self, data: bytes) -> tuple[NDArray[Any], ...]:
        """The planes in the bytes of a picture: uint8 or uint16."""
        planes, at = [], 0
        for (height, width), dtype in zip(self.shapes, self.dtypes, strict=True):
            plane = np.frombuffer(data, dtype, height * width, at).reshape(height, width)
            planes.append(plane.astype(dtype.newbyteorder("=")))
            at += plane.nbytes
        return tuple(planes)


class RefusedVector(Struct, frozen=True, forbid_unknown_fields=True):
    """A model file that must be refused; error: its name in the specification, section 4.1."""

    name: str
    model: FileName
    error: str


class SideinfoVector(Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes (hexadecimal) of a slice header extension, and the lines of section 9 that they mean. version: SideInfoVersion."""

    name: str
    data: Hex
    irap: bool
    width: Size
    height: Size
    text: str
    version: Literal[1, 2] = 1


class _Index(Struct, forbid_unknown_fields=True):
    """What suite.json holds."""

    version: int
    filter: list[FilterVector]
    joint: list[JointVector]
    refused: list[RefusedVector]
    sideinfo: list[SideinfoVector]


def _written(vector: Struct) -> dict[str, Any]:
    """Without what is as it is where it is not there."""
    omitted = {field.name: field.default for field in structs.fields(vector)}
    return {name: value for name, value in structs.asdict(vector).items() if value != omitted[name]}


LISTS = ("filter", "joint", "refused", "sideinfo")


@functools.cache
def _made_set(name: str) -> Path | None:
    """A set of random networks that wheels leave out, made anew, bit by bit the same. It lasts as long as the process."""
    from vrcnn_int.conformance.networks import GENERAL_SETS, general_set

    path = Path(name)
    if name not in [f"models/{one}.vrcnn" for one in GENERAL_SETS]:
        return None
    folder = tempfile.TemporaryDirectory(prefix="vrcnn-suite-")
    atexit.register(folder.cleanup)
    made = Path(folder.name) / path.name
    made.write_bytes(general_set(path.stem).to_bytes())
    return made


@dataclass(frozen=True)
class Suite:
    """A suite in a folder."""

    folder: Path
    filter: list[FilterVector]
    joint: list[JointVector]
    refused: list[RefusedVector]
    sideinfo: list[SideinfoVector]

    @classmethod
    def load(cls, folder: Path | None = None) -> Self:
        """The suite in ``folder``, by default the one that is installed. Raises SuiteError."""
        folder = folder or INSTALLED
        try:
            values = read_json(folder / INDEX)
            # First of all: other versions have other keys.
            if isinstance(values, dict) and values.get("version", VERSION) != VERSION:
                raise SuiteError(
                    f"{folder} is a suite of version {values['version']!r:.40}, this program knows {VERSION}: update vrcnn-int"
                )
            index = checked(values, _Index, str(folder / INDEX))
        except OSError as error:
            raise SuiteError(f"{folder} is no conformance suite ({error.strerror}); `vrcnn-int conformance make` writes one") from None
        except DocumentError as error:
            raise SuiteError(f"{error}; make the suite again") from None
        if empty := [name for name in LISTS if not getattr(index, name)]:
            raise SuiteError(f"{folder / INDEX} lists no vectors of {' and '.join(empty)}; make the suite again")
        return cls(folder, index.filter, index.joint, index.refused, index.sideinfo)

    def index(self) -> str:
        """The text of suite.json: a vector a line."""
        lists = [f'"{name}": [\n' + ",\n".join(json.dumps(_written(vector)) for vector in getattr(self, name)) + "\n]" for name in LISTS]
        return f'{{"version": {VERSION},\n' + ",\n".join(lists) + "}\n"

    @property
    def vectors(self) -> int:
        """How many there are in all."""
        return len(self.filter) + len(self.joint) + len(self.refused) + len(self.sideinfo)

    def path(self, name: str) -> Path:
        """A file of the suite. Raises SuiteError if it is missing."""
        if self.folder == INSTALLED and name == SHIPPED:  # wheels have that set once
            return builtin_path()
        path = self.folder / name
        if self.folder == INSTALLED and not path.exists() and (made := _made_set(name)):
            return made
        if not path.is_file():
            raise SuiteError(f"{path} is missing from the suite; make the suite again")
        return path

    def plane(self, vector: FilterVector) -> NDArray[np.integer]:
        """The picture of a vector, uint8 or uint16 [height, width]. Raises SuiteError."""
        data = self._picture(vector.picture, vector.samples * vector.bytes_per_sample)
        dtype = "<u2" if vector.bytes_per_sample == 2 else "u1"
        return np.frombuffer(data, dtype).astype(dtype[-2:]).reshape(vector.height, vector.width)

    def planes(self, vector: JointVector) -> tuple[NDArray[Any], ...]:
        """The planes of a vector, uint8 or uint16 [height, width]. Raises SuiteError."""
        return vector.split(self._picture(vector.picture, vector.size))

    def _picture(self, name: str, size: int) -> bytes:
        path = self.path(name)
        if (found := path.stat().st_size) != size:
            raise SuiteError(f"{path} has {found} bytes, not those of its picture; make the suite again")
        return path.read_bytes()


def plane_shapes(width: int, height: int, chroma_format: int) -> list[tuple[int, int]]:
    """Height and width of each plane of a picture of so many luma samples; chroma_format: 400, 420, 422 or 444."""
    across, down = {400: (1, 1), 420: (2, 2), 422: (2, 1), 444: (1, 1)}[chroma_format]
    chroma = (-(-height // down), -(-width // across))
    return [(height, width)] + [chroma] * 2 * (chroma_format != 400)


def plane_bytes(plane: NDArray[Any]) -> bytes:
    """An array of samples, uint8 or uint16, as raw bytes: rows from the top, 16 bits little-endian."""
    return plane.astype(plane.dtype.newbyteorder("<")).tobytes()
