"""The rounds of a segmenter: the first on given masks, the others on its own refined predictions."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from weakseg.artifacts import activations, tables, zips
from weakseg.artifacts.sampling import evenly
from weakseg.errors import UserError
from weakseg.harness import choices, files
from weakseg.networks import predict, saved_segmenter
from weakseg.networks.segmenter import Segmenter
from weakseg.training import relabeling
from weakseg.training import segmenter as training_segmenter
from weakseg.training.segmenter import BINARY, Census, Recipe

PROBED = 200  # images on which two rounds are compared
OBJECT = "object"  # name of the one foreground of a binary target
SUPERVISION = ("weak", "full")

Row = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """What to build, how to predict, when to stop, as in params.yaml; supervision `full`: true masks, no rounds."""

    segmenter: str
    variant: str
    weights: str
    encoder_variant: str
    target: str
    test_size: int
    test_scales: list[float]
    test_flip: bool
    rounds: int
    disputed_ignored: bool
    converged: float
    departed: float
    refine: Callable[..., np.ndarray]
    options: dict[str, Any]
    supervision: str


@dataclass(frozen=True)
class Archives:
    """What every round reads."""

    images: zips.Images
    segments: zips.Segments
    frame: pd.DataFrame

    def trained_ids(self) -> list[str]:
        """Images outside of the test split."""
        return [str(name) for name in self.frame.index[self.frame["split"] != "test"]]


class Rounds:
    """Builds, trains and predicts; files of finished rounds in `folder` are taken as they are."""

    def __init__(self, recipe: Recipe, settings: Settings, archives: Archives, classifier: Path, folder: Path) -> None:
        self.recipe, self.settings, self.archives = recipe, settings, archives
        self.classifier, self.folder = classifier, folder
        names = [OBJECT] if settings.target == BINARY else tables.class_names(archives.frame)
        encoder, found = saved_segmenter.encoder(classifier, settings.encoder_variant)
        self.header = saved_segmenter.Header(
            settings.segmenter, settings.variant, found.backbone, found.variant, names, recipe.size,
            settings.test_size, settings.test_scales, settings.test_flip,
        )  # fmt: skip
        self.build(0, encoder)

    def build(self, number: int, encoder: Any = None) -> Segmenter:
        """An untrained segmenter on the classifier; the decoder's weights come from seed and round."""
        encoder = encoder or saved_segmenter.encoder(self.classifier, self.settings.encoder_variant)[0]
        torch.manual_seed(self.recipe.seed + number)
        build = choices.load("segmenters", self.settings.segmenter).build
        classes = len(self.header.classes) + 1
        segmenter = build(self.settings.variant, classes, self.settings.weights, classifier=encoder)
        segmenter.freeze(self.recipe.frozen_groups, fixed_norm=self.recipe.fixed_norm)
        return segmenter

    def path(self, number: int) -> Path:
        """File of a round."""
        return saved_segmenter.round_path(self.folder, number)

    def fit(self, number: int, masks: zips.Masks, seen: Census) -> list[Row]:
        """Train round `number` on masks unless its file is there; its rows."""
        rows_path = self.folder / f"rows{number}.json"
        if self.path(number).exists():
            return files.load_json(rows_path)
        segmenter, recipe = self.build(number), replace(self.recipe, seed=self.recipe.seed + number)
        maps = training_segmenter.Targets(masks, self.settings.target)
        checkpoint = self.folder / f"checkpoint{number}.pt"
        classes = len(self.header.classes) + 1
        history = training_segmenter.train(segmenter, self.archives.images, maps, seen, classes, recipe, checkpoint)
        rows = [{"round": number, **row} for row in history]
        files.save_json(rows_path, rows)
        saved_segmenter.save(self.path(number), segmenter, self.header)
        return rows

    def predictions(self, number: int, ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """(image id, probabilities (C,S,S)) of a finished round."""
        segmenter, header = saved_segmenter.load(self.path(number))
        return predict.stream(
            segmenter,
            self.archives.images,
            ids,
            size=header.test_size,
            scales=header.test_scales,
            flip=header.test_flip,
            batch_size=self.recipe.batch_size,
            precision=self.recipe.precision,
            description=f"round {number}",
        )

    def relabel(self, number: int, ids: Sequence[str]) -> zips.Masks:
        """The masks that round `number` is trained on: the refined predictions of the round before."""
        path, scores = (self.folder / f"{kind}{number}.zip" for kind in ("masks", "scores"))
        settings, archives = self.settings, self.archives
        if not path.exists():
            present = relabeling.present_classes(archives.frame, self.header.classes, settings.target == BINARY)
            relabeling.write_scores(scores, self.predictions(number - 1, ids), present)
            refinement = relabeling.Refinement(
                settings.refine, settings.options, archives.images, archives.segments,
                activations.Cams(scores), settings.disputed_ignored,
            )  # fmt: skip
            relabeling.write_masks(path, ids, refinement)
        return zips.Masks(path)


def census(masks: zips.Masks, ids: Sequence[str], target: str) -> Census:
    """The usable masks; UserError when there is none."""
    seen = training_segmenter.census(masks, ids, target)
    if not seen.ids:
        raise UserError(
            f"{masks.path} has no mask with both object and background outside of the test split: {seen.counts}"
        )
    return seen


def train(
    recipe: Recipe, settings: Settings, archives: Archives, masks: zips.Masks, classifier: Path, folder: Path
) -> tuple[dict[str, float], list[Row]]:
    """Train all rounds into `folder`; metrics and curves. A round that departs from the one before is deleted."""
    if settings.supervision not in SUPERVISION:
        raise UserError(f"--supervision is '{settings.supervision}': choose one of {', '.join(SUPERVISION)}")
    ids, rounds = archives.trained_ids(), Rounds(recipe, settings, archives, classifier, folder)
    seen = census(masks, ids, settings.target)
    rows = rounds.fit(0, masks, seen)
    metrics: dict[str, float] = {**seen.counts, "rounds": 0}
    for number in range(1, settings.rounds + 1 if settings.supervision == "weak" else 1):
        relabeled = rounds.relabel(number, seen.ids)
        fitted = rounds.fit(number, relabeled, census(relabeled, seen.ids, settings.target))
        probed = evenly(seen.ids, PROBED)
        alike = relabeling.agreement(rounds.predictions(number - 1, probed), rounds.predictions(number, probed))
        metrics[f"agreement_round{number}"] = alike
        verdict = relabeling.verdict(alike, settings.converged, settings.departed)
        if verdict == "departed":
            rounds.path(number).unlink()
            break
        rows += fitted
        metrics["rounds"] = number
        if verdict == "converged":
            break
    metrics |= {"loss": rows[-1]["loss"], "pixel_agreement": rows[-1]["pixel_agreement"]}
    return metrics, rows


def publish(folder: Path, out: Path) -> None:
    """Copy the rounds' files to `out`, and remove files of earlier runs that are none of them."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = saved_segmenter.rounds(folder)
    for path in wanted:
        with files.replacing(out / path.name) as temporary:
            shutil.copyfile(path, temporary)
    for path in saved_segmenter.rounds(out):
        if path.name not in {file.name for file in wanted}:
            path.unlink()
