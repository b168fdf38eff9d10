"""pytest --kernel NAME: what asks for no kernel in particular gets this one, in this process."""

from collections.abc import Iterator
from typing import Any

import pytest

from codec_bridge import filter as module


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
