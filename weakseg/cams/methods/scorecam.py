"""Score-CAM. Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu, "Score-CAM: Score-weighted visual explanations for
convolutional neural networks" (2020), arXiv 1910.01279.

Differs from the paper: a channel budget; scores are logits, and the baseline score cancels in the softmax over
channels; one set of forward passes serves every class.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from weakseg.cams import arithmetic
from weakseg.cams.gradients import check_classes
from weakseg.cams.view import View
from weakseg.errors import UserError
from weakseg.networks.levels import evaluating

Grouping = Literal["top", "grouped"]


def pick_leaders(units: Tensor, energy: Tensor, budget: int) -> Tensor:
    """Indices (budget,) of channels that are strong and unlike each other, from unit maps (C,Z) and energies (C,).

    The strongest first; then, again and again, the largest energy * (1 - cosine with the likest one chosen).
    """
    chosen, nearest = [energy.argmax()], units.new_full((len(units),), -1.0)
    for _ in range(budget - 1):
        nearest = torch.maximum(nearest, units @ units[chosen[-1]])
        worth = energy * (1 - nearest)
        worth[torch.stack(chosen)] = -1
        chosen.append(worth.argmax())
    return torch.stack(chosen)


def average_groups(features: Tensor, energy: Tensor, budget: int) -> tuple[Tensor, Tensor]:
    """Mean maps (G,h,w) and sizes (G,) of at most `budget` groups: each channel of (C,h,w) joins its likest leader."""
    units = functional.normalize(features.flatten(1), dim=1)  # (C,Z): products of two rows are cosines
    owner = (units @ units[pick_leaders(units, energy, budget)].T).argmax(1)  # (C,): the number of a channel's group
    counts = torch.bincount(owner, minlength=budget).to(features.dtype)
    sums = features.new_zeros(budget, *features.shape[1:]).index_add_(0, owner, features)  # (budget,h,w)
    return sums[counts > 0] / counts[counts > 0, None, None], counts[counts > 0]


def group_channels(features: Tensor, budget: int, grouping: Grouping) -> tuple[Tensor, Tensor]:
    """Reduce the channels of one image (C,h,w) to G <= budget mean maps (G,h,w) and their numbers of channels (G,).

    top: the channels of the largest energy sum(A^2), each alone. grouped: every channel joins the likest (cosine) of
    `pick_leaders`. Channels that are flat mask nothing and are left out; if all are, one map of 0 channels is left.
    """
    varied = features.amax((1, 2)) > features.amin((1, 2))
    if not varied.any():
        return features[:1], features.new_zeros(1)
    features = features[varied]
    budget = min(budget, len(features)) if budget else len(features)
    energy = features.flatten(1).square().sum(1)
    if grouping == "grouped":
        return average_groups(features, energy, budget)
    stacks = features[energy.topk(budget).indices.sort().values]
    return stacks, torch.ones_like(stacks[:, 0, 0])


def score_masked(network: nn.Module, image: Tensor, stacks: Tensor, chunk: int) -> Tensor:
    """Logits (G,K) of one image (3,H,W) multiplied by each up-sampled, min-maxed map (G,h,w), `chunk` at a time.

    In normalized images zero is the data's mean color.
    """
    parts = []
    for part in stacks.split(chunk):
        masks = arithmetic.minmax(arithmetic.resize(part, image.shape[-2:]))
        parts.append(network(image * masks[:, None]))  # (chunk,3,H,W) -> (chunk,K)
    return torch.cat(parts)


@torch.no_grad()
def maps(view: View, classes: Tensor, *, channels: int, grouping: Literal["top", "grouped"], chunk: int) -> Tensor:
    """M = ReLU(sum_k a_k A_k), a = softmax over channels of the class's logit for the image masked by A_k.

    classes (B,K) -> (B,K,h,w), >= 0. `channels` forward passes an image (0: all C); at most `chunk` masked images are
    in memory. An image whose channels are all flat has a map of zeros.
    """
    if channels < 0 or chunk < 1:
        raise UserError(f"scorecam: channels is {channels} and chunk {chunk}: use at least 0 and 1")
    found = []
    with evaluating(view.network):
        for image, features, wanted in zip(view.images, view.features, classes, strict=True):
            stacks, counts = group_channels(features, channels, grouping)
            logits = score_masked(view.network, image, stacks, chunk)
            check_classes(wanted, logits.shape[1])
            # A group of n equal channels weighs as n terms of the softmax: n exp(y) = exp(y + log n). (G,K)
            weights = (logits[:, wanted] + counts.log()[:, None]).softmax(0).nan_to_num(0)
            found.append(arithmetic.sum_channels(stacks[None], weights.T[None])[0].relu())
    return torch.stack(found)
