"""A view is what one forward pass gives, at every level, and leaves the classifier as it was."""

from __future__ import annotations

import pytest
import torch

from tests.cams.methods import networks
from weakseg.cams.view import look, select_views
from weakseg.networks import levels


@pytest.mark.parametrize("level", [0, -1, 1, 3])
@pytest.mark.parametrize("kind", ["batchnorm", "mlp"])
def test_features_and_head_of_a_level_compose_to_the_logits(kind, level):
    classifier, (images, _) = networks.classifier(kind).eval(), networks.batch()
    view = look(classifier, images, level)
    expected = classifier(images)
    assert torch.equal(view.head(view.features.clone()), expected) and torch.equal(view.network(images), expected)
    assert view.images is images and not view.features.requires_grad


def test_the_last_head_is_the_classifiers_own():
    classifier, (images, _) = networks.classifier(), networks.batch()
    assert look(classifier, images).head is classifier.head
    assert look(classifier, images, 3).head is classifier.head


def test_looking_restores_modes_and_statistics():
    classifier, (images, _) = networks.classifier("batchnorm"), networks.batch()
    classifier.blocks[1].eval()
    modes = [module.training for module in classifier.modules()]
    statistics = {key: value.clone() for key, value in classifier.state_dict().items()}
    look(classifier, images, 1)
    assert [module.training for module in classifier.modules()] == modes
    assert all(torch.equal(value, statistics[key]) for key, value in classifier.state_dict().items())


def test_views_of_several_levels_need_one_forward_pass():
    classifier, (images, _) = networks.classifier().eval(), networks.batch()
    known = levels.outputs(classifier, images, [0, -2])
    passes = []
    classifier.blocks[0].register_forward_hook(lambda *_: passes.append(1))
    views = select_views(classifier, images, known, [-2, 0, 1])
    assert not passes
    assert [view.features is known[count] for view, count in zip(views, (1, 3, 1), strict=True)] == [True] * 3
    with pytest.raises(KeyError):
        select_views(classifier, images, known, [2])
