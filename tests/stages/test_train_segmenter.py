"""train_segmenter on drawn squares: it fits them, drops useless masks, resumes, self-trains and knows when to stop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from stages import train_segmenter
from tests import drawn_squares
from weakseg.artifacts import activations, tables, zips
from weakseg.errors import UserError
from weakseg.harness import files, params
from weakseg.networks import predict, saved_segmenter
from weakseg.training import relabeling, segmenter_rounds
from weakseg.training import segmenter as training_segmenter

SECTION = {
    "segmenter": "topdown",
    "variant": "fine",
    "weights": "random",
    "encoder_variant": "",
    "target": "binary",
    "size": 32,
    "steps": 4,
    "batch_size": 2,
    "zoom_from": 0.9,
    "zoom_to": 1.1,
    "flip": True,
    "gain": 0.05,
    "brightness": 0.02,
    "optimizer": "adamw",
    "schedule": "onecycle",
    "warmup": 0.4,
    "encoder_rate": 3e-3,
    "decoder_rate": 1e-2,
    "weight_decay": 0.01,
    "clip": 5.0,
    "balance": 0.5,
    "average": 0.0,
    "teacher_share": 0.0,
    "frozen_groups": 0,
    "fixed_norm": False,
    "precision": "fp32",
    "test_size": 32,
    "test_scales": [1.0],
    "test_flip": True,
    "rounds": 0,
    "refiner": "superpixel_vote",
    "superpixel_vote": {"band": 0.0, "radius": 0},
    "disputed_ignored": True,
    "converged": 0.99,
    "departed": 0.2,
}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.chdir(tmp_path)
    return drawn_squares.write(tmp_path)


def section(**changed: object) -> train_segmenter.Params:
    whole = {"seed": 0, "train_segmenter": {**SECTION, **changed}}
    return params.check(train_segmenter.Params, "train_segmenter", whole, Path("params.yaml"))


def run(paths: dict[str, Path], out: str = "out", supervision: str = "weak", **changed: object):
    return train_segmenter.main(section(**changed), supervision=supervision, out=Path(out), **paths)


def iou(path: Path, paths: dict[str, Path], ids: list[str], classes: bool = False) -> float:
    """Share of agreement with the drawn masks: intersection over union of the (classes') foreground."""
    segmenter, header = saved_segmenter.load(path)
    both = either = 0
    how = {"size": header.test_size, "scales": header.test_scales, "flip": header.test_flip}
    for name, found in predict.stream(
        segmenter, zips.Images(paths["images"]), ids, **how, batch_size=4, precision="fp32"
    ):
        truth = zips.Masks(paths["masks"]).mask(name)
        mask = predict.to_mask(found, truth.shape)
        truth, mask = (truth, mask) if classes else (truth > 0, mask > 0)
        both += ((mask == truth) & (truth > 0)).sum()
        either += ((mask > 0) | (truth > 0)).sum()
    return both / either


@pytest.mark.parametrize("target", ["binary", "classes"])
def test_it_fits_four_images(paths: dict[str, Path], target: str) -> None:
    frame = tables.load_labels(paths["labels"])
    tables.save_labels(paths["labels"], frame.assign(split=["train"] * 4 + ["test"] * 4))
    metrics, rows = run(paths, steps=60, batch_size=4, target=target, zoom_from=1.0, zoom_to=1.0, flip=False)
    assert metrics["images"] == 4 and len(rows) == 60 and rows[-1]["loss"] < 0.5 * rows[0]["loss"]
    assert iou(Path("out/round0.safetensors"), paths, frame.index[:4].tolist(), target == "classes") > 0.8
    _, header = saved_segmenter.load(Path("out/round0.safetensors"))
    assert header.classes == (["object"] if target == "binary" else drawn_squares.CLASSES)


def test_steps_are_counted_over_passes(paths: dict[str, Path]) -> None:
    _, rows = run(paths, steps=7)
    assert [row["epoch"] for row in rows] == [1, 2, 3], "six images in batches of two are three steps a pass"


def test_test_images_and_useless_masks_are_left_out(paths: dict[str, Path]) -> None:
    masks, names = zips.Masks(paths["masks"]), tables.load_labels(paths["labels"]).index.tolist()
    with zips.mask_writer(Path("some.zip")) as writer:
        for number, name in enumerate(names):
            mask = masks.mask(name)
            if number != 4:
                writer.add(
                    name, {1: np.zeros_like(mask), 2: np.ones_like(mask), 3: np.full_like(mask, 255)}.get(number, mask)
                )
    metrics, _ = run({**paths, "masks": Path("some.zip")})
    counts = ("images", "without_mask", "dropped_empty", "dropped_full")
    assert [metrics[name] for name in counts] == [2, 1, 2, 1]
    with zips.mask_writer(Path("none.zip")) as writer:
        writer.add(names[0], np.zeros((32, 32), np.uint8))
    with pytest.raises(UserError, match="no mask with both object and background"):
        run({**paths, "masks": Path("none.zip")})


def test_same_seed_same_bytes_and_resume(paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"steps": 6, "average": 0.9, "teacher_share": 0.5}
    expected = run(paths, "whole", **options)
    objective = training_segmenter.objective

    def dying(*arguments: object):
        loss = objective(*arguments)

        def step(batch: object, epoch: int):
            if epoch == 1:
                raise KeyboardInterrupt
            return loss(batch, epoch)

        return step

    monkeypatch.setattr(training_segmenter, "objective", dying)
    with pytest.raises(KeyboardInterrupt):
        run(paths, "resumed", **options)
    monkeypatch.setattr(training_segmenter, "objective", objective)
    assert not Path("resumed").exists()
    assert run(paths, "resumed", **options) == expected
    whole, resumed = (Path(name, "round0.safetensors").read_bytes() for name in ("whole", "resumed"))
    assert whole == resumed


def test_rounds_are_written_and_stop_when_they_agree(paths: dict[str, Path]) -> None:
    files.save_bytes(Path("out/round7.safetensors"), b"of an earlier run")
    metrics, rows = run(paths, rounds=3, converged=0.0, departed=-1.0)
    assert metrics["rounds"] == 1 and 0 <= metrics["agreement_round1"] <= 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["round0.safetensors", "round1.safetensors"]
    assert {row["round"] for row in rows} == {0, 1}
    first, second = (path.read_bytes() for path in saved_segmenter.rounds(Path("out")))
    assert first != second


def test_a_round_that_departs_is_thrown_away(paths: dict[str, Path]) -> None:
    metrics, rows = run(paths, rounds=2, departed=2.0)
    assert metrics["rounds"] == 0 and "agreement_round1" in metrics and {row["round"] for row in rows} == {0}
    assert [path.name for path in Path("out").iterdir()] == ["round0.safetensors"]


def test_true_masks_are_not_self_trained(paths: dict[str, Path]) -> None:
    metrics, _ = run(paths, supervision="full", rounds=3)
    assert metrics["rounds"] == 0
    with pytest.raises(UserError, match="choose one of weak, full"):
        run(paths, supervision="strong")


def test_self_training_mends_noisy_masks(paths: dict[str, Path]) -> None:
    present = relabeling.present_classes(tables.load_labels(paths["labels"]), drawn_squares.CLASSES, False)
    assert present["image03"].tolist() == [1]
    noise = np.random.default_rng(0)

    def noisy() -> object:
        for name in zips.Masks(paths["masks"]).names():
            truth = zips.Masks(paths["masks"]).mask(name)
            foreground = np.where(noise.random(truth.shape) < 0.2, 1 - (truth > 0), truth > 0)
            share = np.where(foreground, 0.9, 0.1)
            probability = np.zeros((3, 32, 32), np.float32)
            probability[0], probability[1 + present[name][0]] = 1 - share, share
            yield name, probability

    scores = Path("scores.zip")
    relabeling.write_scores(scores, noisy(), present)
    from weakseg.masks.refiners import superpixel_vote

    archives = zips.Images(paths["images"]), zips.Segments(paths["superpixels"]), activations.Cams(scores)
    refinement = relabeling.Refinement(superpixel_vote.refine, {"band": 0.0, "radius": 0}, *archives, True)
    mask = refinement("image03")
    assert set(np.unique(mask)) <= {0, 2, 255} and (mask == 255).any()
    truth = zips.Masks(paths["masks"]).mask("image03")
    assert (mask[mask != 255] == truth[mask != 255]).mean() > 0.9


def test_verdicts() -> None:
    assert [relabeling.verdict(value, 0.98, 0.7) for value in (0.5, 0.8, 0.99)] == ["departed", "on", "converged"]
    left = [("a", np.array([[[0.9, 0.1]], [[0.1, 0.9]]])), ("b", np.array([[[0.2, 0.1]], [[0.8, 0.9]]]))]
    right = [("a", np.array([[[0.1, 0.1]], [[0.9, 0.9]]])), ("b", left[1][1])]
    assert relabeling.agreement(iter(left), iter(right)) == pytest.approx(3 / 4)


def test_class_weights_by_hand() -> None:
    weights = training_segmenter.class_weights(np.array([75, 25, 0]), 3, 1.0)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])
    assert training_segmenter.class_weights(np.array([75, 25]), 2, 0.0) is None


def test_mixed_targets_by_hand() -> None:
    maps = torch.tensor([[[0, 1, 255]]])
    probability = torch.tensor([0.4, 0.6])[None, :, None, None].expand(1, 2, 1, 3)
    found = training_segmenter.mixed_targets(maps, probability, 0.5)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([[0.7, 0.2, 0.0], [0.3, 0.8, 0.0]]))


def test_recipe_and_settings_take_every_parameter() -> None:
    known = set(training_segmenter.Recipe.__dataclass_fields__) | set(segmenter_rounds.Settings.__dataclass_fields__)
    assert set(train_segmenter.Params.model_fields) - {"refiner"} <= known
