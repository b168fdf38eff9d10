"""Model sets put together of finished ones: the networks, their float networks and their records stay as they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.integer import ModelSet
from vrcnn_int.models import builtin_path, float_networks_of, float_path, model_path, set_names, starts_path
from vrcnn_int.network import KINDS, load_float_networks


def quantize(*sets: Path, out: Path) -> None:
    result = CliRunner().invoke(app, ["quantize", *map(str, sets), "--out", str(out)], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("name", ["joint_intra", "vrcnn_intra"])
def test_a_set_alone_is_written_again_byte_for_byte(name: str, tmp_path: Path) -> None:
    source, out = builtin_path(name), tmp_path / "same.vrcnn"
    quantize(source, out=out)
    assert out.read_bytes() == source.read_bytes()
    assert json.loads(out.with_suffix(".json").read_text()) == json.loads(source.with_suffix(".json").read_text())
    assert starts_path(out).exists() == starts_path(source).exists()


def test_two_sets_are_one_after_the_other(tmp_path: Path) -> None:
    sources, out = [builtin_path("joint_intra"), builtin_path("vrcnn_intra")], tmp_path / "both.vrcnn"
    quantize(*sources, out=out)
    both = ModelSet.load(out)
    parts = [network for source in sources for network in ModelSet.load(source).networks]
    assert both.to_bytes() == ModelSet(tuple(parts)).to_bytes()
    plain = [network for source in sources for network in load_float_networks(float_path(source), KINDS)[0]]
    for found, expected in zip(load_float_networks(float_path(out), KINDS)[0], plain, strict=True):
        assert found.identity == expected.identity
        assert np.array_equal(found.weights[0][0], expected.weights[0][0])
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["identity"] == both.identity
    assert record["networks"] == [each for path in sources for each in json.loads(path.with_suffix(".json").read_text())["networks"]]


def test_what_lies_beside_a_set_must_be_its_own(tmp_path: Path) -> None:
    source, mine = builtin_path("joint_intra"), tmp_path / "mine.vrcnn"
    shutil.copy(source, mine)
    shutil.copy(float_path(source), float_path(mine))

    def refused(said: str) -> None:
        with pytest.raises(VrcnnError, match=said):
            quantize(mine, out=tmp_path / "out.vrcnn")

    refused(r"there is no .*mine\.json, the record of how the networks of mine\.vrcnn were trained")
    shutil.copy(builtin_path("vrcnn_intra").with_suffix(".json"), mine.with_suffix(".json"))
    refused(r"mine\.vrcnn, mine\.float\.npz and mine\.json are not of one set")
    shutil.copy(source.with_suffix(".json"), mine.with_suffix(".json"))
    shutil.copy(starts_path(source), starts_path(mine))
    shutil.copy(float_path(builtin_path("joint_post")), float_path(mine))  # as many networks
    refused(r"mine\.vrcnn, mine\.float\.npz and mine\.json are not of one set")
    shutil.copy(float_path(source), float_path(mine))
    shutil.copy(starts_path(builtin_path("joint_best")), starts_path(mine))
    refused(r"mine\.vrcnn and mine\.starts\.npz are not of one set")
    mine.with_suffix(".json").write_text('{"identity": 5}')
    refused(r"mine\.json")
    assert not (tmp_path / "out.vrcnn").exists()


def test_a_set_without_starts_leaves_none_of_the_set_that_it_replaces(tmp_path: Path) -> None:
    """Shipped sets are found by name; of joint_intra there are starts, of joint_post none."""
    out = tmp_path / "mine.vrcnn"
    quantize(Path("joint_intra"), out=out)
    out.unlink()
    with pytest.raises(VrcnnError, match=r"mine\.json exists"):
        quantize(Path("joint_post"), out=out)
    for name in (".json", ".float.npz"):
        out.with_suffix(name).unlink()
    with pytest.raises(VrcnnError, match=r"mine\.starts\.npz exists"):
        quantize(Path("joint_post"), out=out)
    result = CliRunner().invoke(app, ["quantize", "joint_post", "--out", str(out), "--force"], catch_exceptions=False)
    assert result.exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.float.npz", "mine.json", "mine.vrcnn"]


def test_float_networks_of_paths_and_names(tmp_path: Path) -> None:
    assert float_networks_of(Path("joint_post")) == float_path(builtin_path("joint_post"))
    assert float_networks_of(builtin_path("joint_post")) == float_path(builtin_path("joint_post"))
    assert float_networks_of(tmp_path) == tmp_path / "float.npz"
    assert float_networks_of(tmp_path / "a.npz") == tmp_path / "a.npz"
    with pytest.raises(VrcnnError, match=r"there is no .*mine\.float\.npz, the float networks of the model set beside it"):
        float_networks_of(tmp_path / "mine.vrcnn")


def test_a_word_that_names_nothing_is_answered_with_the_shipped_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative to the folder that is given, such as a plan's; what has a folder in it is a path, whether it is there or not."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside/mine").touch()
    assert model_path("mine", tmp_path / "inside") == tmp_path / "inside/mine"
    assert model_path("joint_best", tmp_path) == builtin_path("joint_best")
    assert model_path("./joint_bst") == Path("joint_bst")
    for word in ("joint_bst", "mine"):
        with pytest.raises(VrcnnError, match=rf"cannot read model {word}: there is no such file.* shipped are {', '.join(set_names())}$"):
            model_path(word)
