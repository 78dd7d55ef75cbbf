"""Which level of the classifier to distill into, where several are given: the one that agrees best with the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weakseg.masks.distillation.feature_grids import Grids
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.masks.distillation.rounds import run_rounds
from weakseg.masks.distillation.sampling import sample_cells
from weakseg.masks.distillation.task import Task, image_logits

DIVERGED = -1.0  # agreement of a level whose rounds diverge: below that of any other


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of the foreground's and the background's IoU of two stacks of masks, bool; an absent side counts as 1."""
    pairs = ((one, other), (~one, ~other))
    return float(np.mean([(a & b).sum() / (a | b).sum() if (a | b).any() else 1.0 for a, b in pairs]))


def mutual_agreement(masks: Sequence[np.ndarray]) -> list[float]:
    """Mean mIoU of each level's masks (n,h,w) bool, all on one grid, with those of the other levels; one alone: 0."""
    scores = np.array([[mask_iou(one, other) for other in masks] for one in masks]).reshape(len(masks), len(masks))
    np.fill_diagonal(scores, 0)
    return list(scores.sum(1) / max(len(masks) - 1, 1))


def find_foreground(task: Task, rule: Rule, features: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Where any class of the image has a logit above 0, (n,h,w) bool."""
    masks = []
    for place in places:
        logits = image_logits(task, rule, features[place].astype(np.float32), task.entry(place))
        masks.append((logits > 0).any(0))  # (K,h,w) -> (h,w)
    return np.stack(masks)


def score_levels(task: Task, levels: dict[int, np.ndarray], places: Sequence[int]) -> dict[int, float]:
    """Mean agreement of each level's masks with those of the other levels, on some training images, after plain rounds.

    A level whose rounds diverge has agreement -1.
    """
    masks = {}
    for level, features in levels.items():
        rounds = run_rounds(sample_cells(task, features), task.recipe)
        if rounds:
            masks[level] = find_foreground(task, rounds[-1].rule, features, places)
    agreement = mutual_agreement(list(masks.values()))
    return dict.fromkeys(levels, DIVERGED) | dict(zip(masks, agreement, strict=True))


def choose_level(task: Task, stacks: Grids, places: Sequence[int]) -> tuple[int, dict[str, float]]:
    """The level whose masks agree best with those of the others, and every level's agreement; the only one, if one."""
    levels = list(stacks.paths)
    if len(levels) == 1:
        return levels[0], {}
    agreement = score_levels(task, {level: stacks.load(level) for level in levels}, places)
    best = max(levels, key=lambda level: (agreement[level], level))
    return best, {f"agreement_level{level}": agreement[level] for level in levels}
