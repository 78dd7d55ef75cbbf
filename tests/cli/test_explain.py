"""`weakseg explain` on a tiny classifier: figures, captions, arguments, and every message."""

from __future__ import annotations

import argparse
import io
import typing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image

from tests.cams.methods import networks
from weakseg.artifacts.formats import image_files, labels, zips
from weakseg.cams import arithmetic, explain
from weakseg.cams.methods import gradcampp
from weakseg.cams.view import look
from weakseg.cli import explain as command
from weakseg.cli import named_classifier
from weakseg.cli.named_classifier import NamedClassifier
from weakseg.errors import UserError
from weakseg.harness import choices, files

NAMES = ["beagle", "bengal", "birman", "pug", "sphynx"]
IDS = ["birds/a", "b", "c"]


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (30, 44, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prepared data of three images, one image file, and a saved classifier in the usual place."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(picture()).save("one.png")
    with zips.ArchiveWriter(Path("data/images")) as writer:
        for number, name in enumerate(sorted(IDS)):
            buffer = io.BytesIO()
            Image.fromarray(picture(number)).save(buffer, "PNG")
            writer.add_bytes(f"{name}.png", buffer.getvalue())
    rows = [(name, "train" if name == "c" else "test", ("pug",), 44, 30) for name in IDS]
    labels.save_labels(Path("data/labels.csv"), pd.DataFrame(rows, columns=labels.LABEL_COLUMNS).set_index("image_id"))
    model = NamedClassifier(networks.classifier(), NAMES, 24)
    monkeypatch.setattr(named_classifier, "load", lambda path: model)
    files.save_bytes(Path("models/classifier/tiny.safetensors"), b"")
    return tmp_path


def run(*arguments: str) -> None:
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    command.run(parser.parse_args(["explain", *arguments]))


def test_a_figure_for_each_file(folder, capsys):
    methods = [name for name in choices.names("methods") if name not in networks.NEEDS_TRANSFORMER]
    run("--image", "one.png", "--method", ",".join(methods), "--flip", "--scales", "1,0.5")
    columns = 1 + len(methods)
    with Image.open("explain/one.png") as figure:
        assert figure.width > columns * explain.CELL and figure.height > explain.CELL
    line = capsys.readouterr().out
    assert line.startswith("explain/one.png: ") and "map of " in line and "true" not in line


def test_an_image_of_an_uncommon_kind_is_explained_and_told(folder, capsys):
    Image.fromarray(picture()[..., 0] * np.uint16(200)).save("très profond.tif")
    run("--image", "très profond.tif", "--method", "cam")
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("explain/très profond.png: ") and out[1].endswith(image_files.DEPTH)
    Path("half.png").write_bytes(Path("one.png").read_bytes()[:99])
    with pytest.raises(UserError, match="image 'half' cannot be read"):
        run("--image", "half.png", "--method", "cam")


def test_images_of_a_split_are_explained_for_a_class(folder, capsys):
    run("--split", "test", "--random", "9", "--class", "Bengal".lower(), "--out", "found")
    assert sorted(path.name for path in Path("found").iterdir()) == ["b.png", "birds_a.png"]
    assert capsys.readouterr().out.count("map of bengal; true pug") == 2
    run("--split", "test", "--index", "1", "--class", "3", "--method", "cam", "--levels", "0", "--out", "one")
    assert [path.name for path in Path("one").iterdir()] == ["birds_a.png"]


def test_random_images_depend_on_the_seed_alone(folder, capsys):
    for seed in ("0", "0", "1", "2", "3"):
        run("--split", "test", "--random", "1", "--seed", seed)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == lines[1] and len(set(lines)) == 2


def test_same_bytes_on_every_run(folder):
    run("--image", "one.png", "--out", "first")
    run("--image", "one.png", "--out", "second")
    assert Path("first/one.png").read_bytes() == Path("second/one.png").read_bytes()


def test_files_of_one_name_do_not_overwrite_each_other(folder):
    Path("other").mkdir()
    Image.fromarray(picture(1)).save("other/one.jpg")
    run("--image", "one.png", "other/one.jpg")
    assert sorted(path.name for path in Path("explain").iterdir()) == ["one_0.png", "one_1.png"]


def test_inner_layers_fused(folder):
    run("--image", "one.png", "--method", "layercam", "--levels", "0,-1,1", "--fusion", "max")
    assert Path("explain/one.png").exists()


def test_explanation_holds_the_map_of_the_method():
    classifier = networks.classifier("layernorm").eval()
    plan = explain.Plan(24, {"gradcampp": gradcampp.maps}, [0], "mean", [1.0], False)
    found = explain.explain(classifier, plan, np.full((24, 24, 3), 200, np.uint8), 2)
    images = classifier.normalize(torch.full((1, 3, 24, 24), 200 / 255))
    expected = gradcampp.maps(look(classifier, images), torch.tensor([[2]]))[0, 0]
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    np.testing.assert_allclose(found.maps["gradcampp"], expected, atol=1e-4)
    assert found.probabilities.sum() == pytest.approx(1) and found.explained == 2


def test_a_network_of_timm_by_name(folder, capsys):
    run("--image", "one.png", "--model", "resnet10t", "--weights", "random", "--size", "64", "--method", "cam,gradcam")
    assert "explain/one.png" in capsys.readouterr().out


def test_a_foreign_file_with_its_classes(folder, capsys):
    state = {
        f"model.{key}": value for key, value in timm.create_model("test_resnet", num_classes=2).state_dict().items()
    }
    torch.save({"model_state_dict": state}, "file.pth")
    Path("names.txt").write_text("pug\nbeagle\n")
    foreign = ("--image", "one.png", "--model", "test_resnet", "--weights", "file.pth", "--size", "64")
    run(*foreign, "--classes", "names.txt", "--class", "beagle")
    assert "map of beagle" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"names its classes itself: give --classes with a network by name"):
        run("--image", "one.png", "--model", "models/classifier/tiny.safetensors", "--classes", "names.txt")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--image", "one.png", "--class", "Begal"], "class 'Begal' does not exist: did you mean bengal, beagle"),
        (["--image", "one.png", "--class", "5"], r"class '5' does not exist.*number from 0 to 4"),
        (
            ["--image", "one.png", "--method", "cam,gradcan"],
            "unknown choice 'gradcan' for methods: choose one of cam, ",
        ),
        (["--image", "one.png", "--method", "cam", "--levels", "1"], "cam needs the last layer .* use gradcam"),
        (["--image", "one.png", "--levels", "9"], "level 9 does not exist: this classifier has levels 1 to 3"),
        (["--image", "none.png"], "image none.png does not exist"),
        (["--image", "broken.png"], "image 'broken' cannot be read"),
        ([], "which images"),
        (["--image", "one.png", "--split", "test"], "which images"),
        (["--split", "test"], "which images of the split"),
        (["--split", "test", "--index", "2"], "--index is 2: the test split has images 0 to 1"),
        (["--split", "val", "--index", "0"], "split 'val' has no image: use test, train"),
        (["--image", "one.png", "--model", "resnet5O", "--weights", "random"], "resnet5O.*resnet50"),
        (["--image", "one.png", "--model", "vgg:big", "--weights", "random"], "unknown choice 'vgg' for backbones"),
    ],
)
def test_messages(folder, arguments, message):
    Path("broken.png").write_bytes(Path("one.png").read_bytes()[:200])
    with pytest.raises(UserError, match=message):
        run(*arguments)


