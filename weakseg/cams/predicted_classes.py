"""Which classes an image without a label gets maps of."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from weakseg.cams.recipe import Recipe


def predict_classes(logits: Tensor, probability: Tensor, recipe: Recipe) -> list[list[int]]:
    """Classes of each row of logits (B,K), best first; each row has at least one.

    top1: the best. topk: the `predicted_count` best. above: all whose probability (B,K) exceeds `predicted_score`, else
    the best.
    """
    order = logits.argsort(dim=1, descending=True, stable=True)
    if recipe.predicted == "above":
        counts = (probability > recipe.predicted_score).sum(1).clamp(min=1).tolist()
    else:
        counts = [1 if recipe.predicted == "top1" else recipe.predicted_count] * len(logits)
    return [row[:number] for row, number in zip(order.tolist(), counts, strict=True)]


def pad(classes: Sequence[Sequence[int]]) -> Tensor:
    """Ragged class lists as (B,K) int64, short rows filled up with their own first class, empty ones with class 0.

    K is 1 at least.
    """
    width = max(1, *(len(row) for row in classes))
    return torch.tensor([[*row, *[row[0] if row else 0] * (width - len(row))] for row in classes])
