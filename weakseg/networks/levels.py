"""A classifier cut at its levels, so that one forward pass serves maps of several layers; and what to know before one.

Level n is the output after n blocks; 0 is the last one and -n is n blocks before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from weakseg.errors import UserError
from weakseg.networks.classifier import Classifier


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


def count_blocks(classifier: Classifier, level: int) -> int:
    """The number of blocks before `level`, in 1..levels; UserError where there is no such level."""
    return classifier.levels if level == 0 else classifier.check_level(level)


def outputs(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """Features after each wanted level of one forward pass, keyed by the number of blocks passed.

    Each goes on as a copy: a block may begin with an operation in place.
    """
    stops = sorted({count_blocks(classifier, level) for level in wanted})
    found = {stops[0]: classifier.features_at(images, stops[0])}
    for before, after in pairwise(stops):
        found[after] = classifier.blocks[before:after](found[before].clone())
    return found


def read(classifier: Classifier, images: Tensor, wanted: Iterable[int]) -> dict[int, Tensor]:
    """As `outputs`, the cells alone: to look at, not to go on from."""
    return {level: classifier.cells(found, level) for level, found in outputs(classifier, images, wanted).items()}


def count_map_blocks(classifier: Classifier, level: int) -> int:
    """The number of blocks before `level` as the maps of classes see it: cells have to reach the logits from there.

    Where the head reads a class token, the last level is the one before the last block. UserError where no level's
    cells reach the logits.
    """
    count = count_blocks(classifier, level)
    if classifier.tokens is None:
        return count
    if not classifier.tokens.reach:
        raise UserError(
            "this network's head reads a class token that none of its levels leads to: use another network, or one of"
            " its kind that pools all tokens"
        )
    return min(count, classifier.tokens.reach)


def head_after(classifier: Classifier, level: int) -> nn.Module:
    """What turns the features after `level` into logits (B,K).

    The classifier's own head after the last level; after an inner one the blocks left over, then that head.
    """
    tail = classifier.blocks[count_blocks(classifier, level) :]
    return nn.Sequential(*tail, classifier.head) if len(tail) else classifier.head


def locate(module: nn.Module) -> torch.device:
    """The device that a module's weights lie on."""
    return next(module.parameters()).device


def find_flaw(classifier: nn.Module) -> str | None:
    """Name of the first weight or statistic that is not finite, None where all are."""
    tensors = [*classifier.named_parameters(), *classifier.named_buffers()]
    return next((name for name, tensor in tensors if not torch.isfinite(tensor).all()), None)


def require_finite(classifier: nn.Module) -> None:
    """UserError that names the first weight that holds NaN or infinity."""
    name = find_flaw(classifier)
    if name is not None:
        raise UserError(f"the classifier's weight '{name}' holds NaN or infinity: retrain it, or use another file")
