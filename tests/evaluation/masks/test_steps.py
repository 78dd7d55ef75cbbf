"""Each step's masks on drawn squares, and which images are scored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.world import SIDE, World, save_cams
from tests.world_networks import save_segmenter
from weakseg.artifacts import activations
from weakseg.artifacts import truth as artifacts_truth
from weakseg.artifacts.formats import labels, zips
from weakseg.artifacts.formats.masks import IGNORE, Masks
from weakseg.artifacts.truth import load_boxes
from weakseg.errors import UserError
from weakseg.evaluation.masks import steps
from weakseg.evaluation.masks.chain import Artifacts, Chain
from weakseg.evaluation.masks.class_maps import ClassMaps, find_oracle
from weakseg.evaluation.masks.recipe import ChainRecipe

SEGMENTERS = ("segmenter", "control")
ALL = {"train": ("train", "val"), "test": ("test",)}
CUTS = {"cams": None, "distilled": 0.0}
WORLD = World(without_mask=("b",))


def write(folder: Path, per_class: bool = False) -> dict[str, Path]:
    kinds = ("images", "labels", "masks", "parts", "cams", "distilled", "refined", "pseudomasks")
    segmenters = {name: save_segmenter(folder / name, 1 + (name == "segmenter"), per_class) for name in SEGMENTERS}
    return WORLD.write(folder, *kinds) | segmenters


def build_chain(paths: dict[str, Path]) -> Chain:
    true = artifacts_truth.TrueMasks(Masks(paths["masks"]), labels.load_labels(paths["labels"]))
    masks = Masks(paths["refined"]), Masks(paths["pseudomasks"])
    images, networks = zips.Images(paths["images"]), [paths[name] for name in SEGMENTERS]
    artifacts = Artifacts(images, maps(paths, "cams"), maps(paths, "distilled"), *masks, *networks)
    return Chain(true, artifacts, ChainRecipe(batch_size=2, precision="fp32", tails=0.0, sigma=0.25))


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, Path]:
    return write(tmp_path)


@pytest.fixture
def truth(paths: dict[str, Path]) -> artifacts_truth.TrueMasks:
    heads = artifacts_truth.heads(load_boxes(paths["parts"]))
    return artifacts_truth.TrueMasks(Masks(paths["masks"]), labels.load_labels(paths["labels"]), heads)


def maps(paths: dict[str, Path], kind: str) -> ClassMaps:
    archive = activations.Cams(paths[kind])
    return ClassMaps.logits(archive) if kind == "distilled" else ClassMaps.activations(archive)


def test_chosen_and_counted_images(truth: artifacts_truth.TrueMasks):
    assert truth.chosen(ALL, 0) == {"train": ["a", "c", "d"], "test": ["e", "f"]}
    assert truth.chosen(ALL, 2) == {"train": ["a", "d"], "test": ["e", "f"]}
    assert truth.counts(ALL)["train_without_mask"] == 1
    with pytest.raises(UserError, match="no ground truth"):
        truth.chosen({"val": ()}, 0)


def test_heads_are_gathered_by_image(truth: artifacts_truth.TrueMasks):
    expected = {name: [[x0, y0, x1, y0 + 4]] for name, (x0, y0, x1, _) in ((name, WORLD.box(name)) for name in "ae")}
    assert {name: boxes.tolist() for name, boxes in truth.heads.items()} == expected


def test_the_gaussian_is_centered_and_symmetric(truth: artifacts_truth.TrueMasks):
    (found,) = steps.CenterGaussian(truth, 0.25, 0.0, lambda image_id: 1).stream(["a"])
    assert found.mask.shape == WORLD.shape
    assert (found.mask == found.mask[::-1, ::-1]).all()
    assert found.mask[16, 20] == 1 and found.mask[0, 0] == 0
    assert (found.activation.min(), found.activation.max()) == (0, 1)


@pytest.mark.parametrize("kind", ["cams", "distilled"])
def test_maps_are_cut_into_class_masks(truth: artifacts_truth.TrueMasks, paths: dict[str, Path], kind: str):
    found = list(steps.ThresholdedMaps(truth, maps(paths, kind), CUTS[kind], 0.0).stream(["a", "d"]))
    assert [np.unique(one.mask).tolist() for one in found] == [[0, 1], [0, 2]]
    upper = WORLD.square("a", height=SIDE // 2)
    assert (found[0].mask[upper] == 1).mean() > 0.9
    assert found[0].mask[WORLD.square("a") & ~upper].mean() < 0.2
    assert found[0].activation.max() == 1


def test_an_image_without_map_is_background(truth: artifacts_truth.TrueMasks, paths: dict[str, Path]):
    empty = activations.CamEntry(np.zeros((0, 4, 4)), np.zeros(0, int), np.zeros((4, 4)), np.zeros((1, 4, 4)))
    save_cams(paths["cams"], {"a": empty})
    (found,) = steps.ThresholdedMaps(truth, maps(paths, "cams"), None, 0.0).stream(["a"])
    assert not found.mask.any() and found.activation is None
    assert np.isnan(find_oracle(truth, maps(paths, "cams"), ["a"]))


@pytest.mark.parametrize("kind", ["cams", "distilled"])
def test_no_threshold_beats_the_oracle(truth: artifacts_truth.TrueMasks, paths: dict[str, Path], kind: str):
    def miou(threshold: float) -> float:
        (found,) = steps.ThresholdedMaps(truth, maps(paths, kind), threshold, 0.0).stream(["a"])
        guess, true = found.mask > 0, WORLD.mask("a")
        kept = true != 255
        pairs = ((guess, true > 0), (~guess, true == 0))
        return float(np.mean([(one & two & kept).sum() / ((one | two) & kept).sum() for one, two in pairs]))

    best = miou(find_oracle(truth, maps(paths, kind), ["a"]))
    low, high = (0, 1) if kind == "cams" else (-4, 4)
    assert best >= max(miou(value) for value in np.linspace(low, high, 37)) - 1e-6


def test_stored_masks_come_as_they_are(truth: artifacts_truth.TrueMasks, paths: dict[str, Path]):
    found = list(steps.StoredMasks(Masks(paths["pseudomasks"])).stream(["d", "a"]))
    assert (found[0].mask == WORLD.mask("d")).all() and IGNORE in found[1].mask


def test_constant_masks_are_as_large_as_their_images(truth: artifacts_truth.TrueMasks):
    (found,) = steps.ConstantMasks(truth, lambda image_id: 1).stream(["a"])
    assert found.mask.shape == WORLD.shape and found.mask.min() == 1


@pytest.mark.parametrize("per_class", [False, True])
def test_a_chain_counts_classes_from_the_header_alone(tmp_path: Path, per_class: bool):
    assert build_chain(write(tmp_path, per_class)).count_classes() == 1 + per_class


def test_the_steps_of_a_chain_in_order(paths: dict[str, Path]):
    chain = build_chain(paths)
    names = ["seed", "distilled", "refined", "pseudomasks", "round0", "round1", "control"]
    assert list(chain.list_trained()) == names and chain.final == "round1"
    everything = ["seed", "seed_oracle", "distilled", "distilled_oracle", *names[2:]]
    assert list(chain.list_all(["a"])) == ["all_background", "all_foreground", "center_gaussian", *everything]
