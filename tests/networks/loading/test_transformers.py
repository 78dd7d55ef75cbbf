"""Transformers of timm as classifiers: the same logits, tokens as cells, and maps that are float64 autograd's."""

from __future__ import annotations

from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from tests.cams.methods.networks import error, explain, formula
from tests.networks.backbones.networks import distance, images, shaken
from tests.networks.transformers import CLASSES, FAMILIES, HALF, SHORT, TINY, TOKENS, create
from weakseg.cams.view import look
from weakseg.errors import UserError
from weakseg.networks import levels
from weakseg.networks.backbones import timm as by_name
from weakseg.networks.classifier import Classifier, LinearHead, PooledHead
from weakseg.networks.loading import saved_classifier, split_timm
from weakseg.networks.segmenters import topdown

NAMES = [f"{row[0]}-{row[1]['global_pool']}" if "global_pool" in row[1] else row[0] for row in FAMILIES]


@pytest.mark.parametrize(("name", "options", "side", "count", "pooled"), FAMILIES, ids=NAMES)
def test_the_logits_are_timms(name: str, options: dict[str, Any], side: int, count: int, pooled: bool) -> None:
    network, batch = create(name, options), images(2, side)
    with torch.no_grad():
        wanted = network(batch)
        classifier = split_timm.split(network, HALF, HALF)
        features = classifier.features(batch)
        assert distance(classifier.logits(features), wanted) < 1e-5
        assert distance(classifier(batch), wanted) < 1e-5
    assert classifier.levels == count and isinstance(classifier.head, PooledHead) == pooled
    assert features.shape[2:] == (side // classifier.stride,) * 2
    trained = sum(weight.numel() for weight in network.parameters())
    assert sum(weight.numel() for weight in classifier.parameters()) == trained, "no weight is lost, or held twice"


@pytest.mark.parametrize(("name", "options", "side"), [row[:3] for row in TOKENS])
def test_the_cells_of_every_level_are_timms_intermediates(name: str, options: dict[str, Any], side: int) -> None:
    network, batch = create(name, options), images(2, side)
    with torch.no_grad():
        found = network.forward_intermediates(batch, intermediates_only=True, norm=False)
        last = network.forward_intermediates(batch, intermediates_only=True, norm=True)[-1]
        classifier = split_timm.split(network, HALF, HALF)
        cells = levels.read(classifier, batch, range(1, classifier.levels + 1))
    for level, wanted in enumerate([*found[:-1], last], 2):
        assert distance(cells[level], wanted) < 1e-5


def autograd(name: str, options: dict[str, Any], batch: Tensor, classes: Tensor, method: str) -> Tensor:
    """Maps (B,K,h,w) by float64 autograd through timm's own forward pass, seen from where the head still sees cells."""
    network = create(name, options).double()
    prefix = network.num_prefix_tokens
    pooled = network.global_pool == "avg" or network.attn_pool is not None
    layer, kept = network.norm if pooled else network.blocks[-2], {}
    layer.register_forward_hook(lambda module, inputs, output: kept.update(tokens=output))
    rows = []
    for image, wanted in zip(batch.double(), classes.tolist(), strict=True):
        logits = network(image[None])[0]
        gradients = [torch.autograd.grad(logits[k], kept["tokens"], retain_graph=True)[0] for k in wanted]
        side = round((kept["tokens"].shape[1] - prefix) ** 0.5)
        grids = [one[0, prefix:].T.unflatten(1, (side, side)).detach() for one in (kept["tokens"], *gradients)]
        rows.append(torch.stack([formula(method, grids[0], gradient) for gradient in grids[1:]]))
    return torch.stack(rows)


MAPPED = [
    row for row in TOKENS if not row[0].startswith(("beit", "deit_tiny_distilled"))
]  # those have another attribute for how they pool


@pytest.mark.parametrize("method", ["gradcam", "gradcampp", "hirescam", "layercam", "xgradcam"])
@pytest.mark.parametrize(("name", "options", "side"), [row[:3] for row in MAPPED])
def test_maps_are_float64_autograd(name: str, options: dict[str, Any], side: int, method: str) -> None:
    batch, classes = images(2, side), torch.tensor([[0, 3], [4, 1]])
    expected = autograd(name, options, batch, classes, method)
    classifier = split_timm.split(create(name, options), HALF, HALF)
    assert error(explain(method, classifier.double(), batch.double(), classes), expected) < 1e-6
    assert method == "gradcampp" or expected.abs().max() > 0


def tiny(**options: Any) -> Classifier:
    """A vision transformer of three blocks whose head reads the class token."""
    return split_timm.split(create("vit_tiny_patch16_224", TINY | options), HALF, HALF)


@pytest.mark.parametrize("method", ["eigencam", "featnorm", "scorecam"])
def test_methods_without_gradients_see_cells_alone(method: str) -> None:
    network, batch = tiny(), images(2, 64)
    assert look(network, batch).features.shape == (2, TINY["embed_dim"], 4, 4)
    maps = explain(method, network, batch, torch.tensor([[1, 2], [0, 4]]))
    assert maps.shape == (2, 2, 4, 4) and maps.isfinite().all() and maps.std((2, 3)).min() > 0


def test_maps_of_an_inner_level_and_of_the_last() -> None:
    network, batch, classes = tiny(), images(1, 64), torch.tensor([[1]])
    last, before, first = (explain("hirescam", network, batch, classes, level) for level in (0, -1, 1))
    assert torch.equal(last, before), (
        "where the head reads the class token, the last level is that before the last block"
    )
    assert first.shape == last.shape and not torch.equal(first, last)


def test_a_closed_form_needs_a_head_that_pools_cells() -> None:
    with pytest.raises(UserError, match="cam needs the last layer of a classifier whose head is a global average pool"):
        explain("cam", tiny(), images(1, 64), torch.tensor([[1]]))


def test_trainable_blocks_are_counted_from_the_end() -> None:
    network = tiny()
    network.freeze(1)
    network(images(1, 64)).sum().backward()
    trained = {name.split(".")[0] for name, weight in network.blocks.named_parameters() if weight.grad is not None}
    assert trained == {"3"}, "the last block, and the norm behind it"
    network.freeze(0)
    assert not network.trained_weights() and isinstance(network.head, LinearHead)
    assert network.head.pooled(network.features(images(1, 64))).shape == (1, TINY["embed_dim"])


@pytest.mark.parametrize(
    ("name", "options", "side", "message"),
    [
        (
            "vit_tiny_patch16_224",
            TINY,
            100,
            "images of 100x100 pixels do not suit .*: use an image size that is a multiple of 16",
        ),
        ("vit_small_patch14_dinov2", TINY, 96, "use an image size that is a multiple of 14"),
        ("mixer_s32_224", {}, 96, "takes one size alone: use an image size of 224"),
        ("vit_tiny_patch16_224", TINY, 8, "smaller than the network's stride of 16: use an image size of at least 16"),
    ],
)
def test_sizes_that_do_not_suit_are_told(name: str, options: dict[str, Any], side: int, message: str) -> None:
    classifier = split_timm.split(create(name, options), HALF, HALF)
    with pytest.raises(UserError, match=message):
        classifier(images(1, side))
    assert classifier.sizes is not None
    assert classifier(images(1, classifier.sizes.example())).shape == (1, CLASSES)


@pytest.mark.parametrize("side", [64, 80, 224])
def test_swin_takes_any_size(side: int) -> None:
    network = create("swin_tiny_patch4_window7_224", SHORT)
    with torch.no_grad():
        wanted = network(images(1, side))
        assert distance(split_timm.split(network, HALF, HALF)(images(1, side)), wanted) < 1e-5


def test_a_network_without_a_grid_is_refused() -> None:
    with pytest.raises(UserError, match=r"CrossVit.* has no grid of cells"):
        by_name.build("crossvit_tiny_240", CLASSES, "random")


def test_a_transformer_is_saved_and_loaded(tmp_path: Any) -> None:
    network = by_name.build("test_vit", CLASSES, "random").eval()
    header = saved_classifier.describe("timm", "test_vit", list("abcde"), 64, "single")
    saved_classifier.save(tmp_path / "vit.safetensors", network, header)
    loaded, found = saved_classifier.load(tmp_path / "vit.safetensors")
    assert found == header and torch.equal(loaded(images(2)), network(images(2)))
    again = by_name.build("test_vit", 3, str(tmp_path / "vit.safetensors")).eval()
    assert torch.equal(again.features(images(1)), network.features(images(1))) and again(images(1)).shape == (1, 3)


def test_timms_own_weight_file_of_a_transformer(tmp_path: Any) -> None:
    from safetensors.torch import save_file

    network = shaken(timm.create_model("test_vit", num_classes=CLASSES, dynamic_img_size=True))
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        wanted = network(images(1))
        assert (
            distance(
                by_name.build("test_vit", CLASSES, str(tmp_path / "weights.safetensors")).eval()(images(1)), wanted
            )
            < 1e-5
        )


def test_a_segmenter_on_a_transformer_takes_the_sizes_it_takes() -> None:
    fixed = split_timm.split(create("mixer_s32_224", {}), HALF, HALF)
    segmenter = topdown.build("light", 3, "random", classifier=fixed).eval()
    assert segmenter(images(1, 224)).shape == (1, 3, 224, 224)
    with pytest.raises(UserError, match="takes one size alone: use an image size of 224"):
        segmenter(images(1, 96))
    assert topdown.build("light", 3, "random", classifier=tiny()).eval()(images(1, 96)).shape == (1, 3, 96, 96)
