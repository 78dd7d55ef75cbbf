"""Targets, freezing, and training runs of the classifier on drawn tensors written as real artifacts."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.training.hues import SIZE, recipe, write
from weakseg.data import samples
from weakseg.data.augment import draw_windows
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.loading import saved, saved_classifier
from weakseg.training import image_labels, predictions
from weakseg.training.classification import head
from weakseg.training.classification.classifier import (
    Examples,
    choose_examples,
    draw_batches,
    read_shuffled,
    train,
)
from weakseg.training.classification.kept_epochs import keeper

pytestmark = pytest.mark.usefixtures("workplace")  # features of a frozen network are kept in the working folder


def small(classes: int = 2):
    torch.manual_seed(0)
    return choices.load("backbones", "resnet").build("small", classes, "random")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"trainable_blocks": 0, "epochs": 30},
        {"target": "multi"},
        {"dice_weight": 0.1},
        {"dice_weight": 0.1, "dice": "sigmoid", "dice_threshold": 0.5, "dice_rounds": 5},
    ],
)
def test_training_learns_the_hue(tmp_path: Path, changes: dict) -> None:
    data = write(tmp_path)
    classifier, plan = small(), recipe(**changes)
    history = train(classifier, data, plan, tmp_path)
    assert max(row["val_accuracy"] for row in history) == 1.0
    reader = predictions.read(data, data.frame.index.tolist(), plan)
    predictions.predict_table(classifier, data, reader, tmp_path / "p.csv", tmp_path / "known")
    table = pd.read_csv(tmp_path / "p.csv", dtype={"image_id": str})
    assert table.columns.tolist() == ["image_id", "split", "predicted", "probability", "p_green", "p_red"]
    assert len(table) == len(data.frame)
    true = [data.frame.at[image_id, "labels"][0] for image_id in table.image_id]
    assert (table.predicted == true).mean() > 0.9


def test_batches_are_normalized_windows_fixed_by_seed_and_epoch(tmp_path: Path) -> None:
    data, classifier = write(tmp_path), small()
    plain = samples.ImageSamples(data.images, data.frame.index.tolist()[:8], SIZE, samples.PLAIN)
    examples = Examples(plain, torch.arange(8), None)

    def draw(plan: image_labels.Recipe, epoch: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
        return next(iter(draw_batches(classifier, examples, read_shuffled(examples, plan), plan, epoch)))

    pixels, labels = draw(recipe(zoom_from=1.0, zoom_to=1.0, flip=False))
    for image, label in zip(pixels, labels, strict=True):
        torch.testing.assert_close(image, classifier.normalize(plain[int(label)][0] / 255), atol=1e-4, rtol=1e-4)
    first, again, later = (draw(recipe(gain=0.2), epoch)[0] for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, later) and not torch.equal(first, pixels)


def test_small_windows_are_read_from_larger_images_and_keep_their_shape_where_a_center_is_validated(
    tmp_path: Path,
) -> None:
    data = write(tmp_path)
    data.frame["width"] = 2 * SIZE  # as if they were twice as wide as high
    whole, center = (choose_examples(data, recipe(zoom_from=0.25, zoom_to=1.0, center_crop=c)) for c in (0.0, 0.9))
    assert whole.images.size == center.images.size == 2 * SIZE
    assert whole.proportions is None and set(center.proportions.tolist()) == {0.5}
    half = recipe(zoom_from=0.25, zoom_to=0.5)
    square = draw_windows(half, 9, torch.Generator().manual_seed(0), center.proportions[:9])
    shape = (square[:, 0, 0].abs() * 2 * SIZE) / (square[:, 1, 1] * SIZE)
    torch.testing.assert_close(shape, torch.ones(9))


def test_validation_and_predictions_see_the_center_where_asked(tmp_path: Path) -> None:
    data = write(tmp_path)
    ids = data.frame.index.tolist()[:2]
    ((seen, _),) = predictions.read(data, ids, recipe(center_crop=0.5, batch_size=2)).batches("")
    ((whole, _),) = predictions.read(data, ids, recipe(batch_size=2)).batches("")
    assert seen.shape == whole.shape == (2, 3, SIZE, SIZE)
    middle = whole[..., SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4]
    torch.testing.assert_close(seen.mean((2, 3)), middle.mean((2, 3)), atol=0.01, rtol=0.01)
    assert (seen.mean((2, 3)) - whole.mean((2, 3))).abs().max() > 0


@pytest.mark.parametrize("blocks", [-1, 0])
def test_epochs_are_kept_where_asked(tmp_path: Path, blocks: int) -> None:
    data, classifier = write(tmp_path), small()
    header = saved_classifier.Header("resnet", "small", data.names, SIZE)
    plan = recipe(epochs=5, trainable_blocks=blocks)
    train(classifier, data, plan, tmp_path, keeper(classifier, header, 2, tmp_path / "kept"))
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "epoch002.safetensors",
        "epoch004.safetensors",
    ]
    early, later = (saved_classifier.load(tmp_path / f"kept/epoch00{n}.safetensors")[0] for n in (2, 4))
    assert not torch.equal(early.head.weight, later.head.weight)
    keeper(classifier, header, 0, tmp_path / "empty")(2)
    assert not list((tmp_path / "empty").iterdir())


def test_stored_features_are_mirrored_only_where_flip_says_so() -> None:
    rows = np.stack([np.zeros((20, 1), np.float16), np.ones((20, 1), np.float16)], 1)
    drawn = [
        list(head.draw_features(rows, torch.arange(20), recipe(flip=flip, head_batch_size=5), 0))
        for flip in (False, True)
    ]
    assert [len(batch) for batch, _ in drawn[0]] == [5] * 4, "head_batch_size is obeyed"
    values = [torch.cat([batch for batch, _ in batches]) for batches in drawn]
    assert values[0].sum() == 0 and 0 < values[1].sum() < 20


def test_two_runs_give_the_same_bytes_and_the_file_rebuilds(tmp_path: Path) -> None:
    data = write(tmp_path)
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        classifier = small()
        train(classifier, data, recipe(epochs=2), tmp_path / name)
        saved_classifier.save(
            tmp_path / f"{name}.st", classifier, saved_classifier.Header("resnet", "small", data.names, SIZE)
        )
        written.append((tmp_path / f"{name}.st").read_bytes())
    assert written[0] == written[1]
    loaded, header = saved_classifier.load(tmp_path / "a.st")
    inputs = torch.rand(2, 3, SIZE, SIZE)
    assert header.classes == ["green", "red"] and not loaded.training
    torch.testing.assert_close(loaded(inputs), classifier.eval()(inputs))


def test_training_the_head_alone_leaves_the_blocks_and_their_statistics(tmp_path: Path) -> None:
    data = write(tmp_path)
    classifier = small()
    before = {name: value.clone() for name, value in classifier.blocks.state_dict().items()}
    train(classifier, data, recipe(trainable_blocks=0), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in classifier.blocks.state_dict().items())


def test_a_trained_classifier_knows_whether_its_labels_exclude_each_other(tmp_path: Path) -> None:
    classifier, data = small(), write(tmp_path)
    train(classifier, data, recipe(epochs=1, target="multi"), tmp_path)
    header = saved_classifier.Header("resnet", "small", data.names, SIZE, "multi")
    saved_classifier.save(tmp_path / "c.st", classifier, header)
    loaded, _ = saved_classifier.load(tmp_path / "c.st")
    logits = torch.tensor([[1.0, 2.0]])
    facts = {key: value for key, value in asdict(header).items() if key != "target"}
    saved.save_network(tmp_path / "old.st", classifier, facts)
    assert saved_classifier.load(tmp_path / "old.st")[0].target == "single", "files of old do not say"
    for known in (classifier, loaded):
        torch.testing.assert_close(known.probabilities(logits), logits.sigmoid())


def test_targets_by_hand_and_their_errors() -> None:
    frame = pd.DataFrame({"labels": [("b",), ("a", "b")]}, index=["x", "y"])
    assert image_labels.encode(frame, ["a", "b"], "multi").tolist() == [[0, 1], [1, 1]]
    assert image_labels.encode(frame.iloc[:1], ["a", "b"], "single").tolist() == [1]
    with pytest.raises(UserError, match="image 'y' has several labels"):
        image_labels.encode(frame, ["a", "b"], "single")
    assert image_labels.encode(pd.DataFrame({"labels": [()]}, index=["z"]), ["a", "b"], "multi").tolist() == [[0, 0]]
    with pytest.raises(UserError, match="image 'z' has no label: set target to multi, give it split unlabeled"):
        image_labels.encode(pd.DataFrame({"labels": [()]}, index=["z"]), ["a", "b"], "single")