def test_which_model(folder):
    files.save_bytes(Path("models/classifier/other.safetensors"), b"")
    with pytest.raises(UserError, match=r"has other\.safetensors, tiny\.safetensors: give --model"):
        run("--image", "one.png")
    for path in Path("models/classifier").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="has no classifier: give --model FILE or a network of timm"):
        run("--image", "one.png")


def test_weights_with_nan(folder):
    named_classifier.load(Path()).classifier.head.linear.weight.data[0, 0] = float("nan")
    with pytest.raises(UserError, match=r"'head\.linear\.weight' holds NaN"):
        run("--image", "one.png")


def test_a_head_that_is_not_pooled(folder, monkeypatch):
    model = NamedClassifier(networks.classifier("mlp"), NAMES, 24)
    monkeypatch.setattr(named_classifier, "load", lambda path: model)
    run("--image", "one.png", "--method", "gradcam,scorecam,eigencam")
    with pytest.raises(UserError, match="pc1 needs the last layer of a classifier whose head is a global average pool"):
        run("--image", "one.png", "--method", "pc1")


def test_the_fusions_offered_are_those_there_are(folder):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    for fusion in typing.get_args(arithmetic.Fusion):
        assert parser.parse_args(["explain", "--fusion", fusion]).fusion == fusion
