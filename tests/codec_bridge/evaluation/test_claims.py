"""Claims: they stand in docs/RESULTS.md, and a figure that does not come out is told."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from codec_bridge.cli.commands import app
from codec_bridge.evaluation import claims
from codec_bridge.evaluation.claims import Claim
from codec_bridge.video.files import write_y4m
from tests.codec_bridge.evaluation.test_jobs import moving
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path

RESULTS = (Path(__file__).parents[3] / "docs/RESULTS.md").read_text()


@pytest.mark.parametrize("claim", claims.load(), ids=lambda claim: claim.row)
def test_every_claim_stands_in_the_results(claim: Claim) -> None:
    """All its figures in one row of a table below its set's identity; and the set is the one that is shipped."""
    below = RESULTS[RESULTS.index(f": {claim.identity}") :]
    words = [f"{rate:+.2f}".replace("-", "\N{MINUS SIGN}") for rates in claim.bd_rates.values() for rate in rates]
    assert any(all(word in line for word in words) for line in below.splitlines() if line.startswith("|"))
    assert claim.refusal() is None


def claim_of(clip: Path, **more: object) -> Claim:
    identity = ModelSet.load(builtin_path()).identity[:16]
    values = {"row": "a clip", "model": "vrcnn_intra", "identity": identity, "sequences": (str(clip),), "encoder": "x265", "bd_rates": {}}
    return Claim(**values | more)  # type: ignore[arg-type]


def test_what_does_not_come_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_y4m(tmp_path / "cat.y4m", moving(2), 25)
    words = ["results", "check", "--workers", "1", "--results", str(tmp_path / "results")]
    monkeypatch.setattr(claims, "load", lambda: [claim_of(tmp_path / "cat.y4m", bd_rates={"none": [99.0]})])
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert isinstance(done.exception, VrcnnError)
    assert str(done.exception).startswith("1 figure of docs/RESULTS.md does not come out: a clip: none, Y: ")
    own = float(str(done.exception).split("Y: ")[1].split(" %")[0])
    monkeypatch.setattr(claims, "load", lambda: [claim_of(tmp_path / "cat.y4m", bd_rates={"none": [own]})])
    done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    assert "): as claimed" in done.output
    old = claim_of(tmp_path / "cat.y4m", identity="0" * 16)
    monkeypatch.setattr(claims, "load", lambda: [old])
    assert "now, measured was 0000000000000000" in str(CliRunner().invoke(app, words).exception)
    other = claim_of(tmp_path / "cat.y4m", bd_rates={"none": [99.0]}, encoder="x265 1.0")
    monkeypatch.setattr(claims, "load", lambda: [other])
    assert "(measured with x265 1.0, here x265 " in str(CliRunner().invoke(app, words).exception)
