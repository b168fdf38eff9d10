"""What determines the figures of a row: its hash is the key under which they are kept, so none of this ever changes its form."""

from dataclasses import asdict
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from codec_bridge.codecs.base import Request
from codec_bridge.codecs.programs import file_hash
from codec_bridge.evaluation.offline import SIDE_INFORMATION_BITS
from codec_bridge.evaluation.settings import BY_BACKEND, NETWORKS, Settings
from codec_bridge.figures import metrics, perceptual
from codec_bridge.figures.row import AFTER_DECODING
from codec_bridge.library import _vrcnn, cuda
from codec_bridge.video.catalogue import Sequence
from vrcnn_int.models import builtin_path, float_file

SCHEMA = 1
"""Of the rows in result files. A job's key holds it, so that rows of another schema are never taken for these."""

_installed = cache(version)


def inputs_of(
    sequence: Sequence, pictures: int, md5: str | None, qp: int, variant: str, settings: Settings, model: str, kind: str = "luma"
) -> dict[str, Any]:
    """All that determines the figures of a row, as JSON. model: the set's identity, which stands for its file's path. kind: of networks.

    Raises CodecError if the codec is not there.
    """
    codec = settings.coder(settings.folders)
    rate = sequence.rate or Fraction(25)

    def request(variant: str) -> Request:
        return Request(qp, sequence, pictures, settings.configuration, settings.preset, rate, settings.loop(variant, model))

    command = codec.arguments(request(variant))
    inputs: dict[str, Any] = {
        "schema": SCHEMA,
        "metrics": [metrics.VERSION, _installed("scikit-image")],
        "sequence": {
            "md5": md5,
            "width": sequence.width,
            "height": sequence.height,
            "bit_depth": sequence.bit_depth,
            "chroma_format": sequence.chroma_format,
            "rate": str(rate),
            "pictures": pictures,
        },
        "codec": settings.codec,
        "configuration": settings.configuration,
        "qp": qp,
        "variant": variant,
        "programs": asdict(codec.programs(request(variant))),
        "command": [word.replace(str(settings.model), model) if settings.model else word for word in command],
    }
    if settings.metrics:
        inputs["more"] = perceptual.measured_by(settings.metrics)
    if variant in NETWORKS:
        inputs |= {"model": model, "kernel": settings.kernel, "position": settings.position, "check": settings.check}
        chosen = {"kind": settings.kind, "network_size": settings.network_size}
        inputs |= {name: word for name, word in chosen.items() if word not in (None, "luma", "best")}
    if variant in ("integer", "float") and kind == "joint":
        inputs["side_information_bits"] = SIDE_INFORMATION_BITS  # rows without it were made when these variants paid 24
    if variant == "choice":
        inputs["ordinary"] = codec.arguments(request("anchor"))
    if variant in AFTER_DECODING or inputs.get("check"):
        inputs["library"] = file_hash(Path(_vrcnn.__file__))
    if settings.backend != "c" and variant in BY_BACKEND:
        inputs |= {"backend": settings.backend, "cuda": file_hash(cuda.library_path())}
    if variant == "float":
        inputs["float"] = [file_hash(float_file(settings.model or builtin_path())), _installed("torch")]
    return inputs
