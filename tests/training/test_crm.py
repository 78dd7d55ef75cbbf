"""Reconstruction: shapes for every stride, what it learns, its scores, perceptual features, maps with a gradient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.cams.methods import networks
from weakseg.cams import arithmetic
from weakseg.cams.view import look
from weakseg.errors import UserError
from weakseg.evaluation import reconstruction
from weakseg.harness import choices
from weakseg.harness.choices import Choice
from weakseg.networks.reconstruction import fixed_features
from weakseg.networks.reconstruction.reconstructor import ReconstructNet
from weakseg.networks.weight_files import fetch_weights
from weakseg.training import crm


@pytest.mark.parametrize("stride", [1, 4, 8, 32])
def test_images_come_back_at_their_size_and_range(stride: int) -> None:
    network = ReconstructNet(3, stride, 32)
    images = network(torch.randn(2, 3, 4, 3) * 50, (4 * stride, 3 * stride))
    assert images.shape == (2, 3, 4 * stride, 3 * stride) and images.abs().max() <= 1
    blocks = sum(isinstance(layer, torch.nn.Upsample) for layer in network.layers)
    assert 2**blocks == stride


def test_another_size_is_reached_by_resizing() -> None:
    assert ReconstructNet(2, 4, 16)(torch.randn(1, 2, 3, 3), (13, 11)).shape == (1, 3, 13, 11)


def test_stride_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(UserError, match=r"power of two.*12"):
        ReconstructNet(2, 12, 16)


def test_it_learns_one_image() -> None:
    torch.manual_seed(0)
    network = ReconstructNet(2, 4, 16)
    maps, image = torch.randn(1, 2, 4, 4), torch.nn.functional.interpolate(torch.rand(1, 3, 4, 4) * 2 - 1, (16, 16))
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        loss = (network(maps, (16, 16)) - image).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.12


def test_scores_by_hand() -> None:
    truth = np.zeros((2, 8, 8, 3), np.float32)
    image = truth.copy()
    image[1] += 0.2
    exact, off = reconstruction.scores(image, truth)
    assert exact == {"l1": 0.0, "psnr": 100.0, "ssim": 1.0}
    assert off["l1"] == pytest.approx(0.2) and off["psnr"] == pytest.approx(20.0, abs=1e-4) and off["ssim"] < 1


def test_vgg19_needs_its_file(tmp_path: Path) -> None:
    fetch_weights.write_none(tmp_path / "empty.safetensors", "none")
    for name in ("empty.safetensors", "absent.safetensors"):
        with pytest.raises(UserError, match=f"vgg19 has no weights .*{name}.*choose classifier or none"):
            fixed_features.build("vgg19", tmp_path / name, 1.0, networks.classifier())


def test_weight_without_features_is_refused() -> None:
    assert fixed_features.build("none", Path("absent"), 0.0, networks.classifier()) is None
    with pytest.raises(UserError, match="perceptual is none"):
        fixed_features.build("none", Path("absent"), 0.5, networks.classifier())


def test_vgg19_has_torchvision_layers(tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    theirs = models.vgg19(weights=None).features[:30].eval()
    file = tmp_path / "vgg19.safetensors"
    save_file({f"features.{name}": value for name, value in theirs.state_dict().items()}, file)
    network = fixed_features.load_vgg19(file)
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalized = ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    found = network(images)
    assert [level.shape[1] for level in found] == [64, 128, 256, 512, 512]
    torch.testing.assert_close(found[-1], theirs(normalized))
    assert not any(weight.requires_grad for weight in network.parameters())


def test_wrong_vgg19_file_names_keys(tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, file)
    with pytest.raises(UserError, match="missing keys"):
        fixed_features.load_vgg19(file)


def test_classifier_features_are_a_frozen_copy() -> None:
    classifier = networks.classifier()
    features = fixed_features.copy_levels(classifier)
    before = features(torch.zeros(1, 3, 16, 16))
    with torch.no_grad():
        next(classifier.parameters()).zero_()
    after = features(torch.zeros(1, 3, 16, 16))
    assert len(before) == 3 and all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert next(classifier.parameters()).requires_grad


@pytest.mark.parametrize("name", [name for name in choices.names("methods") if name not in networks.NEEDS_TRANSFORMER])
def test_maps_in_training_are_the_methods_own_and_reach_the_classifier(name: str) -> None:
    classifier = networks.classifier().eval()
    images, _ = networks.batch()
    method = Choice("methods", "maps", name, networks.OPTIONS.get(name, {}))
    features = classifier.features(images)
    found = crm.raw_maps(classifier, images, features, method)
    classes = torch.arange(networks.CLASSES).expand(len(images), -1)
    torch.testing.assert_close(found, method(look(classifier, images), classes), rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert classifier.blocks[-1][0].weight.grad.abs().sum() > 0


def test_straight_through_of_cam_is_cam() -> None:
    classifier = networks.classifier().eval()
    images, _ = networks.batch()
    features = classifier.features(images).detach().requires_grad_()
    weights = torch.randn(3, networks.CLASSES, networks.CHANNELS)
    value = arithmetic.sum_channels(features, weights)
    found = crm.straight_through(value, value)
    torch.testing.assert_close(found, value)
    wanted, got = (torch.autograd.grad(item.square().sum(), features, retain_graph=True)[0] for item in (value, found))
    torch.testing.assert_close(got, wanted)


def test_a_head_that_is_not_pooled_is_refused() -> None:
    classifier = networks.classifier("mlp").eval()
    images, _ = networks.batch()
    with pytest.raises(UserError, match="pool"):
        crm.raw_maps(classifier, images, classifier.features(images), Choice("methods", "maps", "gradcam"))
