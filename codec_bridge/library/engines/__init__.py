"""What can filter, by the name of the backend."""

from collections.abc import Callable

from codec_bridge.library.engines.base import Engine
from codec_bridge.library.engines.c import CEngine
from codec_bridge.library.engines.cuda import CudaEngine
from codec_bridge.library.engines.oracle import OracleEngine
from codec_bridge.library.native import Model

ENGINES: dict[str, Callable[[Model, str, int], Engine]] = {"c": CEngine, "oracle": OracleEngine, "cuda": CudaEngine}
"""Backend -> its engine, opened with a model set, a kernel and a number of threads; kernel and threads are the C library's alone."""
