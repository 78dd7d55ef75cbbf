"""U-Net whose output channels are the activation maps."""

from __future__ import annotations

import pytest
import torch

from tests.networks.backbones.networks import distance, images, shaken
from weakseg.errors import UserError
from weakseg.networks.backbones import unet


@pytest.mark.parametrize("variant", ["small", "small_relu"])
def test_logits_are_the_means_of_the_maps(variant: str) -> None:
    torch.manual_seed(0)
    network = shaken(unet.build(variant, 4, "random"))
    with torch.no_grad():
        maps = network.features(images(2, 48))
        assert maps.shape == (2, 4, 24, 24)
        assert distance(network(images(2, 48)), maps.mean((2, 3))) < 1e-6
    assert bool((maps >= 0).all()) == variant.endswith("relu")


def test_the_head_is_fixed_and_the_rest_trains() -> None:
    network = unet.build("small", 4, "random")
    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == ["head.linear.weight", "head.linear.bias"]
    assert torch.equal(network.head.weight, torch.eye(4)) and not network.head.bias.any()


def test_features_for_region_growing_stand_before_the_maps() -> None:
    network = shaken(unet.build("small", 4, "random"))
    with torch.no_grad():
        assert network.features_at(images(1), -1).shape == (1, 16, 32, 32)


def test_standard_size_is_the_papers() -> None:
    with torch.device("meta"):
        network = unet.build("standard", 2, "random")
    assert sum(parameter.numel() for parameter in network.parameters()) / 1e6 == pytest.approx(31.4, abs=0.1)
    assert network.stride == 1


def test_images_smaller_than_the_deepest_cell() -> None:
    with pytest.raises(UserError, match=r"images of 8x20 pixels are too small for this U-Net: use .*16"):
        unet.build("small", 2, "random")(torch.zeros(1, 3, 8, 20))
