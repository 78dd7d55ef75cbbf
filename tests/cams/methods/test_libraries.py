"""Grad-CAM++ of two popular libraries against float64 truth: what is wrong with each, shown so that it stays checkable.

grad-cam 1.5.7 adds 1e-6 to a denominator of the order of (w/Z)^2, here 1e-7; torchcam 0.5.0 divides a copy, so that its
alpha is g^2. Both have Grad-CAM right, which proves that the comparison is fair.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.cams.methods import networks
from weakseg.cams.methods import gradcam, gradcampp
from weakseg.cams.view import look
from weakseg.networks.classifier import Classifier, PooledHead

gradcam_library = pytest.importorskip("pytorch_grad_cam")
torchcam_methods = pytest.importorskip("torchcam.methods")
targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
CELLS, CHANNELS, CLASS = 7, 512, 3


class Whole(nn.Module):
    """The same network as the libraries want it: a layer to hook, then the head."""

    def __init__(self, head: PooledHead) -> None:
        super().__init__()
        self.layer = nn.ReLU()
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer(images))


def case() -> tuple[Classifier, Whole, Tensor, Tensor]:
    """512 post-ReLU channels of 7 x 7 and weights as a trained head has them (default initialization, |w| < .05)."""
    torch.manual_seed(0)
    head = PooledHead(CHANNELS, 5)
    features = torch.randn(2, CHANNELS, CELLS, CELLS).sub(0.5).relu()
    images = features * torch.rand(1, CHANNELS, 1, 1) ** 2 * 4
    return Classifier(nn.Sequential(nn.ReLU()), head, 1), Whole(head), images, torch.full((2, 1), CLASS)


def unit(maps: Tensor) -> Tensor:
    """Each map (B,h,w) to [0, 1], as the libraries return it."""
    low = maps.amin((-2, -1), keepdim=True)
    return (maps - low) / (maps.amax((-2, -1), keepdim=True) - low)


def of_gradcam(name: str, whole: Whole, images: Tensor) -> Tensor:
    extractor = getattr(gradcam_library, name)(whole, [whole.layer])
    chosen = [targets.ClassifierOutputTarget(CLASS)] * len(images)
    return torch.from_numpy(extractor(images.clone().requires_grad_(), chosen)).double()


def of_torchcam(name: str, whole: Whole, images: Tensor) -> Tensor:
    with getattr(torchcam_methods, name)(whole, "layer") as extractor:
        scores = whole(images.clone().requires_grad_())
        return unit(extractor([CLASS] * len(images), scores)[0].double())


def weighted(images: Tensor, weights: Tensor) -> Tensor:
    """Min-maxed ReLU of the sum of channels, from weights (B,C) in float64."""
    return unit((weights[..., None, None] * images.double()).sum(1).relu())


def test_both_libraries_and_ours_agree_on_gradcam():
    network, whole, images, classes = case()
    expected = unit(networks.truth(network, images, classes, "gradcam")[:, 0])
    ours = unit(gradcam.maps(look(network, images), classes)[:, 0]).double()
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(of_gradcam("GradCAM", whole, images), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(of_torchcam("GradCAM", whole, images), expected, atol=1e-5, rtol=0)


def test_gradcampp_is_right_here_and_wrong_there():
    network, whole, images, classes = case()
    expected = unit(networks.truth(network, images, classes, "gradcampp")[:, 0])
    ours = unit(gradcampp.maps(look(network.double(), images.double()), classes)[:, 0])
    network.float()
    assert (ours - expected).abs().max() < 1e-12
    assert (of_gradcam("GradCAMPlusPlus", whole, images) - expected).abs().max() > 0.1
    assert (of_torchcam("GradCAMpp", whole, images) - expected).abs().max() > 0.1


def test_the_epsilon_of_grad_cam():
    """Its maps are those of alpha = g^2 / (2 g^2 + S g^3 + 1e-6), and with 1e-12 they would be right."""
    network, whole, images, classes = case()
    slope = network.head.weight[CLASS].detach().double() / CELLS**2
    total = images.double().sum((2, 3))

    def with_epsilon(epsilon: float) -> Tensor:
        alpha = slope**2 / (2 * slope**2 + total * slope**3 + epsilon)
        return weighted(images, alpha * slope.relu())

    torch.testing.assert_close(of_gradcam("GradCAMPlusPlus", whole, images), with_epsilon(1e-6), atol=1e-4, rtol=0)
    expected = unit(networks.truth(network, images, classes, "gradcampp")[:, 0])
    torch.testing.assert_close(with_epsilon(1e-14), expected, atol=1e-6, rtol=0)


def test_the_copy_of_torchcam():
    """Its maps are those of the weights ReLU(w)^3: the division is lost."""
    network, whole, images, _ = case()
    cubed = network.head.weight[CLASS].detach().double().relu() ** 3
    torch.testing.assert_close(
        of_torchcam("GradCAMpp", whole, images), weighted(images, cubed.expand(2, -1)), atol=1e-4, rtol=0
    )
