"""Each step's masks on drawn squares, and which images are scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.masks import drawn_chain
from weakseg.artifacts import activations, tables, zips
from weakseg.artifacts import truth as artifacts_truth
from weakseg.artifacts.truth import load_boxes
from weakseg.errors import UserError
from weakseg.evaluation.masks import steps

ALL = {"train": ("train", "val"), "test": ("test",)}


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return drawn_chain.write(tmp_path)


@pytest.fixture
def truth(paths: dict[str, Path]) -> artifacts_truth.TrueMasks:
    heads = artifacts_truth.heads(load_boxes(paths["parts"]))
    return artifacts_truth.TrueMasks(zips.Masks(paths["masks"]), tables.load_labels(paths["labels"]), heads)


def maps(paths: dict[str, Path], kind: str) -> steps.Maps:
    return steps.Maps(activations.Cams(paths[kind]), kind == "distilled")


def test_chosen_and_counted_images(truth: artifacts_truth.TrueMasks):
    assert truth.chosen(ALL, 0) == {"train": ["a", "c", "d"], "test": ["e", "f"]}
    assert truth.chosen(ALL, 2) == {"train": ["a", "d"], "test": ["e", "f"]}
    assert truth.counts(ALL)["train_without_mask"] == 1
    with pytest.raises(UserError, match="no ground truth"):
        truth.chosen({"val": ()}, 0)


def test_heads_are_gathered_by_image(truth: artifacts_truth.TrueMasks):
    assert {name: boxes.tolist() for name, boxes in truth.heads.items()} == {
        "a": [[10, 8, 26, 12]],
        "e": [[10, 8, 26, 12]],
    }


def test_the_gaussian_is_centered_and_symmetric(truth: artifacts_truth.TrueMasks):
    (found,) = steps.gaussian(truth, 0.25, 0.0)(["a"])
    assert found.mask.shape == drawn_chain.SHAPE
    assert (found.mask == found.mask[::-1, ::-1]).all()
    assert found.mask[16, 20] == 1 and found.mask[0, 0] == 0
    assert (found.activation.min(), found.activation.max()) == (0, 1)


@pytest.mark.parametrize("kind", ["cams", "distilled"])
def test_maps_are_cut_into_class_masks(truth: artifacts_truth.TrueMasks, paths: dict[str, Path], kind: str):
    found = list(steps.mapped(truth, maps(paths, kind), None if kind == "cams" else 0.0, 0.0)(["a", "d"]))
    assert [np.unique(one.mask).tolist() for one in found] == [[0, 1], [0, 2]]
    assert found[0].mask[10, 16] == 1 and found[0].mask[20, 16] == 0
    assert found[0].activation.max() == 1


def test_an_image_without_map_is_background(truth: artifacts_truth.TrueMasks, paths: dict[str, Path]):
    empty = activations.CamEntry(np.zeros((0, 4, 4)), np.zeros(0, int), np.zeros((4, 4)), np.zeros((1, 4, 4)))
    with activations.cams_writer(paths["cams"]) as writer:
        writer.add("a", empty)
    (found,) = steps.mapped(truth, maps(paths, "cams"), None, 0.0)(["a"])
    assert not found.mask.any() and found.activation is None
    assert np.isnan(steps.oracle(truth, maps(paths, "cams"), ["a"]))


@pytest.mark.parametrize("kind", ["cams", "distilled"])
def test_no_threshold_beats_the_oracle(truth: artifacts_truth.TrueMasks, paths: dict[str, Path], kind: str):
    def miou(threshold: float) -> float:
        (found,) = steps.mapped(truth, maps(paths, kind), threshold, 0.0)(["a"])
        guess, true = found.mask > 0, drawn_chain.mask("a")
        kept = true != 255
        pairs = ((guess, true > 0), (~guess, true == 0))
        return float(np.mean([(one & two & kept).sum() / ((one | two) & kept).sum() for one, two in pairs]))

    best = miou(steps.oracle(truth, maps(paths, kind), ["a"]))
    low, high = (0, 1) if kind == "cams" else (-4, 4)
    assert best >= max(miou(value) for value in np.linspace(low, high, 37)) - 1e-6


def test_stored_masks_come_as_they_are(truth: artifacts_truth.TrueMasks, paths: dict[str, Path]):
    found = list(steps.stored(zips.Masks(paths["pseudomasks"]))(["d", "a"]))
    assert (found[0].mask == drawn_chain.mask("d")).all() and zips.IGNORE in found[1].mask
