"""ResNet-18 on folders of labelled pictures. The functional test is on scikit-learn's digits: ImageNet is not run."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

torch = pytest.importorskip("torch", reason="training tests need torch: pip install 'vrcnn-int[train]'")
datasets = pytest.importorskip("sklearn.datasets", reason="the digits are scikit-learn's")

from vrcnn_int.cli.commands import app
from vrcnn_int.errors import VrcnnError
from vrcnn_int.research import classify, resnet
from vrcnn_int.research.papers import paper_table
from vrcnn_int.research.residual import network as residual

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train/ and test/ with 8x8 PNG pictures of ten digits."""
    folder = tmp_path_factory.mktemp("digits")
    found = datasets.load_digits()
    for i, (image, label) in enumerate(zip(found.images, found.target, strict=True)):
        place = folder / ("test" if i % 12 == 0 else "train") / str(label)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def trained(digits: Path) -> tuple[Path, str]:
    """(folder, output) of `vrcnn-int classify train` with few channels."""
    words = ["classify", "train", str(digits / "train"), "--validate", str(digits / "test"), "--out", str(digits / "out")]
    for option in ("size=8", "width=8", "float_steps=120", "rate=0.01", "weight_steps=10", "bound_steps=10", "batch=32", "last_sigma=4.0"):
        words += ["--set", option]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, words)
    assert result.exit_code == 0, result.output
    return digits / "out", result.output


def test_the_integer_network_classifies_as_the_float_one(trained: tuple[Path, str], digits: Path) -> None:
    out, output = trained
    row = json.loads((out / "result.json").read_text())
    forms = row["forms"]
    assert forms["float32"]["top1"] > 0.8
    assert abs(forms["integer"]["top1"] - forms["float32"]["top1"]) < 0.1
    assert row["same_class"] > 0.85 * row["pictures"][1]
    assert row["integer_only"]
    assert row["two_ways_alike"]
    assert f"{100 * forms['integer']['top1']:.2f}" in output
    # The same from the files, by hand.
    network = classify.classifier(out / "model.vrcnn")
    right = seen = 0
    for label in range(10):
        for path in (digits / "test" / str(label)).iterdir():
            values = network.run(np.asarray(Image.open(path))[None].astype(np.int64) - 128)[-1]
            right += int(values[:, 0, 0].argmax()) == label
            seen += 1
    assert (seen, right / seen) == (row["pictures"][1], forms["integer"]["top1"])


def test_evaluate_prints_float_beside_integer(trained: tuple[Path, str], digits: Path) -> None:
    out, _ = trained
    forms = json.loads((out / "result.json").read_text())["forms"]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(app, ["classify", "evaluate", str(out), str(digits / "test")])
    assert result.exit_code == 0, result.output
    for name in ("float32", "integer"):
        line = next(line.split() for line in result.output.splitlines() if name in line)
        assert line[-2:] == [f"{100 * forms[name][key]:.2f}" for key in ("top1", "top5")]


def test_tables_1_and_2_say_that_imagenet_was_not_run(trained: tuple[Path, str]) -> None:
    out, output = trained
    row = json.loads((out / "result.json").read_text())
    table, differences = paper_table(1, out)
    assert next(iter(table.columns[1].cells)) == "69.76"
    assert list(table.columns[3].cells) == [f"{100 * row['forms'][name]['top1']:.2f}" for name in ("float32", "integer")]
    assert "ImageNet was not run" in differences
    assert "8 instead of 64 channels" in differences
    assert f"for {row['same_class']} of {row['pictures'][1]}" in differences
    table, differences = paper_table(2, out)
    assert list(table.columns[3].cells) == [f"{4 * row['parameters'] / 1e6:.2f}", f"{row['bytes'] / 1e6:.2f}"]
    assert "ImageNet was not run" in differences
    assert output.count("ImageNet was not run") == 2


def test_pictures_are_read_as_they_are(digits: Path, tmp_path: Path) -> None:
    found = classify.read(digits / "test", 8)
    assert found.samples.shape == (150, 1, 8, 8)
    assert found.names == tuple("0123456789")
    path = sorted((digits / "test/0").iterdir())[0]
    np.testing.assert_array_equal(found.samples[0, 0], np.asarray(Image.open(path)))
    assert classify.read(digits / "test", 16, 3).samples.shape == (150, 3, 16, 16)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.new("RGB", (5, 9), (10, 20, 30)).save(tmp_path / name / "x.png")
    colour = classify.read(tmp_path, 8)
    assert colour.samples.shape == (2, 3, 8, 8)
    assert colour.samples[0, :, 3, 3].tolist() == [10, 20, 30]
    assert colour.digest != found.digest


