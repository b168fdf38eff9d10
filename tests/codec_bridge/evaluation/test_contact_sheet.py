"""The sheet of crops: where a crop is taken, and what is written."""

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from codec_bridge.cli.commands import app
from codec_bridge.evaluation.contact_sheet import CROP, best_crop
from codec_bridge.video.files import write_y4m
from tests.codec_bridge.evaluation.test_jobs import moving


def test_the_crop_is_where_the_network_gains_most() -> None:
    rng = np.random.default_rng(1)
    original = rng.integers(0, 256, (CROP[0] + 45, CROP[1] + 61)).astype(np.uint8)
    before, after = (np.clip(original + rng.integers(-9, 10, original.shape), 0, 255).astype(np.uint8) for _ in range(2))
    after[20:, 30:] = original[20:, 30:]

    def gain(y: int, x: int) -> int:
        part = np.s_[y : y + CROP[0], x : x + CROP[1]]
        errors = [int(((plane[part].astype(int) - original[part]) ** 2).sum()) for plane in (before, after)]
        return errors[0] - errors[1]

    places = [(y, x) for y in range(0, 46, 8) for x in range(0, 62, 8)]
    assert best_crop(original, before, after) == max(places, key=lambda place: gain(*place))
    assert best_crop(original[:30, :40], before[:30, :40], after[:30, :40]) == (0, 0), "smaller than a crop"


def test_the_command(tmp_path: Path) -> None:
    write_y4m(tmp_path / "cat.y4m", moving(1, 200, 120), 25)
    runner = CliRunner()
    result = runner.invoke(app, ["contact-sheet", "--out", str(tmp_path / "sheet.png"), "--sequences", str(tmp_path / "cat.y4m")])
    assert result.exit_code == 0, result.output
    sheet = np.asarray(Image.open(tmp_path / "sheet.png").convert("L"))
    assert sheet.shape[1] > 1000
    assert len(np.unique(sheet)) > 100
    result = runner.invoke(app, ["contact-sheet", "--out", str(tmp_path / "none.png"), "--sequences", str(tmp_path / "dog.y4m")])
    assert result.exit_code == 1
    assert not (tmp_path / "none.png").exists()


def test_the_sheet_of_networks_after_sao(tmp_path: Path) -> None:
    write_y4m(tmp_path / "cat.y4m", moving(1, 200, 120), 25)
    words = ["contact-sheet", "--model", "joint_post", "--sequences", str(tmp_path / "cat.y4m"), "--out"]
    after = [*words, str(tmp_path / "after.png"), "--position", "after_sao"]
    assert CliRunner().invoke(app, after, catch_exceptions=False).exit_code == 0
    for more, said in ([], "for --position after_sao"), (["--position", "within"], "unknown position 'within'"):
        result = CliRunner().invoke(app, [*words, str(tmp_path / "none.png"), *more])
        assert result.exit_code == 1
        assert said in str(result.exception)
    assert not (tmp_path / "none.png").exists()
