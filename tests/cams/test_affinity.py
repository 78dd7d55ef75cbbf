"""The random walk on attention: identities, a case by hand, and where it stands among the maps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.networks.backbones.networks import distance, images
from tests.networks.transformers import HALF, TINY, create
from weakseg.cams import affinity
from weakseg.cams.extraction import Extractor, needed_levels
from weakseg.cams.methods import hirescam, rollout
from weakseg.cams.recipe import Recipe
from weakseg.cams.view import View, look
from weakseg.errors import UserError
from weakseg.networks import attention
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import outputs
from weakseg.networks.loading import split_timm

MAPS = {
    "levels": [0], "norm_level": 0, "feature_level": -1, "fusion": "mean", "image_size": 64, "batch_size": 2,
    "scales": [1.0], "mirror": False, "relu": False, "affinity_steps": 2, "affinity_levels": [0, -1],
    "affinity_power": 2.0, "predicted": "top1", "predicted_count": 1, "predicted_score": 0.0, "feature_channels": 99,
    "projection_images": 2, "precision": "fp32",
}  # fmt: skip


def draw(*shape: int) -> Tensor:
    """Random numbers in [0, 1), float64."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


@pytest.mark.parametrize("power", [0.5, 1.0, 8.0])
def test_a_step_goes_somewhere_and_a_constant_stays(power: float) -> None:
    transition = affinity.find_transition(draw(2, 12, 12) ** 4, power)
    torch.testing.assert_close(transition.sum(2), torch.ones(2, 12, dtype=torch.float64))
    assert transition.min() >= 0
    flat = torch.full((2, 3, 3, 4), 0.7, dtype=torch.float64)
    torch.testing.assert_close(affinity.propagate(flat, transition, 5), flat)


def test_steps_are_a_power_of_the_matrix_and_none_is_the_identity() -> None:
    transition, maps = affinity.find_transition(draw(2, 12, 12), 1.0), draw(2, 3, 3, 4)
    assert torch.equal(affinity.propagate(maps, transition, 0), maps)
    power = torch.linalg.matrix_power(transition, 3)
    naive = torch.stack([torch.stack([power[b] @ maps[b, k].flatten() for k in range(3)]) for b in range(2)])
    torch.testing.assert_close(affinity.propagate(maps, transition, 3).flatten(2), naive)


def test_balanced_weights_have_rows_and_columns_of_one() -> None:
    weights = affinity.balance(draw(2, 20, 20) + 0.2)
    torch.testing.assert_close(weights.sum(2), torch.ones(2, 20, dtype=torch.float64))
    assert (weights.sum(1) - 1).abs().max() < 0.01


def test_two_pairs_of_cells_by_hand() -> None:
    """Cells 0 and 1 see each other as much as themselves, so do 2 and 3: each pair takes its mean."""
    pair = torch.full((2, 2), 0.5)
    transition = affinity.find_transition(torch.block_diag(pair, pair)[None], 2.0)
    maps = torch.tensor([[[[1.0, 0.0], [0.0, 0.5]]]])
    assert affinity.propagate(maps, transition, 4).flatten().tolist() == [0.5, 0.5, 0.25, 0.25]


def test_cells_that_see_no_other_keep_their_value_and_large_powers_keep_finite() -> None:
    maps = draw(1, 1, 3, 4)
    torch.testing.assert_close(
        affinity.propagate(maps, affinity.find_transition(torch.zeros(1, 12, 12), 1.0).double(), 3), maps
    )
    assert affinity.find_transition((draw(1, 12, 12) * 1e-4).float(), 64.0).isfinite().all()


def vit() -> Classifier:
    """A small vision transformer whose head reads the class token."""
    return split_timm.split(create("vit_tiny_patch16_224", TINY), HALF, HALF)


def extract(network: Classifier, batch: Tensor, **changes: Any) -> Tensor:
    """Maps (B,1,h,w) of class 1 as the stage makes them."""
    entries = Extractor(network, hirescam.maps, Recipe(**MAPS | changes), None)(batch, [[1]] * len(batch))
    return torch.stack([torch.from_numpy(entry.scores) for entry in entries])


def test_maps_walk_on_the_attention_of_the_levels_that_are_named() -> None:
    network, batch = vit(), images(2, 64)
    plain = extract(network, batch, affinity_steps=0)
    with torch.no_grad():
        assert torch.equal(plain, hirescam.maps(look(network, batch), torch.ones(2, 1, dtype=torch.long)))
        known = outputs(network, batch, range(1, 5))
        weights = (attention.weigh(network, known[3], 4)[0] + attention.weigh(network, known[2], 3)[0])[:, 1:, 1:] / 2
    transition = affinity.find_transition(weights, 2.0)
    assert distance(extract(network, batch), affinity.propagate(plain, transition, 2)) < 1e-5
    assert distance(extract(network, batch, relu=True), affinity.propagate(plain.relu(), transition, 2)) < 1e-5


def test_networks_and_levels_without_attention_are_told_before_any_image() -> None:
    resnet = split_timm.split(create("test_resnet", {}), HALF, HALF)
    with pytest.raises(UserError, match="block 5 of 5 has no attention of all tokens to all"):
        needed_levels(resnet, Recipe(**MAPS))
    with pytest.raises(UserError, match="block 1 of 4 has no attention"):
        needed_levels(vit(), Recipe(**MAPS | {"affinity_levels": [1]}))
    assert needed_levels(resnet, Recipe(**MAPS | {"affinity_steps": 0}))


def test_rollout_is_one_map_for_all_classes() -> None:
    network, batch = vit(), images(2, 64)
    found = rollout.maps(look(network, batch), torch.tensor([[0, 3], [4, 1]]))
    assert found.shape == (2, 2, 4, 4) and torch.equal(found[:, 0], found[:, 1]) and not found.requires_grad
    assert found.min() >= 0 and found.sum((2, 3)).max() <= 1
    bare = View(batch, found, torch.nn.Identity(), torch.nn.Identity())
    with pytest.raises(UserError, match="rollout needs a whole classifier"):
        rollout.maps(bare, torch.tensor([[0], [1]]))
