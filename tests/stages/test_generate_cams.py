"""generate_cams on drawn squares: what is written, for which classes, and that a killed run goes on."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from stages import generate_cams
from weakseg.artifacts import activations, tables, zips
from weakseg.cams import extraction
from weakseg.cams.extraction import Extractor, Recipe
from weakseg.cams.methods import gradcampp
from weakseg.cams.view import look
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness import params
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.loading import saved_classifier

SECTION = {
    "source": "classifier",
    "method": "gradcampp",
    "fusion": "mean",
    "image_size": 32,
    "batch_size": 4,
    "scales": [1.0],
    "flip": False,
    "relu": True,
    "predicted": "top1",
    "predicted_count": 2,
    "predicted_score": 0.2,
    "target": "single",
    "feature_channels": 3,
    "projection_images": 2,
    "precision": "fp32",
    "tiny": {"levels": [0], "norm_level": -1, "feature_level": 1},
}
IDS = ["a/one", "b", "c", "d", "e", "f"]


def tiny() -> Classifier:
    """Two convolutions and a pooled head for two classes."""
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(inplace=True))
    second = nn.Sequential(nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(inplace=True))
    return Classifier(nn.Sequential(first, second), PooledHead(8, 2), 4).eval()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Six images of several sizes, two of them test images; the classifier comes without a file."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    rows = []
    with zips.archive_writer(tmp_path / "images.zip") as writer:
        for number, name in enumerate(IDS):
            pixels = generator.integers(0, 256, (20 + number, 30, 3), dtype=np.uint8)
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "PNG")
            writer.add_bytes(f"{name}.png", buffer.getvalue())
            labels = ("cat", "dog") if number == 1 else ("dog",) if number % 2 else ("cat",)
            rows.append((name, "test" if number > 3 else "train", labels, 30, 20 + number))
    frame = pd.DataFrame(rows, columns=tables.LABEL_COLUMNS).set_index("image_id")
    tables.save_labels(tmp_path / "labels.csv", frame)
    (tmp_path / "classifier.safetensors").write_bytes(b"stands for the weights")
    header = saved_classifier.Header("tiny", "small", ["cat", "dog"], 32)
    monkeypatch.setattr(saved_classifier, "load", lambda path: (tiny(), header))
    paths = {"images": "images.zip", "labels": "labels.csv", "classifier": "classifier.safetensors", "out": "cams.zip"}
    return {name: tmp_path / file for name, file in paths.items()}


def section(**changes: object) -> generate_cams.Params:
    """Checked parameters; the backbone `tiny` has no file, so its sub-section is handed over as it is."""
    given = {**SECTION, **changes}
    places = given.pop("tiny")
    checked = params.check(generate_cams.Params, "generate_cams", {"generate_cams": given}, Path("params.yaml"))
    checked._section["tiny"] = places
    return checked


def run(data: dict[str, Path], **changes: object) -> dict[str, float]:
    return generate_cams.main(section(**changes), backbone="tiny", **data)


def test_writes_every_image_for_label_or_prediction(data):
    metrics = run(data)
    cams = activations.Cams(data["out"])
    assert cams.names() == IDS
    assert metrics == {"images": 6, "images_labeled": 4, "images_predicted": 2, "maps_per_image": pytest.approx(7 / 6)}
    assert [list(cams.cams(name).classes) for name in IDS[:4]] == [[0], [0, 1], [0], [1]]
    entry = cams.cams("b")
    assert (entry.scores.shape, entry.norm.shape, entry.features.shape) == ((2, 8, 8), (16, 16), (3, 16, 16))


def test_scores_are_those_of_the_method(data):
    run(data)
    entry = activations.Cams(data["out"]).cams("b")
    dataset = samples.ImageSamples(zips.Images(data["images"]), ["b"], 32, (tiny().mean, tiny().std))
    ((images, _),) = samples.batches(dataset, 1)
    expected = gradcampp.maps(look(tiny(), images), torch.tensor([[0, 1]]))[0].numpy()
    np.testing.assert_allclose(entry.scores, expected, atol=2e-3 * expected.max())


def test_a_mirrored_set_gives_mirrored_maps(data):
    """With flip, an image's maps and those of its mirror image are mirror images."""
    rule = partial(extraction.predict_classes, rule="topk", count=2, score=0.5, target="single")
    recipe = Recipe(gradcampp.maps, [0, 1], "max", 0, 1, [1.0, 0.5], True, True, "fp32")
    images = torch.randn(2, 3, 32, 32)
    extract = Extractor(tiny(), recipe, rule, None)
    for one, other in zip(extract(images, [None, [1]]), extract(images.flip(-1), [None, [1]]), strict=True):
        np.testing.assert_array_equal(sorted(one.classes), sorted(other.classes))
        order = [list(other.classes).index(k) for k in one.classes]
        np.testing.assert_allclose(one.scores, other.scores[order][..., ::-1], atol=1e-5)
        np.testing.assert_allclose(one.norm, other.norm[..., ::-1], atol=1e-5)
        np.testing.assert_allclose(one.features, other.features[..., ::-1], atol=1e-5)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(data, monkeypatch):
    run(data)
    whole = data["out"].read_bytes()
    data["out"].unlink()
    calls = []

    def fails_on_second(self, images, labels):
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, images, labels)

    original = Extractor.__call__
    monkeypatch.setattr(Extractor, "__call__", fails_on_second)
    with pytest.raises(KeyboardInterrupt):
        run(data)
    assert not data["out"].exists()
    run(data)
    assert calls == [4, 2, 2]
    assert data["out"].read_bytes() == whole
    assert not list(Path(".cache/generate_cams").iterdir())


def test_label_the_classifier_lacks(data):
    frame = tables.load_labels(data["labels"])
    frame.at["c", "labels"] = ("bird",)
    tables.save_labels(data["labels"], frame)
    with pytest.raises(UserError, match="image 'c' has label 'bird'"):
        run(data)


def test_weights_with_nan_are_named(data, monkeypatch):
    broken = tiny()
    broken.blocks[1][0].weight.data[0, 0, 0, 0] = float("nan")
    monkeypatch.setattr(saved_classifier, "load", lambda path: (broken, None))
    with pytest.raises(UserError, match=r"weight 'blocks\.1\.0\.weight' holds NaN"):
        run(data)


def test_level_that_does_not_exist(data):
    with pytest.raises(UserError, match="level 7 does not exist: this classifier has levels 1 to 2"):
        run(data, tiny={"levels": [7], "norm_level": 0, "feature_level": 1})


def test_options_of_a_method_are_required():
    with pytest.raises(UserError, match="channels"):
        section(method="scorecam")
