"""The programs of `make codecs`, for tests that need them."""

import pytest

from codec_bridge.bitstream.errors import CodecError
from codec_bridge.codecs.x265 import run


def tools() -> run.Tools:
    """Those of VRCNN_CODECS or of the checkout; without them the test is skipped, with the line that says how to get them."""
    try:
        return run.find_tools()
    except CodecError as error:
        pytest.skip(str(error))
