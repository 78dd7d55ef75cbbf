"""All that runs on a device, on one that stands for Apple's: no float64, no mixing, no waiting in each training step.

Values are those of the CPU, as the same kernels compute them. Run by `tests/test_small_device.py`, in a process of its
own: torch has to know of the device before anything is differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import backend_registration

from tests.cams.methods import networks
from tests.networks.transformers import HALF, TINY, create
from tests.small_device import NAME, SmallDevice
from tests.training.hues import recipe, write
from weakseg.cams.extraction import Moments
from weakseg.cams.methods import rollout
from weakseg.cams.view import look
from weakseg.data import paired_samples, samples
from weakseg.data.augmentation import Augmentation
from weakseg.errors import UserError
from weakseg.evaluation.classifier import faithfulness
from weakseg.evaluation.receptive_field import measure
from weakseg.evaluation.receptive_field.recipe import ErfRecipe
from weakseg.harness import choices, device
from weakseg.masks.distillation import feature_grids
from weakseg.masks.distillation.recipe import Reading
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import split_timm
from weakseg.networks.segmentation import predict
from weakseg.networks.segmentation.predict import Copies
from weakseg.training import predictions
from weakseg.training.classification import classifier as classification
from weakseg.training.fitting import loop, optimization, tally
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained
from weakseg.training.recipes.segmenter import Training
from weakseg.training.self_training import segmenter as segmentation

pytestmark = [
    pytest.mark.skipif(
        not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
        reason="this torch cannot be told of a device in Python",
    ),
    pytest.mark.usefixtures("workplace"),
]
SIDE = 32


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallDevice]:
    with SmallDevice() as found:
        monkeypatch.setenv("WEAKSEG_DEVICE", NAME)
        monkeypatch.setattr(device, "WITHOUT_FLOAT64", (NAME,))
        yield found


def resnet() -> Classifier:
    torch.manual_seed(0)
    return choices.load("backbones", "resnet").build("small", 2, "random")


def reader(folder: Path) -> samples.Reader:
    data = write(folder)
    return samples.Reader(data.images, data.frame.index.tolist()[:6], SIDE, 4, "fp32")


def test_the_device_is_as_strict_as_the_real_one(small: SmallDevice) -> None:
    values = torch.rand(2, 3).to(NAME)
    strict: list[Callable[[], Any]] = [
        values.double,
        lambda: torch.from_numpy(np.zeros(3)).to(NAME),
        lambda: torch.zeros(2, dtype=torch.float64, device=NAME),
        lambda: values + torch.zeros(2, 3),
    ]
    for call in strict:
        with pytest.raises((TypeError, RuntimeError), match=r"no float64|two devices"):
            call()
    assert small.waits == 0 and float((2 * values).sum()) > 0 and small.waits == 1


def fit_classifier(folder: Path, **changes: Any) -> list[dict[str, float]]:
    """Two epochs of training on images, as `train_blocks` puts them together, without a checkpoint."""
    data, plan, network = write(folder), recipe(epochs=2, **changes), resnet()
    examples = classification.choose_examples(data, plan)
    network.to(device.pick()).to(memory_format=torch.channels_last)
    network.freeze(plan.trainable_blocks)
    groups = [{"params": list(network.parameters()), "lr": 1e-3}]
    reading = classification.read_shuffled(examples, plan)
    return loop.fit(
        {"classifier": optimization.prepare(plan, network, groups, 8)},
        lambda epoch: classification.draw_batches(network, examples, reading, plan, epoch),
        classification.objective(network, plan),
        Plan("classifier", plan.epochs, clip=1.0, precision=plan.precision),
    )


@pytest.mark.parametrize("changes", [{}, {"target": "multi"}, {"dice_weight": 0.1}], ids=["single", "multi", "dice"])
def test_a_classifier_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict) -> None:
    expected = fit_classifier(tmp_path, **changes)
    with SmallDevice() as small:
        monkeypatch.setenv("WEAKSEG_DEVICE", NAME)
        found = fit_classifier(tmp_path, **changes)
    for one, other in zip(found, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert small.waits == 2 or "dice_weight" in changes, (
        "losses are fetched once an epoch, not in each of its four steps"
    )


def test_a_loss_that_is_not_finite_is_named_when_it_is_fetched(small: SmallDevice, monkeypatch: Any) -> None:
    monkeypatch.setattr(tally, "TOGETHER", 3)
    kept: list[int] = []
    for bad in (2, 5, 7):
        model = nn.Linear(4, 1).to(NAME)
        part = Trained(model, torch.optim.SGD(model.parameters(), lr=0.1))
        scales = [float("nan") if number == bad else 1.0 for number in range(1, 8)]

        def loss(scale: float, epoch: int, model: nn.Module = model) -> dict[str, Tensor]:
            return {"loss": model(torch.ones(2, 4, device=NAME)).mean() * scale}

        with pytest.raises(UserError, match=rf"not finite in epoch 1, batch {bad}: .*kept: 0"):
            loop.fit({"m": part}, lambda epoch, s=scales: s, loss, Plan("test", 1, keep=kept.append))
    assert not kept


@pytest.mark.parametrize("kind", ["layernorm", "mlp"])
@pytest.mark.parametrize("name", sorted(set(choices.names("methods")) - set(networks.NEEDS_TRANSFORMER)))
def test_every_method_gives_its_maps(name: str, kind: str) -> None:
    if kind == "mlp" and name in networks.NEEDS_POOLED_HEAD:
        pytest.skip("needs a pooled head")
    network, (images, classes) = networks.classifier(kind), networks.batch()
    expected = networks.explain(name, network, images, classes)
    with SmallDevice(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(device, "WITHOUT_FLOAT64", (NAME,))
        found = networks.explain(name, network.to(NAME), images.to(NAME), classes.to(NAME))
        assert found.device.type == NAME
        torch.testing.assert_close(found.cpu(), expected)


def test_principal_axes_are_taken_on_the_cpu(small: SmallDevice) -> None:
    features = torch.randn(4, 8, 5, 5)
    here, away = Moments(), Moments()
    here.add(features)
    away.add(features.to(NAME))
    expected, found = here.principal(3)(features), away.principal(3)(features.to(NAME))
    torch.testing.assert_close(found.cpu(), expected)


def test_predictions_features_and_receptive_fields(small: SmallDevice, tmp_path: Path) -> None:
    shown, network = reader(tmp_path), resnet().to(NAME).eval()
    assert all(len(rows) == len(names) for names, rows in predictions.predict(network, shown))
    images = samples.ImageSamples(shown.images, shown.ids, SIDE, (network.mean, network.std))
    reading = Reading(levels=[0], image_size=SIDE, batch_size=4, precision="fp32")
    means = feature_grids.compute_means(network, images, reading, [network.levels])
    records = list(feature_grids.to_records(means, [network.levels], (4, 4)))
    assert len(records) == 6 and all(np.isfinite(np.frombuffer(one.parts[0], np.float16)).all() for one in records)
    sizes = ErfRecipe(
        central_size=SIDE, central_images=2, saliency_size=SIDE, saliency_images=2, saliency_share=0.2, batch_size=2
    )
    fields = measure.measure(network, shown.images, list(shown.ids), sizes, "trained")
    assert fields.central.shape == (SIDE, SIDE) and fields.central.max() > 0


def test_faithfulness(small: SmallDevice) -> None:
    network = resnet().to(NAME).eval()
    images, classes = torch.rand(2, 3, SIDE, SIDE).to(NAME), torch.tensor([0, 1]).to(NAME)
    case = faithfulness.Case(lambda seen: network(seen).softmax(1), images, classes)
    numbers = faithfulness.FaithfulnessRecipe(seed=0, batch_size=2, steps=2, blur=2.0, fractions=[0.5])
    found = faithfulness.evaluate(case, torch.rand(2, 4, 4), numbers, torch.Generator().manual_seed(0))
    assert all(values.dtype == np.float64 for values in found.values())


@pytest.mark.parametrize("share", [0.0, 0.5], ids=["hard", "soft"])
def test_a_segmenter_trains_and_predicts(small: SmallDevice, tmp_path: Path, share: float) -> None:
    shown = reader(tmp_path)
    masks = np.zeros((SIDE, SIDE), np.uint8)
    masks[8:24, 8:24], masks[0] = 1, 255
    ranges = {"zoom_from": 0.9, "zoom_to": 1.1, "aspect": 1.0, "flip": True, "gain": 0.1, "brightness": 0.1}
    plan = Training(
        **ranges, seed=0, image_size=SIDE, steps=6, epochs=0, batch_size=2, encoder_rate=1e-3, decoder_rate=1e-3,
        clip=1.0, balance=0.5, average=0.9, teacher_share=share, frozen_groups=0, fixed_norm=False, precision="fp32",
        optimizer="adamw", schedule="onecycle", warmup=0.4, weight_decay=0.0,
    )  # fmt: skip
    network = choices.load("segmenters", "topdown").build("light", 2, "random", classifier=resnet())
    part = segmentation.prepare(network, plan, 6)
    weights = segmentation.weigh_classes(np.array([768, 256]), 2, plan.balance)
    reading = paired_samples.shuffled(paired_samples.PairedSamples(shown.images, lambda _: masks, shown.ids, SIDE), 2)
    loss = segmentation.objective(network, part.averaged, weights, plan)

    def batches(epoch: int) -> paired_samples.Batches:
        return paired_samples.Batches(reading, SIDE, Augmentation(**ranges), epoch, 3)

    rows = loop.fit({"segmenter": part}, batches, loss, Plan("segmenter", 2, plan.clip))
    assert len(rows) == 2 and small.waits == 2
    ((name, found), *_) = predict.stream(network, shown, Copies([1.0, 1.5], True))
    assert name == shown.ids[0] and np.allclose(found.sum(0), 1, atol=1e-5)


def test_attention_rollout(small: SmallDevice) -> None:
    network = split_timm.split(create("vit_tiny_patch16_224", TINY), HALF, HALF).to(NAME).eval()
    found = rollout.maps(look(network, torch.rand(2, 3, 64, 64).to(NAME)), torch.tensor([[0], [1]]).to(NAME))
    assert found.device.type == NAME and found.isfinite().all()
