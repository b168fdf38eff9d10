"""What Filter.filter_picture takes: codec_bridge.video.picture.Picture, or anything like it."""

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar, runtime_checkable

from vrcnn_int.integer import Plane


@runtime_checkable
class LumaPicture(Protocol):
    """What luma networks filter."""

    @property
    def planes(self) -> Sequence[Plane]: ...

    @property
    def bit_depth(self) -> int: ...

    def with_luma(self, luma: Plane, /) -> Self:
        """The same picture with another first plane."""


@runtime_checkable
class PlanarPicture(LumaPicture, Protocol):
    """What joint networks filter. chroma_format: 400, 420, 422 or 444."""

    @property
    def chroma_format(self) -> str: ...

    def with_planes(self, planes: tuple[Plane, ...], /) -> Self:
        """The same picture with other planes."""


AnyPicture = TypeVar("AnyPicture", bound=LumaPicture)
