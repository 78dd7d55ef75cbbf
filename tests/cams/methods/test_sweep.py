"""Every file of the folder: shape, finite, no `.grad`, training mode restored, batch order and mates irrelevant; and
`closed` where it is offered."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.cams.methods import networks
from weakseg.cams import arithmetic, gradients
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks.classifier import Classifier

NAMES = sorted(set(choices.names("methods")) - set(networks.NEEDS_TRANSFORMER))
CLOSED = [name for name in NAMES if hasattr(choices.load("methods", name), "closed")]


@pytest.mark.parametrize("signed", [False, True], ids=["post-relu", "signed"])
@pytest.mark.parametrize("kind", ["none", "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", NAMES)
def test_contract(name, kind, signed):
    network, (images, classes) = networks.classifier(kind, signed), networks.batch(size=3, side=20)
    network.blocks[1].eval()
    modes = [module.training for module in network.modules()]
    statistics = {key: value.clone() for key, value in network.state_dict().items()}
    found = networks.explain(name, network, images, classes)
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
    together = networks.explain(name, network, images, classes)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(networks.explain(name, network, images[order], classes[order]), together[order])
    torch.testing.assert_close(networks.explain(name, network, images[1:2], classes[1:2]), together[1:2])
    other = torch.cat([images[:1], torch.randn_like(images[1:]) * 5])
    torch.testing.assert_close(networks.explain(name, network, other, classes)[:1], together[:1])


@pytest.mark.parametrize("name", NAMES)
def test_classes_do_not_depend_on_each_other(name):
    network, (images, _) = networks.classifier(), networks.batch()
    every = torch.arange(networks.CLASSES).expand(3, -1)
    one = networks.explain(name, network, images, every[:, 2:3])
    torch.testing.assert_close(networks.explain(name, network, images, every)[:, 2:3], one)


@pytest.mark.parametrize("name", NAMES)
def test_inner_layers_and_other_heads(name):
    images, classes = networks.batch()
    for network, level in ((networks.classifier(), 1), (networks.classifier("mlp"), 0)):
        if name in networks.NEEDS_POOLED_HEAD:
            with pytest.raises(UserError, match=f"{name} needs the last layer .* use gradcam, gradcampp"):
                networks.explain(name, network, images, classes, level)
        else:
            found = networks.explain(name, network, images, classes, level)
            assert found.shape[:2] == (3, 3) and torch.isfinite(found).all()
            assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_network_gives_maps_that_min_max_to_zeros(name):
    """Features of zero everywhere: finite maps, flat, and zeros after min-max."""
    network, (images, classes) = networks.classifier(), networks.batch()
    network.blocks[2][1].weight.data.zero_()
    network.blocks[2][1].bias.data.fill_(-1)
    assert not arithmetic.minmax(networks.explain(name, network, images, classes)).any()


@pytest.mark.parametrize("name", NAMES)
def test_same_input_same_output(name):
    network, (images, classes) = networks.classifier(), networks.batch()
    first, second = (networks.explain(name, network, images, classes) for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_one_class_and_of_many(name):
    network, (images, classes) = networks.classifier(), networks.batch(per_image=1)
    assert networks.explain(name, network, images, classes).shape == (3, 1, 6, 6)


def pooled_case(kind: str, signed: bool) -> tuple[Classifier, Tensor, Tensor, Tensor]:
    """A network in float64, images, classes, and the images' features with a graph of their own."""
    network, (images, classes) = networks.classifier(kind, signed).double().eval(), networks.batch()
    images = images.double()
    return network, images, classes, network.features(images).detach().requires_grad_()


@pytest.mark.parametrize("signed", [False, True], ids=["post-relu", "signed"])
@pytest.mark.parametrize("kind", ["none", "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_is_maps_and_float64_autograd(name, kind, signed):
    network, images, classes, features = pooled_case(kind, signed)
    found = choices.load("methods", name).closed(features, gradients.slopes(network.head, features, classes))
    assert torch.equal(found.detach(), networks.explain(name, network, images, classes))
    assert networks.error(found.detach(), networks.truth(network, images, classes, name)) < 1e-12


@pytest.mark.parametrize("kind", ["none", "batchnorm", "layernorm"])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_carries_a_gradient_to_features_and_head(name, kind):
    """Against finite differences of the same maps: what a training step differentiates is the map itself."""
    network, _, classes, features = pooled_case(kind, signed=False)
    closed, head = choices.load("methods", name).closed, network.head
    direction = torch.randn(features.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def total(step: float) -> Tensor:
        moved = features + step * direction
        return closed(moved, gradients.slopes(head, moved, classes)).square().sum()

    by_features, by_weight = torch.autograd.grad(total(0.0), (features, head.weight))
    assert by_weight.abs().sum() > 0
    step = 1e-6
    expected = (total(step) - total(-step)) / (2 * step)
    torch.testing.assert_close((by_features * direction).sum(), expected.detach(), rtol=1e-5, atol=0)
