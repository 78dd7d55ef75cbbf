"""The rounds of a segmenter: the first on given masks, the others on its own refined predictions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels
from weakseg.artifacts.formats.masks import Masks
from weakseg.artifacts.sampling import evenly
from weakseg.data.samples import Reader
from weakseg.harness import device, digests, files, kept, processes
from weakseg.harness.kept import Kept, Record
from weakseg.networks.classifier import Classifier
from weakseg.networks.segmentation import predict, saved_segmenter
from weakseg.networks.segmentation.segmenter import Segmenter
from weakseg.training.fitting.run_state import Row
from weakseg.training.self_training import census, relabeling, stop_rule
from weakseg.training.self_training import segmenter as training_segmenter
from weakseg.training.self_training.census import Census, Targets
from weakseg.training.self_training.rounds_plan import Plan, Sources

PROBED = 200  # images on which two rounds are compared
OBJECT = "object"  # name of the one foreground of binary masks


class Rounds:
    """Builds, trains and predicts; files of finished rounds in `folder` are taken as they are."""

    def __init__(self, plan: Plan, sources: Sources, folder: Path) -> None:
        self.plan, self.recipe, self.sources, self.folder = plan, plan.recipe, sources, folder
        self.binary = plan.recipe.mask_ids == "binary"
        names = [OBJECT] if self.binary else labels.class_names(sources.frame)
        encoder, found = saved_segmenter.load_encoder(sources.classifier, self.recipe.encoder_variant)
        self.header = saved_segmenter.Header(
            plan.segmenter.name, self.recipe.variant, found.backbone, found.variant, names, self.recipe.image_size,
            self.recipe.test_size, self.recipe.test_scales, self.recipe.test_mirror, found.code,
        )  # fmt: skip
        self.build(0, encoder)  # fails before training if the segmenter cannot be built

    def build(self, number: int, encoder: Classifier | None = None) -> Segmenter:
        """An untrained segmenter on the classifier; the decoder's weights come from seed and round."""
        encoder = encoder or saved_segmenter.load_encoder(self.sources.classifier, self.recipe.encoder_variant)[0]
        torch.manual_seed(self.recipe.seed + number)
        segmenter = self.plan.segmenter(
            self.recipe.variant, self.header.outputs, self.recipe.weights, classifier=encoder
        )
        segmenter.freeze(self.recipe.frozen_groups, fixed_norm=self.recipe.fixed_norm)
        return segmenter

    def begin(self, number: int) -> Segmenter:
        """What round `number` trains: the network of the round before, or an untrained one."""
        if not self.recipe.goes_on(number):
            return self.build(number)
        return saved_segmenter.load(self.path(number - 1))[0]

    def path(self, number: int) -> Path:
        """File of a round."""
        return saved_segmenter.round_path(self.folder, number)

    def rows_path(self, number: int) -> Path:
        """File of a round's rows."""
        return self.folder / f"rows{number}.json"

    def take_census(self, masks: Masks, ids: Sequence[str]) -> Census:
        """What the masks of some images hold."""
        return census.take(Targets(masks, self.recipe.mask_ids), ids)

    def fit(self, number: int, masks: Masks, seen: Census) -> list[Row]:
        """Train round `number` on masks unless its file is there; its rows."""
        # The file of the round is written last: where it stands, the rows stand beside it.
        if self.path(number).exists():
            return files.load_json(self.rows_path(number))
        segmenter = self.begin(number)
        targets = Targets(masks, self.recipe.mask_ids)
        data = training_segmenter.Dataset(self.sources.images, targets, seen, self.header.outputs)
        recipe = self.recipe.of_round(number)
        history = training_segmenter.train(segmenter, data, recipe, self.folder / f"checkpoint{number}.pt")
        rows = [{"round": number, **row} for row in history]
        # Not `save_json`, which sorts: a run that goes on writes its columns in the order of one that never stopped.
        files.save_bytes(self.rows_path(number), json.dumps(rows).encode())
        saved_segmenter.save(self.path(number), segmenter, self.header)
        return rows

    def predict(self, number: int, ids: Sequence[str]) -> Iterator[tuple[str, np.ndarray]]:
        """(image id, probabilities (C,S,S)) of a finished round."""
        segmenter, header = saved_segmenter.load(self.path(number))
        batch_size, precision = self.recipe.batch_size, self.recipe.precision
        reader = Reader(self.sources.images, ids, header.test_size, batch_size, precision)
        return predict.stream(segmenter.to(device.pick()), reader, header.copies, f"round {number}")

    def score(self, number: int, ids: Sequence[str], path: Path) -> None:
        """Write the scores of round `number` for some images; a killed run goes on where it stopped."""
        background = self.plan.background
        present = relabeling.present_classes(self.sources.frame, self.header.classes, self.binary, background)

        def compute(places: list[int]) -> Iterator[Record]:
            for name, probability in self.predict(number, [ids[place] for place in places]):
                entry = relabeling.score_present(probability, present[name], self.recipe.soft_outputs)
                yield Record({}, (activations.encode(name, entry),))

        keys = [digests.of_parts(name.encode()) for name in ids]
        with Kept(path.with_suffix(".items")) as items, activations.CamsWriter(path) as writer:
            for name, record in zip(ids, kept.complete(items, keys, compute, self.recipe.batch_size), strict=True):
                writer.add_bytes(f"{name}.npz", record.parts[0])

    def relabel(self, number: int, ids: Sequence[str]) -> Masks:
        """The masks that round `number` is trained on: the refined predictions of the round before."""
        path, scores = (self.folder / f"{kind}{number}" for kind in ("masks", "scores"))
        if not path.exists():
            if not scores.exists():
                self.score(number - 1, ids, scores)
            refinement = relabeling.Refinement(
                self.plan.refine, self.sources.images, self.sources.segments,
                activations.Cams(scores), self.recipe.disputed_ignored,
            )  # fmt: skip
            relabeling.write_masks(path, ids, refinement, path.with_suffix(".items"))
        return Masks(path)

    def follow(self, number: int, ids: Sequence[str]) -> list[Row]:
        """Train round `number` on the refined predictions of the one before, unless its file is there; its rows."""
        if self.path(number).exists():
            return files.load_json(self.rows_path(number))
        masks = self.relabel(number, ids)
        return self.fit(number, masks, self.take_census(masks, ids))

    def compare(self, number: int, ids: Sequence[str]) -> float:
        """Foreground IoU of round `number` and the one before, on some of the images; no mask is looked at."""
        path, probed = self.folder / f"agreement{number}.json", evenly(ids, PROBED)
        if not path.exists():
            alike = stop_rule.agreement(self.predict(number - 1, probed), self.predict(number, probed))
            files.save_json(path, processes.broadcast(alike))
        return files.load_json(path)

    def forget(self) -> None:
        """Remove what only unfinished rounds need: a further round needs networks, rows and agreements."""
        for path in self.folder.iterdir():
            if path.is_dir() or path.suffix in (".items", ".pt"):
                files.remove(path)


