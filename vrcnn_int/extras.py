"""What commands need beside the core's packages: the extras of pyproject.toml, by the modules that they bring."""

import importlib.util

from vrcnn_int.errors import VrcnnError

_VIDEO = ("av", "PIL")
_EVAL = (*_VIDEO, "bjontegaard", "filelock", "jinja2", "matplotlib", "psutil", "scipy", "skimage", "threadpoolctl")
EXTRAS = {
    "video": _VIDEO,
    "eval": _EVAL,
    "cluster": (*_EVAL, "distributed", "dask_jobqueue"),
    "sheets": ("openpyxl",),
    "metrics": (*_EVAL, "imageio_ffmpeg"),
    "train": ("torch",),
    "bench": (*_EVAL, "onnx", "onnxruntime", "openvino", "torch"),
}
"""The smallest first: where a module is in several, the first is the one to install."""
PACKAGES = {"PIL": "pillow", "skimage": "scikit-image", "dask_jobqueue": "dask-jobqueue", "imageio_ffmpeg": "imageio-ffmpeg"}
"""Module -> package, where their names differ."""


def extra_of(module: str) -> str | None:
    """The extra that brings a module, or the package that it is in; None where none does."""
    return next((extra for extra, modules in EXTRAS.items() if module.partition(".")[0] in modules), None)


def advice(what: str, module: str, extra: str) -> str:
    """The line on a module that is not installed. what: needs it; the beginning of the sentence."""
    top = module.partition(".")[0]
    return f"{what} needs {PACKAGES.get(top, top)}; install it with: pip install 'vrcnn-int[{extra}]'"


def require(what: str, extra: str, *modules: str) -> None:
    """Raise VrcnnError, with what to install, unless these modules of an extra (none given: all) are installed. Loads none of them."""
    for module in modules or EXTRAS[extra]:
        if importlib.util.find_spec(module) is None:
            raise VrcnnError(advice(what, module, extra))
