"""Figures that docs/RESULTS.md claims and that can be measured anywhere: what is run for each, and whether it comes out again."""

import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from codec_bridge.evaluation.plan import Plan
from codec_bridge.evaluation.settings import Settings
from codec_bridge.figures.row import Row
from codec_bridge.video.catalogue import resolve
from vrcnn_int import network
from vrcnn_int.integer import ModelSet
from vrcnn_int.io.documents import checked
from vrcnn_int.models import builtin_path

NEAR = 0.05
"""Percentage points that a figure, printed in hundredths, may be from the claimed one."""

PLANES = ("y", "u", "v")
LABELS = dict(zip(PLANES, network.PLANES, strict=True))


class Claim(Struct, forbid_unknown_fields=True, kw_only=True):
    """A row of docs/RESULTS.md, as claims.toml describes it."""

    row: str
    model: str
    identity: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    sequences: Annotated[tuple[str, ...], Meta(min_length=1)]
    encoder: str
    bd_rates: dict[str, list[float]]

    def plan(self, streams: Path) -> Plan:
        """What is run for it. streams: folder that keeps streams between claims."""
        variants = ("anchor", *self.bd_rates)
        settings = Settings(variants=variants, model=builtin_path(self.model), stream_cache=streams)
        return Plan(tuple(sequence for word in self.sequences for sequence in resolve(word)), (settings,))

    def refusal(self) -> str | None:
        """Why it can say nothing of what is shipped; None where it can."""
        shipped = ModelSet.load(builtin_path(self.model)).identity
        return None if shipped.startswith(self.identity) else f"{self.model} is {shipped[:16]} now, measured was {self.identity}"

    def differences(self, means: Mapping[str, Mapping[str, float | None]]) -> list[str]:
        """Where means, by variant and plane, are not what is claimed."""
        wrong = []
        for variant, claimed in self.bd_rates.items():
            for plane, rate in zip(PLANES, claimed, strict=False):
                own = means[variant][plane]
                if own is None or not abs(own - rate) <= NEAR:
                    wrong.append(f"{variant}, {LABELS[plane]}: {'no figure' if own is None else f'{own:+.2f} %'}, claimed {rate:+.2f} %")
        return wrong

    def other_encoders(self, rows: list[Row]) -> list[str]:
        """Versions of encoders that the claim was not measured with."""
        return sorted({row.figures.encoder for row in rows if row.figures and not row.figures.encoder.startswith(self.encoder)})


class _File(Struct, forbid_unknown_fields=True):
    claim: list[Claim]


def load() -> list[Claim]:
    """All of them."""
    text = (resources.files("codec_bridge.evaluation") / "claims.toml").read_text("utf-8")
    return checked(tomllib.loads(text), _File, "claims.toml").claim
