"""Which classes of an image get a map: those of its label, or of a prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from weakseg.errors import UserError

RULES = ("top1", "topk", "above")


def predicted(logits: Tensor, rule: str, *, count: int, score: float, target: str) -> list[list[int]]:
    """Classes of each row of logits (B,K), best first; each row has at least one.

    top1: the best. topk: the `count` best. above: all whose probability exceeds `score` (softmax for target `single`,
    sigmoid for `multi`), else the best. UserError on another rule.
    """
    if rule not in RULES:
        raise UserError(f"the rule for predicted classes is '{rule}': choose one of {', '.join(RULES)}")
    order = logits.argsort(dim=1, descending=True, stable=True)
    if rule == "above":
        probability = logits.softmax(1) if target == "single" else logits.sigmoid()
        counts = (probability > score).sum(1).clamp(min=1).tolist()
    else:
        counts = [1 if rule == "top1" else count] * len(logits)
    return [row[:number] for row, number in zip(order.tolist(), counts, strict=True)]


def padded(classes: Sequence[Sequence[int]]) -> Tensor:
    """Ragged class lists as (B,K) int64, short rows filled up with their own first class; a row has at least one."""
    width = max(len(row) for row in classes)
    return torch.tensor([[*row, *[row[0]] * (width - len(row))] for row in classes])
