"""The Dice term: of the classes' own maps whatever the head, and refused where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.hues import recipe, write
from weakseg.cams import view
from weakseg.cams.methods import cam
from weakseg.errors import UserError
from weakseg.harness import choices
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier
from weakseg.training.classification import classifier as training
from weakseg.training.classification import dice_term
from weakseg.training.losses import dice

IMAGES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def build(backbone: str, classes: int = 3) -> Classifier:
    torch.manual_seed(0)
    classifier = choices.load("backbones", backbone).build("small", classes, "random")
    if classifier.head.kind != "none":  # a norm that has learned something
        torch.nn.init.uniform_(classifier.head.norm.weight, 0.2, 3.0)
    return classifier


@pytest.mark.parametrize("backbone", ["resnet", "unet", "convnext", "replknet", "slak"])
def test_its_maps_are_the_classes_own_and_reach_every_weight(backbone: str) -> None:
    """A norm of the head is part of the class's map: the raw weights of the linear layer are not."""
    classifier = build(backbone).eval()
    plan, labels = recipe(dice_weight=0.1), torch.tensor([2, 0])
    seen = levels.outputs(classifier, IMAGES, dice_term.wanted_levels(plan))
    found = dice_term.dice_term(classifier, seen, labels, plan)
    looked = view.look(classifier, IMAGES)
    own = cam.maps(looked, labels[:, None], weights="class")[:, 0]
    torch.testing.assert_close(found, dice.self_dice(own, "share", 0.3))
    if classifier.head.kind != "none":
        raw = cam.maps(looked, labels[:, None], weights="raw")[:, 0]
        assert abs(float(found.detach()) - float(dice.self_dice(raw, "share", 0.3))) > 1e-6
    found.backward()
    assert all(weight.grad is not None for weight in classifier.trained_weights())


def test_absent_classes_do_not_count() -> None:
    classifier, plan = build("resnet").eval(), recipe(dice_weight=0.1)
    seen = levels.outputs(classifier, IMAGES, [0])
    several = dice_term.dice_term(classifier, seen, torch.tensor([[1, 0, 1], [0, 0, 0]]), plan)
    own = cam.maps(view.look(classifier, IMAGES[:1]), torch.tensor([[0, 2]]), weights="class")[0]
    torch.testing.assert_close(several, dice.self_dice(own, "share", 0.3))


def test_the_target_can_be_grown_on_the_features_before() -> None:
    classifier, labels = build("resnet").eval(), torch.tensor([2, 0])
    losses = []
    for rounds in (0, 5):
        plan = recipe(dice_weight=0.1, dice_threshold=0.9, dice_rounds=rounds)
        seen = levels.outputs(classifier, IMAGES, dice_term.wanted_levels(plan))
        losses.append(float(dice_term.dice_term(classifier, seen, labels, plan)))
    assert losses[0] != losses[1]


def test_what_cannot_have_it_is_refused(tmp_path: Path) -> None:
    data = write(tmp_path)
    vgg = choices.load("backbones", "timm").build("vgg11", 2, "random")
    with pytest.raises(UserError, match="dice_weight needs a classifier whose head is a global average pool"):
        training.train(vgg, data, recipe(dice_weight=0.1), tmp_path)
    for changes, problem in (
        ({"dice_weight": 0.1, "trainable_blocks": 0}, "dice_weight needs blocks that train"),
        ({"dice_rounds": 5}, "dice_rounds needs the Dice term"),
    ):
        with pytest.raises(ValueError, match=problem):
            recipe(**changes)


def test_a_head_without_weights_cannot_be_all_that_trains(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="trainable_blocks: 0 trains the head alone, and this backbone's has no weights"
    ):
        training.train(build("unet", 2), write(tmp_path), recipe(trainable_blocks=0), tmp_path)
