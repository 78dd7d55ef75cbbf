"""The gradient methods with every head against float64 autograd; the identities that hold between methods."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.cams.methods import networks
from weakseg.cams.methods import cam, gradcam, gradcampp, hirescam, layercam, xgradcam
from weakseg.cams.view import View, look
from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead

GRADIENT_METHODS = ("gradcam", "gradcampp", "hirescam", "layercam", "xgradcam")
KINDS = ("none", "batchnorm", "layernorm")


@pytest.mark.parametrize("signed", [False, True], ids=["post-relu", "signed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_closed_form_is_float64_autograd(method, kind, signed):
    network, (images, classes) = networks.classifier(kind, signed), networks.batch()
    expected = networks.truth(network, images, classes, method)
    assert networks.error(networks.explain(method, network.double(), images.double(), classes), expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_float32_closed_form_at_the_size_of_resnet50(method, kind):
    """2,048 channels, 7 x 7 cells, 37 classes: in float32 only the rounding of the sum itself is left.

    The largest value of a signed sum is about a fortieth of its terms' sizes, hence 2e-6 and not 1e-7.
    """
    torch.manual_seed(0)
    head = PooledHead(2048, 37, kind)
    features = torch.randn(1, 2048, 7, 7).relu()
    network = Classifier(nn.Sequential(nn.Identity()), head, 1)
    classes = torch.tensor([[3, 36]])
    expected = networks.truth(network, features, classes, method)
    assert networks.error(networks.explain(method, network, features, classes), expected) < 2e-6


@pytest.mark.parametrize("kind", ["layernorm", "mlp"])
@pytest.mark.parametrize("level", [0, -1, 1])
@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_general_path_is_float64_autograd(method, level, kind):
    network, (images, classes) = networks.classifier(kind), networks.batch()
    if kind == "layernorm" and level == 0:
        pytest.skip("that is the closed form")
    expected = networks.truth(network, images, classes, method, level)
    found = networks.explain(method, network.double(), images.double(), classes, level)
    assert networks.error(found, expected) < 1e-12


def test_general_path_where_the_features_are_the_input_of_an_operation_in_place():
    network = networks.classifier("mlp", signed=True)
    network.head.insert(0, nn.ReLU(inplace=True))
    images, classes = networks.batch()
    expected = networks.truth(network, images, classes, "hirescam")
    assert networks.error(hirescam.maps(look(network.double(), images.double()), classes), expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_cam_has_the_logit_as_its_mean(kind):
    """logit = mean(CAM) + a constant of the class that no image changes."""
    network, (images, _) = networks.classifier(kind, signed=True).double().eval(), networks.batch()
    images = images.double()
    classes = torch.arange(networks.CLASSES).expand(len(images), -1)
    rest = network(images) - cam.maps(look(network, images), classes, weights="class").mean((2, 3))
    torch.testing.assert_close(rest, rest[:1].expand_as(rest))


def test_identities_on_a_pooled_linear_head():
    network, (images, classes) = networks.classifier().eval(), networks.batch()
    view, cells = look(network, images), 36
    plain = cam.maps(view, classes, weights="class")
    torch.testing.assert_close(gradcam.maps(view, classes), plain.relu() / cells)
    torch.testing.assert_close(hirescam.maps(view, classes), plain / cells)
    torch.testing.assert_close(xgradcam.maps(view, classes), plain / cells)
    assert torch.equal(cam.maps(view, classes, weights="raw"), plain)
    network.head.linear.weight.data.abs_()
    torch.testing.assert_close(layercam.maps(view, classes), cam.maps(view, classes, weights="class") / cells)


def test_raw_weights_are_not_the_cam_of_a_head_with_a_norm():
    network, (images, classes) = networks.classifier("batchnorm").eval(), networks.batch()
    view = look(network, images)
    expected = torch.einsum("bkc,bchw->bkhw", network.head.weight[classes], view.features).detach()
    raw = cam.maps(view, classes, weights="raw")
    torch.testing.assert_close(raw, expected)
    assert networks.error(raw, cam.maps(view, classes, weights="class").double()) > 0.1


def test_gradcampp_by_hand():
    """One cell, two channels: w = (1, -1), A = (2, 3); weight = ReLU(w) / (2 + w A) = 1/4, 0; map = 2/4."""
    head = PooledHead(2, 1)
    head.linear.weight.data = torch.tensor([[1.0, -1.0]])
    network = Classifier(nn.Sequential(nn.Identity()), head, 1)
    features = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    assert gradcampp.maps(look(network, features), torch.tensor([[0]])).item() == pytest.approx(0.5)


def test_gradcampp_leaves_out_channels_without_alpha():
    """2 + w p = 2 - 3 < 0 in the first channel: only the second counts, 1/(2 + 1) * 1."""
    head = PooledHead(2, 1)
    head.linear.weight.data = torch.ones(1, 2)
    network = Classifier(nn.Sequential(nn.Identity()), head, 1)
    features = torch.tensor([-3.0, 1.0]).view(1, 2, 1, 1)
    assert gradcampp.maps(look(network, features), torch.tensor([[0]])).item() == pytest.approx(1 / 3)
    network.head = nn.Sequential(head)
    assert gradcampp.maps(look(network, features), torch.tensor([[0]])).item() == pytest.approx(1 / 3)


@pytest.mark.parametrize("bad", [-1, networks.CLASSES])
@pytest.mark.parametrize("kind", [*KINDS, "mlp"])
def test_class_that_does_not_exist(kind, bad):
    network, (images, _) = networks.classifier(kind), networks.batch()
    with pytest.raises(UserError, match=f"class {bad} does not exist: this classifier has classes 0 to 4"):
        gradcam.maps(look(network, images), torch.full((3, 1), bad))


@pytest.mark.parametrize("kind", ["none", "mlp"])
def test_features_that_carry_a_graph_do_not_leak_one(kind):
    network, (images, classes) = networks.classifier(kind), networks.batch()
    view = View(images, network.features(images), network.head, network)
    assert view.features.requires_grad and not gradcam.maps(view, classes).requires_grad
