"""What is distilled, from which archives and how: the task, and an image's logits under a rule."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from weakseg.artifacts.activations import CamEntry
from weakseg.data import grids
from weakseg.masks import pseudomasks
from weakseg.masks.distillation.cells import renumber_labels
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.masks.distillation.recipe import Recipe
from weakseg.masks.sources import Sources


@dataclass(frozen=True)
class Task:
    """What is distilled, and how."""

    sources: Sources
    recipe: Recipe
    ids: list[str]
    trained: list[int]  # places in `ids` of the images that are trained on
    classes: int  # of the data
    seed: int  # of the random cells

    @property
    def joint(self) -> bool:
        """Whether one rule, foreground against background, serves all classes."""
        return self.recipe.rules == "foreground"

    def grid(self) -> tuple[int, int]:
        """Grid of the activation maps."""
        return self.entry(0).scores.shape[1:]

    def entry(self, place: int) -> CamEntry:
        """Activation maps of image number `place`."""
        return self.sources.cams.cams(self.ids[place])

    def list_rules(self, classes: np.ndarray) -> list[int]:
        """Number of the rule that serves each of an image's classes."""
        return [0 if self.joint else int(one) for one in classes]

    def flag_rules(self, classes: np.ndarray) -> np.ndarray:
        """Which rules serve an image with these classes, (K,) bool."""
        flags = np.zeros(1 if self.joint else self.classes, bool)
        flags[self.list_rules(classes)] = True
        return flags

    def label_rules(self, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Labels that count an image's maps -> labels that count the rules."""
        return renumber_labels(labels, self.list_rules(classes))


def image_logits(task: Task, rule: Rule, features: np.ndarray, entry: CamEntry) -> np.ndarray:
    """Logits (K,h,w) of an image's classes, above 0 where the class is; `pseudomasks.UNIT` times z.

    With one rule for all classes, each cell belongs to the class with the highest activation map; the others get
    minus the absolute logit.
    """
    logits = pseudomasks.UNIT * rule.maps(features)[task.list_rules(entry.classes)]  # (rules,h,w) -> (K,h,w)
    if not task.joint or len(logits) < 2:
        return logits
    winner = grids.resize(grids.minmax(entry.scores), logits.shape[1:]).argmax(0)  # (h,w)
    return np.where(np.arange(len(logits))[:, None, None] == winner, logits, -np.abs(logits))
