"""Every file of the folder: shape, finite, no `.grad`, training mode restored, batch order and mates irrelevant."""

from __future__ import annotations

import pytest
import torch

from tests.cams.methods import networks
from weakseg.cams import arithmetic
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.levels import View

NAMES = choices.names("methods")


def explain(name, network, images, classes):
    return choices.load("methods", name).maps(network, images, classes, **networks.OPTIONS.get(name, {}))


@pytest.mark.parametrize("signed", [False, True], ids=["post-relu", "signed"])
@pytest.mark.parametrize("kind", ["none", "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, kind, signed):
    network, (images, classes) = networks.classifier(kind, signed), networks.batch(size=3, side=20)
    network.blocks[1].eval()
    modes = [module.training for module in network.modules()]
    statistics = {key: value.clone() for key, value in network.state_dict().items()}
    found = explain(name, network, images, classes)
    assert found.shape == (3, 3, 5, 5) and found.dtype == torch.float32
    assert torch.isfinite(found).all() and not found.requires_grad
    assert signed or found.flatten(2).std(2).gt(0).any()
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert [module.training for module in network.modules()] == modes
    assert all(torch.equal(value, statistics[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_batch_order_and_batch_mates_do_not_matter(name):
    network, (images, classes) = networks.classifier("layernorm"), networks.batch(size=4)
    together = explain(name, network, images, classes)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(explain(name, network, images[order], classes[order]), together[order])
    torch.testing.assert_close(explain(name, network, images[1:2], classes[1:2]), together[1:2])
    other = torch.cat([images[:1], torch.randn_like(images[1:]) * 5])
    torch.testing.assert_close(explain(name, network, other, classes)[:1], together[:1])


@pytest.mark.parametrize("name", NAMES)
def test_classes_do_not_depend_on_each_other(name):
    network, (images, _) = networks.classifier(), networks.batch()
    every = torch.arange(networks.CLASSES).expand(3, -1)
    one = explain(name, network, images, every[:, 2:3])
    torch.testing.assert_close(explain(name, network, images, every)[:, 2:3], one)


@pytest.mark.parametrize("name", NAMES)
def test_inner_layers_and_other_heads(name):
    images, classes = networks.batch()
    for network in (View(networks.classifier(), 1), networks.classifier("mlp")):
        if name in networks.NEEDS_POOLED_HEAD:
            with pytest.raises(UserError, match=f"{name} needs the last layer .* use gradcam, gradcampp"):
                explain(name, network, images, classes)
        else:
            found = explain(name, network, images, classes)
            assert found.shape[:2] == (3, 3) and torch.isfinite(found).all()
            assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_network_gives_maps_that_min_max_to_zeros(name):
    """Features of zero everywhere: finite maps, flat, and zeros after min-max."""
    network, (images, classes) = networks.classifier(), networks.batch()
    network.blocks[2][1].weight.data.zero_()
    network.blocks[2][1].bias.data.fill_(-1)
    assert not arithmetic.minmax(explain(name, network, images, classes)).any()


@pytest.mark.parametrize("name", NAMES)
def test_same_input_same_output(name):
    network, (images, classes) = networks.classifier(), networks.batch()
    assert torch.equal(explain(name, network, images, classes), explain(name, network, images, classes))


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_one_class_and_of_many(name):
    network, (images, classes) = networks.classifier(), networks.batch(per_image=1)
    assert explain(name, network, images, classes).shape == (3, 1, 6, 6)
