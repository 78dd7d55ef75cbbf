"""Every segmenter: logits at the images' size, training mode, freezing, learning rates, weight files, saving."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.world_networks import save_classifier, tiny_classifier
from weakseg.errors import UserError
from weakseg.harness import choices, files
from weakseg.networks.loading import saved_classifier
from weakseg.networks.segmentation import saved_segmenter
from weakseg.networks.segmentation.segmenter import Segmenter, spare_slow_gradients
from weakseg.networks.segmenters import topdown

VARIANTS = {
    "activation": "linear",
    "topdown": "light",
    "deeplabv3": "resnet50",
    "unet": "mobilenetv2_050",
    "deeplabv3plus": "mobilenetv2_050",
}


def build(name: str, classes: int = 3, weights: str = "random") -> Segmenter:
    torch.manual_seed(0)
    module = choices.load("segmenters", name)
    return module.build(VARIANTS[name], classes, weights, classifier=tiny_classifier())


@pytest.fixture(scope="module", params=choices.names("segmenters"))
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    return build(request.param)


def test_logits_are_as_large_as_the_images(segmenter: Segmenter) -> None:
    segmenter.eval()
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        logits = segmenter(segmenter.normalize(images))
        permuted = segmenter(segmenter.normalize(images.flip(0)))
    assert logits.shape == (2, 3, 64, 96) and logits.dtype == torch.float32 and torch.isfinite(logits).all()
    torch.testing.assert_close(permuted, logits.flip(0), rtol=1e-3, atol=1e-4)


def test_sides_that_do_not_fit_are_refused(segmenter: Segmenter) -> None:
    with pytest.raises(UserError, match=f"multiple of {segmenter.stride}"):
        segmenter(torch.zeros(1, 3, 64, 64 + segmenter.stride // 2))


def test_frozen_groups_and_fixed_norms_stay(segmenter: Segmenter) -> None:
    segmenter.freeze(2, fixed_norm=True)
    segmenter.train()
    norms = [part for part in segmenter.encoder.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms and not any(part.training for part in norms)
    assert segmenter.decoder.training
    trained = {id(weight) for group in segmenter.parameter_groups(0.1, 0.2) for weight in group["params"]}
    frozen = [weight for group in segmenter._groups[:2] for weight in group.parameters()]
    assert frozen and not trained & {id(weight) for weight in frozen}
    assert [group["lr"] for group in segmenter.parameter_groups(0.1, 0.2)] == [0.2, 0.1]
    segmenter.requires_grad_(True)
    segmenter.freeze(0, fixed_norm=False)
    assert all(part.training for part in norms)


def test_groups_hold_all_of_the_encoder_that_is_used(segmenter: Segmenter) -> None:
    grouped = {id(weight) for group in segmenter._groups for weight in group.parameters()}
    assert {id(weight) for weight in segmenter.encoder.parameters()} == grouped
    with pytest.raises(UserError, match=f"has {len(segmenter._groups)} groups"):
        segmenter.freeze(99, fixed_norm=True)


@pytest.mark.parametrize("name", choices.names("segmenters"))
def test_saved_segmenter_comes_back(name: str, tmp_path: Path) -> None:
    header = saved_segmenter.Header(
        name, VARIANTS[name], "mobilenet", "small", ["green", "red"], 64, 96, [1.0], True
    )  # fmt: skip
    first, second = build(name).eval(), tmp_path / "again" / "round0.safetensors"
    saved_segmenter.save(tmp_path / "round0.safetensors", first, header)
    loaded, found = saved_segmenter.load(tmp_path / "round0.safetensors")
    assert saved_segmenter.header(tmp_path / "round0.safetensors") == header
    assert found == header and not loaded.training
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images), first(images))
    saved_segmenter.save(second, loaded, found)
    assert second.read_bytes() == (tmp_path / "round0.safetensors").read_bytes()


@pytest.mark.parametrize("name", ["unet", "deeplabv3plus", "deeplabv3"])
def test_encoder_weights_from_a_file(name: str, tmp_path: Path) -> None:
    source = build(name)
    encoder = getattr(source.encoder, "model", source.encoder)
    state = {key: torch.full_like(value, 0.5) for key, value in encoder.state_dict().items()}
    extra = {"fc.weight": torch.zeros(1)} if name == "deeplabv3" else {"classifier.weight": torch.zeros(1)}
    save_file(state | extra, tmp_path / "weights.safetensors")
    found = build(name, weights=str(tmp_path / "weights.safetensors"))
    loaded = getattr(found.encoder, "model", found.encoder)
    assert all((value == 0.5).all() for value in loaded.state_dict().values() if value.is_floating_point())
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"missing keys|another network"):
        build(name, weights=str(tmp_path / "other.safetensors"))


@pytest.mark.parametrize("name", ["unet", "deeplabv3plus", "deeplabv3"])
def test_unknown_encoder_names_close_ones(name: str) -> None:
    with pytest.raises(UserError, match="mobilenet"):
        choices.load("segmenters", name).build("mobilenet_none", 2, "random")


@pytest.mark.parametrize("name", ["activation", "topdown"])
def test_unknown_variant_lists_those_there_are(name: str) -> None:
    known = next(iter(choices.load("segmenters", name).VARIANTS))
    with pytest.raises(UserError, match=known):
        choices.load("segmenters", name).build("none", 2, "random", classifier=tiny_classifier())


@pytest.mark.parametrize("name", ["unet", "deeplabv3"])
def test_weights_that_were_trained_with_other_padding_see_what_their_classifier_sees(name: str) -> None:
    """The encoder at stride 16 gives the very features of the classifier whose weights it takes."""
    classifier = choices.load("backbones", "mobilenet").build("mobilenetv2_100_same", 2, "random").eval()
    segmenter = choices.load("segmenters", name).build("mobilenetv2_100_same", 2, "random").eval()
    assert (segmenter.mean, segmenter.std) == (classifier.mean, classifier.std) == ((0.5,) * 3, (0.5,) * 3)
    encoder = segmenter.encoder.model
    weights = list(classifier.state_dict().values())[: len(encoder.state_dict())]
    encoder.load_state_dict(dict(zip(encoder.state_dict(), weights, strict=True)))
    images = segmenter.normalize(torch.rand(1, 3, 64, 96))
    with torch.no_grad():
        found, features = segmenter.encoder(images)[4], images
        for block in classifier.blocks:
            features = block(features)
            if features.shape == found.shape:
                expected = features
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_deeplabv3_of_a_timm_network_has_the_papers_rates_of_its_stride() -> None:
    segmenter = choices.load("segmenters", "deeplabv3").build("mobilenetv2_050", 2, "random").eval()
    rates = {part.dilation for part in segmenter.decoder.modules() if isinstance(part, nn.Conv2d)}
    assert {(6, 6), (12, 12), (18, 18)} <= rates
    with torch.no_grad():
        assert segmenter.encoder(torch.rand(1, 3, 64, 96))[-1].shape[-2:] == (4, 6)


def test_an_encoder_that_cannot_be_padded_so_is_named() -> None:
    with pytest.raises(UserError, match="'resnet18_same' cannot be padded so"):
        choices.load("segmenters", "unet").build("resnet18_same", 2, "random")
    with pytest.raises(UserError, match="no pretrained weights of segmenter variant 'mobilenetv2_100_same'"):
        choices.load("segmenters", "unet").build("mobilenetv2_100_same", 2, "pretrained")


def test_topdown_needs_a_classifier_and_no_other_weights() -> None:
    for classifier, weights in ((None, "random"), (tiny_classifier(), "pretrained")):
        with pytest.raises(UserError, match="takes its encoder from a trained classifier"):
            topdown.build("light", 2, weights, classifier=classifier)


def test_topdown_takes_the_last_level_of_each_stride() -> None:
    shapes = [(8, 2), (16, 4), (24, 4), (32, 8), (64, 16), (96, 16), (320, 16)]
    assert topdown.choose_levels(shapes, 4) == [3, 4, 7]
    assert topdown.choose_levels(shapes, 2) == [1, 3, 4, 7]
    assert topdown.choose_levels(shapes, 32) == []


def test_topdown_keeps_the_classifiers_weights_and_mode() -> None:
    classifier = tiny_classifier().train()
    before = {name: value.clone() for name, value in classifier.blocks.state_dict().items()}
    segmenter = topdown.build("fine", 2, "random", classifier=classifier)
    after = segmenter.encoder.blocks.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert classifier.training and segmenter.mean == classifier.mean


def test_files_that_hold_no_segmenter_are_named(tmp_path: Path) -> None:
    path = save_classifier(tmp_path / "classifier.safetensors")
    with pytest.raises(UserError, match="holds no segmenter"):
        saved_segmenter.load(path)
    header = saved_segmenter.Header("topdown", "light", "mobilenet", "small", ["object"], 64, 64, [1.0], True)
    saved_segmenter.save(
        tmp_path / "s.safetensors",
        topdown.build("fine", 2, "random", classifier=tiny_classifier()),
        header,
    )
    with pytest.raises(UserError, match="does not fit the segmenter that its header names"):
        saved_segmenter.load(tmp_path / "s.safetensors")


def test_encoder_of_another_variant_has_the_same_weights(tmp_path: Path) -> None:
    classifier = choices.load("backbones", "mobilenet").build("mobilenetv2_100_same_os16", 2, "random")
    path = tmp_path / "classifier.safetensors"
    saved_classifier.save(
        path, classifier, saved_classifier.Header("mobilenet", "mobilenetv2_100_same_os16", ["a", "b"], 64)
    )
    coarse, header = saved_segmenter.load_encoder(path, "mobilenetv2_100_same")
    assert (coarse.stride, classifier.stride, header.variant) == (32, 16, "mobilenetv2_100_same")
    assert torch.equal(next(coarse.parameters()), next(classifier.parameters()))
    with pytest.raises(UserError, match="does not have the same weights"):
        saved_segmenter.load_encoder(path, "small")


def test_rounds_are_in_order(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no round"):
        saved_segmenter.rounds(tmp_path)
    for number in (10, 9, 0):
        files.save_bytes(saved_segmenter.round_path(tmp_path, number), b"")
    assert [path.stem for path in saved_segmenter.rounds(tmp_path)] == ["round0", "round9", "round10"]


def test_strided_depthwise_convolutions_leave_autocast_and_survive_a_copy() -> None:
    strided = nn.Conv2d(4, 4, 3, stride=2, groups=4)
    plain = nn.Conv2d(4, 4, 3, groups=4)
    network = nn.Sequential(plain, strided).eval()
    images = torch.randn(1, 4, 9, 9)
    expected = network(images)
    spare_slow_gradients(network)
    assert "FullPrecisionConv2d" in str(network)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        strided.weight.zero_()
    torch.testing.assert_close(copied(images), expected)
    assert copied.state_dict().keys() == network.state_dict().keys()
    with torch.autocast("cpu", torch.bfloat16):
        assert copied[0](images).dtype == torch.bfloat16 and copied(images).dtype == torch.float32
