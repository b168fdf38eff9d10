"""What a test says of a refusal of the filter: its code."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from codec_bridge.filter import ErrorCode, FilterError


@contextmanager
def refused_as(code: ErrorCode, match: str | None = None) -> Iterator[None]:
    """The block raises a FilterError of this code, in one line that matches."""
    with pytest.raises(FilterError, match=match) as caught:
        yield
    assert caught.value.code is code
    assert "\n" not in str(caught.value)
