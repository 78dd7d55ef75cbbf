"""Distillation over archives: read features, choose the level, run the rounds, write every image's logits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from weakseg.artifacts import activations
from weakseg.artifacts.sampling import evenly
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness import digests, kept, processes
from weakseg.harness.kept import Kept, Record
from weakseg.harness.progress import track
from weakseg.masks.contracts import Refine
from weakseg.masks.distillation.feature_grids import Grids, compute_means, read_means, to_records
from weakseg.masks.distillation.level_choice import choose_level
from weakseg.masks.distillation.linear_rule import Rule
from weakseg.masks.distillation.refined_labels import Relabeler
from weakseg.masks.distillation.rounds import Round, run_rounds
from weakseg.masks.distillation.sampling import sample_cells
from weakseg.masks.distillation.task import Task, image_logits
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen import once

if TYPE_CHECKING:
    from pathlib import Path


def read_features(task: Task, classifier: Classifier, wanted: Iterable[int], folder: Path) -> Grids:
    """Features of all images at the wanted levels, in `folder`: what a frozen network left, else computed now.

    What is computed is kept there image by image, and taken as it is by another run. Several levels are stored on the
    grid of the activation maps, so that their masks can be compared.
    """
    stacks, recipe, archive = Grids(folder, wanted), task.recipe, task.sources.images
    reader = samples.Reader(archive, task.ids, recipe.image_size, recipe.batch_size, recipe.precision)
    images = samples.ImageSamples(archive, task.ids, recipe.image_size, (classifier.mean, classifier.std))
    grid = task.grid() if len(stacks.paths) > 1 else None
    stored = once.find(classifier, reader, stacks.paths)
    if stored is not None:
        stacks.write(to_records(read_means(stored, reader, stacks.paths), stacks.paths, grid), len(task.ids))
        return stacks
    keys = [digests.of_parts(archive.read(name)) for name in task.ids]

    def compute(places: list[int]) -> Iterator[Record]:
        return to_records(compute_means(classifier, images.only(places), recipe, stacks.paths), stacks.paths, grid)

    with Kept(folder / "items") as items:
        stacks.write(kept.complete(items, keys, compute, recipe.batch_size), len(keys))
    return stacks


def fit_rounds(task: Task, features: np.ndarray, relabeler: Relabeler) -> list[Round]:
    """The rounds on one level; UserError where not even the first is usable."""
    rounds = run_rounds(sample_cells(task, features), task.recipe, relabeler)
    if not rounds:
        raise UserError(
            "first_labels: the first rule calls nearly all or nearly no cell foreground: choose others, another level, "
            "or widen least_foreground and most_foreground"
        )
    return rounds


def write_logits(task: Task, rule: Rule, features: np.ndarray, out: Path) -> dict[str, float]:
    """Write every image's logits in the form of activation maps; share of foreground, images without any."""
    shares = []
    with activations.CamsWriter(out) as writer:
        for place, name in enumerate(track(task.ids, "logits")):
            entry = task.entry(place)
            logits = image_logits(task, rule, features[place].astype(np.float32), entry)
            shares.append(float((logits > 0).any(0).mean()) if len(logits) else 0.0)
            writer.add(name, replace(entry, scores=logits))
    bare = sum(share == 0 for share in shares)
    return {"foreground_share": float(np.mean(shares)), "images_without_foreground": bare}


def distill(task: Task, stacks: Grids, refine: Refine, out: Path) -> tuple[dict[str, float], list[dict[str, float]]]:
    """Choose the level, run the rounds, the last ones with `refine` on some images, write the logits into `out`.

    Gives metrics, and one row a round. Of processes that work together the first does this alone.
    """
    processes.finish()
    places = evenly(task.trained, task.recipe.refine_images)
    level, agreement = choose_level(task, stacks, places)
    features = stacks.load(level)  # (N,C,h,w)
    rounds = fit_rounds(task, features, Relabeler(task, features, places, refine))
    rows = [{"round": n + 1, "change": one.change, "foreground": one.foreground} for n, one in enumerate(rounds)]
    metrics = {"level": level, "rounds": len(rounds), "change": rounds[-1].change, **agreement}
    return metrics | write_logits(task, rounds[-1].rule, features, out), rows
