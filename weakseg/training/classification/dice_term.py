"""The Dice term of a classifier's own activation maps, beside its classification loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from weakseg.cams import gradients
from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.training import image_labels
from weakseg.training.losses import dice, region
from weakseg.training.recipes.classifier import Recipe

Levels = dict[int, Tensor]  # features (B,C,h,w) by the number of blocks passed


def wanted_levels(recipe: Recipe) -> list[int]:
    """Levels that training looks at: the last one, and for region growing the one before its block."""
    return [-1, 0] if recipe.dice_rounds else [0]


def require_pooled(classifier: Classifier) -> PooledHead:
    """The head, whose maps have a closed form; UserError where it is not pooled."""
    if not isinstance(classifier.head, PooledHead):
        raise UserError(
            "dice_weight needs a classifier whose head is a global average pool and one linear layer, which this"
            " backbone lacks: set dice_weight to 0, or choose another backbone"
        )
    return classifier.head


def present_maps(head: PooledHead, features: Tensor, present: Tensor) -> Tensor:
    """Maps (P,h,w) of the P classes that images have, present (B,K) bool, image by image, with their graph.

    Each is its class's own (`gradients.decomposition`): a norm of the head is part of it.
    """
    images, chosen = present.nonzero(as_tuple=True)  # (P,) each
    every = torch.arange(present.shape[1], device=present.device).expand(present.shape)  # (B,K)
    rows = gradients.decomposition(head, features, every)  # (B,K,C)
    return torch.einsum("pc,pchw->phw", rows[images, chosen], features[images])


def dice_term(classifier: Classifier, seen: Levels, labels: Tensor, recipe: Recipe) -> Tensor:
    """Dice distance of the present classes' maps from their own threshold, grown first where `dice_rounds` says so.

    labels are ids (B,) or indicators (B,K). Features of the level before, pooled to the maps' grid, are what regions
    grow on. UserError where the head is not pooled.
    """
    head, features = require_pooled(classifier), seen[classifier.levels].float()
    present = image_labels.indicate(labels, head.linear.out_features)
    maps = present_maps(head, features, present)  # (P,h,w)
    if not recipe.dice_rounds:
        return dice.self_dice(maps, recipe.dice, recipe.dice_threshold)
    shares = dice.squash(maps, recipe.dice)
    before = F.adaptive_avg_pool2d(
        classifier.cells(seen[classifier.levels - 1], classifier.levels - 1).detach().float(),
        (maps.shape[1], maps.shape[2]),
    )  # (B,D,h,w)
    owners = present.nonzero(as_tuple=True)[0]
    return dice.dice(shares, region.grow(shares.detach() > recipe.dice_threshold, before[owners], recipe.dice_rounds))
