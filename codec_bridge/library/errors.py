"""FilterError: what the C library, or what stands before it, refuses. One class; its code says which refusal it is."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NoReturn

from codec_bridge.library._vrcnn import ffi, lib
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import UNIT_SCALE


class ErrorCode(IntEnum):
    """The C library's errors under their numbers (vrcnn.h says when each is returned), and, positive, those found in Python alone."""

    ARGUMENT = lib.VRCNN_ERROR_ARGUMENT  # also: the filter is closed, or its backend cannot do this
    MEMORY = lib.VRCNN_ERROR_MEMORY
    TRUNCATED = lib.VRCNN_ERROR_TRUNCATED
    NOT_A_MODEL = lib.VRCNN_ERROR_NOT_A_MODEL
    VERSION = lib.VRCNN_ERROR_VERSION
    SIZE = lib.VRCNN_ERROR_SIZE
    CHECKSUM = lib.VRCNN_ERROR_CHECKSUM
    LIMIT = lib.VRCNN_ERROR_LIMIT  # the message names network (from 0), layer and branch (from 1) and value
    OVERFLOW = lib.VRCNN_ERROR_OVERFLOW  # the same, and the channel (from 0)
    POSITION = lib.VRCNN_ERROR_POSITION
    QP = lib.VRCNN_ERROR_QP
    KERNEL_UNKNOWN = lib.VRCNN_ERROR_KERNEL_UNKNOWN
    KERNEL_UNSUPPORTED = lib.VRCNN_ERROR_KERNEL_UNSUPPORTED
    INDEX = lib.VRCNN_ERROR_INDEX
    LAYER = lib.VRCNN_ERROR_LAYER
    SCALE = lib.VRCNN_ERROR_SCALE
    BIT_DEPTH = lib.VRCNN_ERROR_BIT_DEPTH
    PLANE = lib.VRCNN_ERROR_PLANE  # also: an array of another dtype or number of dimensions
    REGION = lib.VRCNN_ERROR_REGION
    OVERLAP = lib.VRCNN_ERROR_OVERLAP
    KERNEL_REFUSED = lib.VRCNN_ERROR_KERNEL_REFUSED
    THREADS = lib.VRCNN_ERROR_THREADS
    UNITS = lib.VRCNN_ERROR_UNITS  # also: a map of another shape than the picture needs
    SIDEINFO_FOREIGN = lib.VRCNN_ERROR_SIDEINFO_FOREIGN
    SIDEINFO_VERSION = lib.VRCNN_ERROR_SIDEINFO_VERSION
    SIDEINFO_TRUNCATED = lib.VRCNN_ERROR_SIDEINFO_TRUNCATED
    SIDEINFO_SYNTAX = lib.VRCNN_ERROR_SIDEINFO_SYNTAX
    SIDEINFO_SPACE = lib.VRCNN_ERROR_SIDEINFO_SPACE
    SIDEINFO_LOST = lib.VRCNN_ERROR_SIDEINFO_LOST
    SIDEINFO_MODEL = lib.VRCNN_ERROR_SIDEINFO_MODEL
    SIDEINFO_SAO = lib.VRCNN_ERROR_SIDEINFO_SAO
    KIND = lib.VRCNN_ERROR_KIND
    SIDEINFO_HEADS = lib.VRCNN_ERROR_SIDEINFO_HEADS
    SIDEINFO_CHROMA = lib.VRCNN_ERROR_SIDEINFO_CHROMA
    SAMPLE = 1  # a sample is larger than the bit depth allows: the C library would clip it, here it is taken for a mistake
    BACKEND = 2  # there is no such backend
    FILE = 3  # the model file cannot be read


_ADVICE = {
    ErrorCode.MEMORY: "close other filters, or use a machine with more memory",
    ErrorCode.TRUNCATED: "copy or export the file again",
    ErrorCode.NOT_A_MODEL: "give a .vrcnn file, as vrcnn-int export writes it",
    ErrorCode.VERSION: "update vrcnn-int, or export the model again with this version",
    ErrorCode.SIZE: "copy or export the file again",
    ErrorCode.CHECKSUM: "copy or export the file again",
    ErrorCode.LIMIT: "see c/SPECIFICATION.md, section 3, and export the model again",
    ErrorCode.OVERFLOW: "quantize the network again; vrcnn-int export runs the same proof",
    ErrorCode.POSITION: "use a model set that has networks for it, or name the network by its index",
    ErrorCode.QP: "give the QP of the slices, or name the network by its index",
    ErrorCode.KERNEL_UNSUPPORTED: "use auto, or one that `codec-bridge bench` lists",
    ErrorCode.SCALE: f"{UNIT_SCALE} leaves the residual as trained",
    ErrorCode.BIT_DEPTH: "12 bits are for joint networks, such as those of joint_intra",
    ErrorCode.PLANE: f"a plane has 1 to {lib.VRCNN_MAX_SIZE} samples in each direction",
    ErrorCode.KERNEL_REFUSED: "use auto, which takes the next best kernel, or allow the process AMX",
    ErrorCode.THREADS: f"give 1 to {lib.VRCNN_MAX_THREADS}",
    ErrorCode.UNITS: f"units are 64, 128, 256 or 512 samples wide and choose among at most {lib.VRCNN_MAX_CHOICES} networks",
    ErrorCode.KIND: "luma networks filter planes of luma, joint ones pictures with their chroma",
    ErrorCode.SIDEINFO_VERSION: "update vrcnn-int",
    ErrorCode.SIDEINFO_SPACE: "use larger units",
}


class FilterError(VrcnnError):
    """A filter cannot be made or cannot filter this; code: the ErrorCode."""

    def __init__(self, message: str, code: ErrorCode) -> None:
        super().__init__(message, code)  # both are arguments, so that it can be pickled: jobs run in other processes
        self.code = code

    def __str__(self) -> str:
        return str(self.args[0])


def refuse(code: int, subject: str, detail: str = "", advice: str = "") -> NoReturn:
    """Raise the FilterError for a code of the C library: subject: what is wrong (detail); what to do (advice, or what the table says)."""
    known = ErrorCode(code)
    message = f"{subject}: {ffi.string(lib.vrcnn_strerror(code)).decode('ascii')}"
    if detail:
        message += f" ({detail})"
    if advice := advice or _ADVICE.get(known, ""):
        message += f"; {advice}"
    raise FilterError(message, known)


def check(code: int, subject: str, detail: str = "") -> int:
    """Return what the C library returned, or refuse if it is an error."""
    if code < 0:
        refuse(code, subject, detail)
    return code


def known(word: object, words: Sequence[str], what: str, code: ErrorCode) -> str:
    """The word if it is one of these. Raises FilterError."""
    if not isinstance(word, str) or word not in words:
        raise FilterError(f"{what} {' '.join(repr(word).split())[:40]} is not known; use one of {', '.join(words)}", code)
    return word
