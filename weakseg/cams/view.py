"""What a CAM method sees of a batch of images, and what a file of cams/methods offers.

    maps(view, classes (B,K), *, options) -> (B,K,h,w)        raw scores of the classes, without a graph
    closed(features (B,C,h,w), slopes (B,K,C)) -> (B,K,h,w)   optional: the same maps where the head is pooled

`closed` is offered where a pooled head gives the method a formula without backward pass. It carries the graph of its
arguments, so that training can differentiate it; `slopes` are those of cams/gradients.py. Features come computed; a
method that runs `head` or `network` does so in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import count_blocks, evaluating, head_after, outputs


@dataclass(frozen=True)
class View:
    """A batch of images as a classifier sees it from one of its levels."""

    images: Tensor  # (B,3,H,W), normalized
    features: Tensor  # (B,C,h,w), those of the images after the level
    head: nn.Module  # features -> logits (B,K); after an inner level the blocks left over belong to it
    network: nn.Module  # any images (B',3,H,W) -> logits (B',K), the whole classifier


Method = Callable[[View, Tensor], Tensor]


def select_views(classifier: Classifier, images: Tensor, known: dict[int, Tensor], levels: Iterable[int]) -> list[View]:
    """A view of the images from each level, with no forward pass: `known` holds their `levels.outputs`."""
    counts = [count_blocks(classifier, level) for level in levels]
    return [View(images, known[count], head_after(classifier, count), classifier) for count in counts]


@torch.no_grad()
def look(classifier: Classifier, images: Tensor, level: int = 0) -> View:
    """The view of normalized images (B,3,H,W) from one level, by one forward pass in evaluation mode."""
    with evaluating(classifier):
        (view,) = select_views(classifier, images, outputs(classifier, images, [level]), [level])
    return view
