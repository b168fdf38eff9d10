"""What is wrong with a stream."""

from vrcnn_int.errors import VrcnnError


class CodecError(VrcnnError):
    """An encoder failed, or a stream is damaged or does not decode to what its encoder had."""
