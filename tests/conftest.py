"""pytest --kernel NAME: what asks for no kernel in particular gets this one, in this process."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from codec_bridge import filter as module


def pytest_configure() -> None:
    """A shell starts what runs in its background with SIGINT ignored, and so would be every program that a test interrupts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kernel", default="auto", choices=[name for name, _ in module.kernels()], help="stands in for auto")


@pytest.fixture(autouse=True, scope="session")
def _forced_kernel(pytestconfig: pytest.Config) -> Iterator[None]:
    forced = pytestconfig.getoption("--kernel")
    original = module.Filter.__init__

    def init(self: module.Filter, model: Any = None, kernel: str = "auto", *arguments: Any, **named: Any) -> None:
        original(self, model, forced if kernel == "auto" else kernel, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        if forced != "auto":
            patch.setattr(module.Filter, "__init__", init)
        yield
