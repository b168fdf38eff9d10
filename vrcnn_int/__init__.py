"""Integer-only CNN in-loop filters for HEVC: the filter for numpy arrays here; networks, training and proofs in its modules.

    from vrcnn_int import Filter
    filtered = Filter().filter_plane(plane, bit_depth=8, qp=32, position="after_sao")

Importing vrcnn_int imports nothing else: Filter, FilterError, ErrorCode and kernels, which need numpy and cffi, are loaded when they are
first asked for. They are those of codec_bridge.filter.
"""

from vrcnn_int.version import __version__

TYPE_CHECKING = False  # of typing, which takes a while to load
if TYPE_CHECKING:
    from codec_bridge.filter import ErrorCode, Filter, FilterError, kernels

__all__ = ["ErrorCode", "Filter", "FilterError", "__version__", "kernels"]


def __getattr__(name: str) -> object:
    """What is loaded when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from codec_bridge import filter as face

    return getattr(face, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
