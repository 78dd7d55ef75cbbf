"""Distillation over archives: sample cells, run the rounds with a refiner inside, choose the level, write logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from weakseg.artifacts import activations, zips
from weakseg.artifacts.sampling import evenly
from weakseg.data import grids
from weakseg.errors import UserError
from weakseg.harness import workers
from weakseg.harness.progress import track
from weakseg.masks import pseudomasks
from weakseg.masks.distillation import feature_grids, linear_rule
from weakseg.masks.distillation.linear_rule import Cells, Round, Rule

INSIDE, OUTSIDE = 0.7, 0.3
Refine = Callable[..., np.ndarray]


@dataclass(frozen=True)
class Task:
    """What is distilled: activation maps and images of the ids, which of them are trained on, and how.

    `classes` is the number of rules: one for foreground against background, or one for each class of the data.
    """

    cams: activations.Cams
    images: zips.Images
    segments: zips.Segments
    ids: list[str]
    trained: list[int]
    classes: int
    joint: bool
    seeds: str
    seed_band: float
    cells: int
    most_cells: int
    seed: int
    fit: dict[str, Any]  # arguments of distill.run

    def grid(self) -> tuple[int, int]:
        """Grid of the activation maps."""
        return self.cams.cams(self.ids[0]).scores.shape[1:]

    def rules(self, classes: np.ndarray) -> list[int]:
        """Number of the rule that serves each of an image's classes."""
        return [0 if self.joint else int(one) for one in classes]

    def present(self, classes: np.ndarray) -> np.ndarray:
        """Which rules serve an image with these classes, (K,) bool."""
        flags = np.zeros(self.classes, bool)
        flags[self.rules(classes)] = True
        return flags

    def with_rules(self, labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
        """Labels that count an image's maps -> labels that count the rules."""
        return linear_rule.with_class_ids(labels, self.rules(classes))


def seeds(task: Task, entry: activations.CamEntry, grid: tuple[int, int]) -> np.ndarray:
    """Labels (h,w) of an image's cells from its activation maps; numbers of rules."""
    norm = entry.norm if entry.norm.size else np.ones((1, 1), np.float32)
    maps = grids.resize(entry.scores, grid), grids.resize(norm[None], grid)[0]
    labels = linear_rule.seed_labels(linear_rule.seed_maps(*maps, task.seeds), task.seed_band, 0.0)
    return task.with_rules(labels, entry.classes)


def sampled(task: Task, features: np.ndarray) -> Cells:
    """Random cells of the training images, the same number of each, from features (N,C,h,w) on disk."""
    generator, parts = np.random.default_rng(task.seed), []
    grid = features.shape[2:]
    count = max(1, min(task.cells, grid[0] * grid[1], task.most_cells // max(len(task.trained), 1)))
    for place in track(task.trained, "cells"):
        entry = task.cams.cams(task.ids[place])
        chosen = generator.choice(grid[0] * grid[1], count, replace=False)
        labels = seeds(task, entry, grid)
        parts.append(linear_rule.image_cells(features[place], labels, task.present(entry.classes), chosen))
    return linear_rule.joined(parts)


def image_logits(task: Task, rule: Rule, features: np.ndarray, entry: activations.CamEntry) -> np.ndarray:
    """Logits (K,h,w) of an image's classes, above 0 where the class is; `pseudomasks.UNIT` times z.

    With one rule for all classes, each cell belongs to the class with the highest activation map; the others get
    minus the absolute logit.
    """
    logits = pseudomasks.UNIT * rule.maps(features)[task.rules(entry.classes)]
    if not task.joint or len(logits) < 2:
        return logits
    winner = grids.resize(grids.minmax(entry.scores), logits.shape[1:]).argmax(0)
    return np.where(np.arange(len(logits))[:, None, None] == winner, logits, -np.abs(logits))


def share_labels(mask: np.ndarray, grid: tuple[int, int], count: int) -> np.ndarray:
    """Labels (h,w) of cells from a mask (H,W) of `count` maps: j + 1 where over 70 % of the cell is map j, 0 where less
    than 30 % is foreground, else -1."""
    shares = grids.resize(np.stack([mask == j + 1 for j in range(count)]).astype(np.float32), grid)
    labels = np.where(shares.max(0) > INSIDE, shares.argmax(0) + 1, linear_rule.IGNORED)
    return np.where(shares.sum(0) < OUTSIDE, 0, labels)


@dataclass(frozen=True)
class Relabeler:
    """Labels for the next round from masks refined in image space, on some of the training images."""

    task: Task
    features: np.ndarray
    places: list[int]
    refine: Refine
    options: dict[str, Any]

    def cells(self, place: int, rule: Rule) -> Cells | None:
        """All cells of one image, labeled by its refined mask; None for an image without class."""
        entry = self.task.cams.cams(self.task.ids[place])
        features = self.features[place].astype(np.float32)
        if len(entry.classes) == 0:
            return None
        logits = image_logits(self.task, rule, features, entry)
        name = self.task.ids[place]
        image, segments = self.task.images.image(name), self.task.segments.segments(name)
        mask = self.refine(logits, image, segments, entry.features, threshold=0.0, decide_all=False, **self.options)
        labels = share_labels(mask, features.shape[1:], len(logits))
        chosen = np.arange(labels.size)
        labels = self.task.with_rules(labels, entry.classes)
        return linear_rule.image_cells(features, labels, self.task.present(entry.classes), chosen)

    def __call__(self, rule: Rule) -> Cells:
        """Cells for the fit that follows `rule`; UserError where no image has a class."""
        work = workers.threaded(partial(self.cells, rule=rule), self.places)
        found = [part for part in track(work, "refined labels", len(self.places)) if part is not None]
        if not found:
            raise UserError("no image of distill_cams.refine_images has a class: raise it, or set refined_rounds to 0")
        return linear_rule.joined(found)


def foregrounds(task: Task, rule: Rule, features: np.ndarray, places: Sequence[int]) -> np.ndarray:
    """Where any class of the image has a logit above 0, (n,h,w) bool."""
    found = []
    for place in places:
        logits = image_logits(task, rule, features[place].astype(np.float32), task.cams.cams(task.ids[place]))
        found.append((logits > 0).any(0))
    return np.stack(found)


def fitted(task: Task, features: np.ndarray, **refinement: Any) -> list[Round]:
    """The rounds on one level; UserError where not even the first is usable."""
    rounds = linear_rule.run(sampled(task, features), **task.fit, **refinement)
    if not rounds:
        raise UserError(
            "distill_cams: the first rule calls nearly all or nearly no cell foreground: choose another "
            "distill_cams.seeds, another level, or widen distill_cams.smallest and largest"
        )
    return rounds


def level_agreement(task: Task, levels: dict[int, np.ndarray], places: Sequence[int]) -> dict[int, float]:
    """Mean agreement of each level's masks with those of the other levels, on some training images, after plain rounds.

    A level whose rounds diverge has agreement -1.
    """
    masks = {}
    for level, features in levels.items():
        rounds = linear_rule.run(sampled(task, features), **task.fit)
        if rounds:
            masks[level] = foregrounds(task, rounds[-1].rule, features, places)
    found = linear_rule.mutual_agreement(list(masks.values()))
    return dict.fromkeys(levels, -1.0) | dict(zip(masks, found, strict=True))


def write(task: Task, rule: Rule, features: np.ndarray, out: Path) -> dict[str, float]:
    """Write every image's logits in the form of activation maps; share of foreground, images without any."""
    shares = []
    with activations.cams_writer(out) as writer:
        for place, name in enumerate(track(task.ids, "logits")):
            entry = task.cams.cams(name)
            logits = image_logits(task, rule, features[place].astype(np.float32), entry)
            shares.append(float((logits > 0).any(0).mean()) if len(logits) else 0.0)
            writer.add(name, replace(entry, scores=logits))
    bare = sum(share == 0 for share in shares)
    return {"foreground_share": float(np.mean(shares)), "images_without_foreground": bare}


def chosen_level(task: Task, stacks: feature_grids.Grids, places: Sequence[int]) -> tuple[int, dict[str, float]]:
    """The level whose masks agree best with those of the others, and every level's agreement; the only one, if one."""
    levels = list(stacks.paths)
    if len(levels) == 1:
        return levels[0], {}
    found = level_agreement(task, {level: stacks.load(level) for level in levels}, places)
    best = max(levels, key=lambda level: (found[level], level))
    return best, {f"agreement_level{level}": found[level] for level in levels}


def distilled(
    task: Task,
    stacks: feature_grids.Grids,
    refinement: tuple[Refine, dict[str, Any]],
    *,
    refined_rounds: int,
    refine_images: int,
    hold: bool,
    out: Path,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Choose the level, run the rounds, the last ones with `refinement` on `refine_images` images, write the logits.

    Gives metrics, and one row a round.
    """
    places = evenly(task.trained, refine_images)
    level, agreement = chosen_level(task, stacks, places)
    features = stacks.load(level)
    relabel = Relabeler(task, features, places, *refinement)
    rounds = fitted(task, features, refined_rounds=refined_rounds, hold=hold, relabel=relabel)
    rows = [{"round": n + 1, "change": one.change, "foreground": one.foreground} for n, one in enumerate(rounds)]
    metrics = {"level": level, "rounds": len(rounds), "change": rounds[-1].change, **agreement}
    return metrics | write(task, rounds[-1].rule, features, out), rows
