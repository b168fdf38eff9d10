"""The filter that a stream names itself, for its decoded pictures (c/SPECIFICATION.md, section 10)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from codec_bridge.bitstream.pictures import Coding
from codec_bridge.bitstream.post_filter import PostFilter
from codec_bridge.evaluation.given import builtin_name, set_words
from codec_bridge.evaluation.settings import EvaluationError
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

LOWEST_QP = -12


def post_filters(codings: Iterable[Coding]) -> list[PostFilter]:
    """Those of a stream's pictures, each once, in their order, without the pictures' QPs."""
    found = (replace(coding.post_filter, qp=None) for coding in codings if coding.post_filter)
    return list(dict.fromkeys(found))


def set_of(path: Path, named: Sequence[PostFilter], model: Path | None) -> Path:
    """The file of the model set that a stream names: the one that is given, or one that is shipped.

    Raises EvaluationError where neither is it, and where the stream names several.
    """
    identities = list(dict.fromkeys(some.identity for some in named))
    if len(identities) > 1:
        raise EvaluationError(f"{path} names several model sets ({', '.join(identities)}): cut it where they change")
    if model and ModelSet.load(model).identity.startswith(identities[0]):
        return model
    if name := builtin_name(identities[0]):
        return builtin_path(name)
    raise EvaluationError(f"{path}: the stream {set_words(identities[0])}: give its .vrcnn file with --model")


def network_of(path: Path, models: ModelSet, named: PostFilter) -> int:
    """The number of the network that filters a picture. Raises EvaluationError where the set has none such."""
    if named.index is None:
        try:
            return models.index_for_qp(max(named.qp or 0, LOWEST_QP), "after_sao", named.kind or "", named.size)
        except VrcnnError as error:
            raise EvaluationError(f"{path} names a post-filter that is not there: {error}") from error
    if named.index >= len(models.networks):
        raise EvaluationError(f"{path} names network {named.index} as its post-filter; the set has 0 to {len(models.networks) - 1}")
    return named.index