def test_mistakes_are_one_line(trained: tuple[Path, str], digits: Path, tmp_path: Path) -> None:
    out, _ = trained
    for folder, message in ((tmp_path / "none", "is not a folder"), (tmp_path, "0 pictures of 0 labels")):
        with pytest.raises(VrcnnError, match=message):
            classify.read(folder, 8)
    (tmp_path / "x").mkdir()
    (tmp_path / "x/notes.txt").write_text("no picture")
    with pytest.raises(VrcnnError, match=r"notes\.txt is not a readable picture"):
        classify.read(tmp_path, 8)
    result = CliRunner().invoke(app, ["classify", "evaluate", str(out), str(tmp_path)])
    assert isinstance(result.exception, VrcnnError)
    assert "labelled 'x', which the network does not know" in str(result.exception)
    for options, message in (
        (resnet.ClassifierSettings(size=64), "size must be 8 to 32"),
        (resnet.ClassifierSettings(batch=0), "batch must be"),
    ):
        with pytest.raises(VrcnnError, match=message):
            resnet.train(digits / "train", digits / "test", tmp_path / "o", options)
    with pytest.raises(VrcnnError, match="other settings or data"):
        resnet.train(digits / "train", digits / "test", out, resnet.ClassifierSettings(size=8, width=4))
    filter_ = residual.FILTER
    rng = np.random.default_rng(1)
    from tests.vrcnn_int.research.test_residual import merged

    residual.quantize(merged(filter_, rng), {}).network.save(tmp_path / "filter.vrcnn")
    with pytest.raises(VrcnnError, match="is no classifier"):
        classify.classifier(tmp_path / "filter.vrcnn")


@pytest.mark.parametrize("name", ["checkpoint.pt", "model.vrcnn", "float.pt", "result.json"])
def test_outputs_are_checked_before_the_work(digits: Path, tmp_path: Path, name: str) -> None:
    pytest.importorskip("torch")
    from vrcnn_int.research.resnet import ClassifierSettings, train

    picture = next(path for path in digits.rglob("*") if path.is_file())
    (tmp_path / name).symlink_to(picture)
    before = picture.read_bytes()
    parts = picture.relative_to(digits).parts
    folder = digits.joinpath(*parts[:-2])
    with pytest.raises(VrcnnError, match=f"{name} is an input of this command"):
        train(folder, folder, tmp_path, ClassifierSettings(size=8))
    assert picture.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_training_pictures_are_moved_and_mirrored() -> None:
    rng = np.random.default_rng(3)
    pictures = classify.Pictures(rng.integers(0, 256, (3, 1, 8, 8)).astype(np.uint8), np.arange(3), ("a", "b", "c"))
    settings = resnet.ClassifierSettings(size=8, batch=64, shift=1, mirror=True)
    inputs, labels = resnet.batch_at(pictures, settings, 0, 5)
    again, _ = resnet.batch_at(pictures, settings, 0, 5)
    assert torch.equal(inputs, again)
    samples = (inputs * 255 + 128).round().numpy().astype(np.uint8)
    seen = set()
    for sample, label in zip(samples, labels.tolist(), strict=True):
        padded = np.pad(pictures.samples[label, 0], 1, mode="edge")
        for y, x, flip in np.ndindex(3, 3, 2):
            candidate = padded[y : y + 8, x : x + 8][:, :: -1 if flip else 1]
            if np.array_equal(candidate, sample[0]):
                seen.add((y, x, flip))
                break
        else:
            pytest.fail("a picture that is none of the training set's")
    assert len(seen) > 12


def test_accuracy_counts_the_first_of_equal_sums() -> None:
    scores = np.array([[3, 3, 1, 0, 0, 0, 0], [0, 9, 8, 7, 6, 5, 4]])
    assert classify.accuracy(scores, np.array([0, 1])) == classify.Accuracy(1.0, 1.0)
    assert classify.accuracy(scores, np.array([1, 6])) == classify.Accuracy(0.0, 0.5)
    assert classify.accuracy(scores, np.array([4, 5])) == classify.Accuracy(0.0, 1.0)