def train(plan: Plan, sources: Sources, folder: Path) -> tuple[Row, list[Row]]:
    """Train all rounds into `folder`; metrics, of which `rounds` is the number of the last good one, and curves."""
    last, rounds = plan.last_round(), Rounds(plan, sources, folder)
    seen = rounds.take_census(sources.masks, sources.trained_ids())
    rows = rounds.fit(0, sources.masks, seen)
    metrics: Row = {**seen.counts, "rounds": 0}
    for number in range(1, last + 1):
        # Relabel and train first, judge after: the verdict is about two finished networks. Every round predicts the
        # images of the first census, so that a mask that was dropped once may come back.
        fitted = rounds.follow(number, seen.ids)
        alike = rounds.compare(number, seen.ids)
        metrics[f"agreement_round{number}"] = alike
        verdict = stop_rule.judge(alike, plan.recipe.converged, plan.recipe.departed)
        # Departed: this round and its rows are as if they had never been, and the one before is final.
        if verdict == "departed":
            break
        rows += fitted
        metrics["rounds"] = number
        if verdict == "converged":
            break
    metrics |= {"loss": rows[-1]["loss"], "pixel_agreement": rows[-1]["pixel_agreement"]}
    rounds.forget()
    return metrics, rows


def publish(folder: Path, last: int, out: Path) -> None:
    """Copy the files of the rounds up to the last good one to `out`, and remove files there that are none of them."""
    out.mkdir(parents=True, exist_ok=True)
    wanted = [saved_segmenter.round_path(folder, number) for number in range(last + 1)]
    for path in wanted:
        with files.replacing(out / path.name) as temporary:
            shutil.copyfile(path, temporary)
    for path in saved_segmenter.rounds(out):
        if path.name not in {file.name for file in wanted}:
            path.unlink()
