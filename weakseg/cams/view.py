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
from weakseg.networks.levels import count_map_blocks, evaluating, head_after, outputs


@dataclass(frozen=True)
class View:
    """A batch of images as a classifier sees it from one of its levels."""

    images: Tensor  # (B,3,H,W), normalized
    features: Tensor  # (B,C,h,w), those of the images after the level
    head: nn.Module  # features -> logits (B,K); after an inner level the blocks left over belong to it
    network: nn.Module  # any images (B',3,H,W) -> logits (B',K), the whole classifier


Method = Callable[[View, Tensor], Tensor]


class TokenTail(nn.Module):
    """A head that sees more than the cells it is given: `tail` of the cells and of what a transformer's other tokens
    hold, (B,C',h,w), as it is."""

    def __init__(self, tail: nn.Module, carried: Tensor) -> None:
        super().__init__()
        self.tail, self.carried = tail, carried

    def forward(self, cells: Tensor) -> Tensor:
        """(B,C,h,w) -> logits (B,K)."""
        return self.tail(torch.cat([cells, self.carried], 1))


def see(classifier: Classifier, images: Tensor, features: Tensor, count: int) -> View:
    """The view of the images from the level after `count` blocks, whose features may carry other tokens."""
    cells, head = classifier.cells(features, count), head_after(classifier, count)
    carried = features[:, cells.shape[1] :]
    return View(images, cells, TokenTail(head, carried) if carried.shape[1] else head, classifier)


def wanted_levels(classifier: Classifier, levels: Iterable[int]) -> set[int]:
    """Levels whose outputs `select_views` needs, and the last one."""
    return {0, *(count_map_blocks(classifier, level) for level in levels)}


def select_views(classifier: Classifier, images: Tensor, known: dict[int, Tensor], levels: Iterable[int]) -> list[View]:
    """A view of the images from each level, with no forward pass: `known` holds the outputs of `wanted_levels`."""
    counts = [count_map_blocks(classifier, level) for level in levels]
    return [see(classifier, images, known[count], count) for count in counts]


@torch.no_grad()
def look(classifier: Classifier, images: Tensor, level: int = 0) -> View:
    """The view of normalized images (B,3,H,W) from one level, by one forward pass in evaluation mode."""
    with evaluating(classifier):
        known = outputs(classifier, images, [count_map_blocks(classifier, level)])
        (view,) = select_views(classifier, images, known, [level])
    return view
