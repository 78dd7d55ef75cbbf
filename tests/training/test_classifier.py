"""Targets, freezing, and training runs of the classifier on drawn tensors written as real artifacts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from weakseg.artifacts import zips
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.loading import saved_classifier
from weakseg.training import head, image_labels, predictions
from weakseg.training.classifier import epoch_batches, train

SIZE = 32


def dataset(folder: Path, count: int = 48) -> tuple[zips.Images, pd.DataFrame]:
    """Two classes of noise images that differ in hue."""
    rng = np.random.default_rng(0)
    rows = []
    with zips.archive_writer(folder / "images.zip") as writer:
        for index in range(count):
            image = rng.integers(0, 120, (SIZE, SIZE, 3)).astype(np.uint8)
            image[..., index % 2] += 90
            writer.add_bytes(f"{index:03}.png", zips.png_bytes(image))
            split = "test" if index >= count - 8 else "val" if index >= count - 16 else "train"
            rows.append(
                {
                    "image_id": f"{index:03}",
                    "split": split,
                    "labels": (("red", "green")[index % 2],),
                    "width": SIZE,
                    "height": SIZE,
                }
            )
    return zips.Images(folder / "images.zip"), pd.DataFrame(rows).set_index("image_id")


def recipe(**changes) -> image_labels.Recipe:
    values = {
        "seed": 0, "image_size": SIZE, "target": "single", "epochs": 6, "patience": 6, "batch_size": 8,
        "optimizer": "adamw", "schedule": "cosine", "warmup": 0.1, "learning_rate": 3e-3,
        "head_learning_rate": 3e-3, "weight_decay": 0.0, "label_smoothing": 0.0, "trainable_blocks": -1,
        "dice_weight": 0.0, "precision": "fp32", "zoom_from": 0.9, "zoom_to": 1.1, "flip": True, "gain": 0.0,
        "brightness": 0.0,
    }  # fmt: skip
    return image_labels.Recipe(**(values | changes))


def small(classes: int = 2):
    torch.manual_seed(0)
    return choices.load("backbones", "resnet").build("small", classes, "random")


@pytest.mark.parametrize(
    "changes", [{}, {"trainable_blocks": 0, "epochs": 30}, {"target": "multi"}, {"dice_weight": 0.1}]
)
def test_training_learns_the_hue(tmp_path: Path, changes: dict) -> None:
    images, frame = dataset(tmp_path)
    classifier, plan = small(), recipe(**changes)
    history = train(classifier, images, frame, ["green", "red"], plan, tmp_path)
    assert max(row["val_accuracy"] for row in history) == 1.0
    predictions.predict_table(classifier, images, frame, ["green", "red"], plan, tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv", dtype={"image_id": str})
    assert table.columns.tolist() == ["image_id", "split", "predicted", "probability", "p_green", "p_red"]
    assert len(table) == len(frame)
    right = [
        name == frame.at[image_id, "labels"][0] for image_id, name in zip(table.image_id, table.predicted, strict=True)
    ]
    assert np.mean(right) > 0.9


def test_batches_are_normalized_windows_fixed_by_seed_and_epoch(tmp_path: Path) -> None:
    images, frame = dataset(tmp_path)
    ids, classifier = frame.index.tolist()[:8], small()
    arguments = (images, ids, SIZE, classifier, torch.arange(8), 8)
    still = epoch_batches(*arguments, recipe(zoom_from=1.0, zoom_to=1.0, flip=False).augmentation, 0)
    pixels, labels = next(iter(still(0)))
    for image, label in zip(pixels, labels, strict=True):
        plain = torch.tensor(images.image(ids[label])).permute(2, 0, 1) / 255
        mean, std = (torch.tensor(value).view(3, 1, 1) for value in (classifier.mean, classifier.std))
        torch.testing.assert_close(image, (plain - mean) / std, atol=1e-4, rtol=1e-4)
    moved = epoch_batches(*arguments, recipe(gain=0.2).augmentation, 0)
    first, again, later = (next(iter(moved(epoch)))[0] for epoch in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, later) and not torch.equal(first, pixels)


def test_stored_features_are_mirrored_only_where_flip_says_so() -> None:
    rows = np.stack([np.zeros((20, 1), np.float16), np.ones((20, 1), np.float16)], 1)
    values = [
        torch.cat([batch for batch, _ in head.feature_batches(rows, torch.arange(20), 5, flip, 0)(0)])
        for flip in (False, True)
    ]
    assert values[0].sum() == 0 and 0 < values[1].sum() < 20


def test_two_runs_give_the_same_bytes_and_the_file_rebuilds(tmp_path: Path) -> None:
    images, frame = dataset(tmp_path)
    written = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        classifier = small()
        train(classifier, images, frame, ["green", "red"], recipe(epochs=2), tmp_path / name)
        saved_classifier.save(
            tmp_path / f"{name}.st", classifier, saved_classifier.Header("resnet", "small", ["green", "red"], SIZE)
        )
        written.append((tmp_path / f"{name}.st").read_bytes())
    assert written[0] == written[1]
    loaded, header = saved_classifier.load(tmp_path / "a.st")
    inputs = torch.rand(2, 3, SIZE, SIZE)
    assert header.classes == ["green", "red"] and not loaded.training
    torch.testing.assert_close(loaded(inputs), classifier.eval()(inputs))


def test_training_the_head_alone_leaves_the_blocks_and_their_statistics(tmp_path: Path) -> None:
    images, frame = dataset(tmp_path)
    classifier = small()
    before = {name: value.clone() for name, value in classifier.blocks.state_dict().items()}
    train(classifier, images, frame, ["green", "red"], recipe(trainable_blocks=0), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in classifier.blocks.state_dict().items())


def test_frozen_blocks_do_not_move_and_stay_in_evaluation_mode() -> None:
    classifier = small()
    image_labels.freeze(classifier, 1)
    classifier.train()
    assert not any(weight.requires_grad for weight in classifier.blocks[:-1].parameters())
    assert not classifier.blocks[0].training and classifier.blocks[-1].training
    with pytest.raises(UserError, match=r"has \d+ blocks"):
        image_labels.freeze(small(), 99)


def test_targets_by_hand_and_their_errors() -> None:
    frame = pd.DataFrame({"labels": [("b",), ("a", "b")]}, index=["x", "y"])
    assert image_labels.targets(frame, ["a", "b"], "multi").tolist() == [[0, 1], [1, 1]]
    assert image_labels.targets(frame.iloc[:1], ["a", "b"], "single").tolist() == [1]
    with pytest.raises(UserError, match="image 'y' has several labels"):
        image_labels.targets(frame, ["a", "b"], "single")
    with pytest.raises(UserError, match="image 'z' has no label"):
        image_labels.targets(pd.DataFrame({"labels": [()]}, index=["z"]), ["a"], "multi")
