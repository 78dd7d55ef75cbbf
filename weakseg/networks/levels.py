"""A classifier seen from one of its levels, so that one forward pass serves maps of several layers.

Level n is the output after n blocks; 0 is the last one and -n is n blocks before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier

Method = Callable[[Classifier, Tensor, Tensor], Tensor]


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module and its children into evaluation mode; the mode of each is restored, also after an error."""
    training = [child for child in module.modules() if child.training]
    for child in training:
        child.training = False
    try:
        yield
    finally:
        for child in training:
            child.training = True


def counted(classifier: Classifier, level: int) -> int:
    """The number of blocks before `level`, in 1..levels; UserError where there is no such level."""
    return classifier.levels if level == 0 else classifier.check_level(level)


def outputs(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """Features after each wanted level of one forward pass, keyed by the number of blocks passed.

    Each goes on as a copy: a block may begin with an operation in place.
    """
    stops = sorted({counted(classifier, level) for level in wanted})
    found = {stops[0]: classifier.features_at(images, stops[0])}
    for before, after in pairwise(stops):
        found[after] = classifier.blocks[before:after](found[before].clone())
    return found


def flaw(classifier: nn.Module) -> str | None:
    """Name of the first weight or statistic that is not finite, None where all are."""
    tensors = [*classifier.named_parameters(), *classifier.named_buffers()]
    return next((name for name, tensor in tensors if not torch.isfinite(tensor).all()), None)


def require_finite(classifier: nn.Module) -> None:
    """UserError that names the first weight that holds NaN or infinity."""
    name = flaw(classifier)
    if name is not None:
        raise UserError(f"the classifier's weight '{name}' holds NaN or infinity: retrain it, or use another file")


class View(Classifier):
    """The same classifier cut at another level: its features are those after `level`, its logits do the rest.

    `seen` = (images, features) spares the forward pass for that very tensor of images; any other is computed.
    At the last level `head` is the classifier's own; at inner ones it is the remaining blocks and the head.
    """

    def __init__(self, classifier: Classifier, level: int, seen: tuple[Tensor, Tensor] | None = None) -> None:
        count = counted(classifier, level)
        tail = classifier.blocks[count:]
        head = nn.Sequential(*tail, classifier.head) if len(tail) else classifier.head
        super().__init__(classifier.blocks[:count], head, classifier.stride, classifier.mean, classifier.std)
        self.training = classifier.training
        self.seen = seen

    def features(self, images: Tensor) -> Tensor:
        """Normalized images (B,3,H,W) -> features (B,C,h,w) after the view's level."""
        if self.seen is not None and images is self.seen[0]:
            return self.seen[1]
        return super().features(images)
