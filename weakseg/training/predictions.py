"""Predictions of a classifier for every image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts.formats.labels import Target
from weakseg.data.samples import Reader
from weakseg.harness import device as hardware
from weakseg.harness import digests, files, kept, memory, processes
from weakseg.harness.kept import Kept, Record
from weakseg.networks.classifier import Classifier
from weakseg.networks.frozen import once
from weakseg.networks.frozen.once import Stored
from weakseg.training.image_labels import Dataset
from weakseg.training.recipes.classifier import Recipe


def read(dataset: Dataset, ids: list[str], recipe: Recipe) -> Reader:
    """Images as the classifier is shown them outside of training: all of each, warped, or its center."""
    crop = recipe.center_crop
    return Reader(dataset.images, ids, recipe.image_size, recipe.batch_size, recipe.precision, crop)


@torch.inference_mode()
def predict(classifier: Classifier, reader: Reader) -> Iterator[tuple[list[str], Tensor]]:
    """(image ids, probabilities (B,K)) in listing order; from stored features where a frozen network left them."""
    device = hardware.pick()
    classifier.to(device).to(memory_format=torch.channels_last).eval()
    stored = once.find(classifier, reader)
    if stored is not None:
        yield from predict_stored(stored, reader)
        return
    for pixels, names in reader.batches("predictions", (classifier.mean, classifier.std)):

        def compute(rows: slice, pixels: Tensor = pixels) -> Tensor:
            with hardware.autocast(reader.precision):
                logits = classifier(pixels[rows].to(device, memory_format=torch.channels_last))
            return classifier.probabilities(logits.float()).cpu()

        yield names, torch.cat(memory.in_parts(compute, len(names)))


def predict_shared(classifier: Classifier, reader: Reader) -> Tensor:
    """Probabilities (N,K) of all images; of processes that work together each predicts its share of the batches."""
    mine, size = processes.share(-(-len(reader.ids) // reader.batch_size)), reader.batch_size
    own = replace(reader, ids=reader.ids[mine.start * size : mine.stop * size])
    parts = processes.gather([scores for _, scores in predict(classifier, own)])
    return torch.cat([scores for part in parts for scores in part])


def predict_stored(stored: Stored, reader: Reader) -> Iterator[tuple[list[str], Tensor]]:
    """The same from what the head's linear layer saw of each image."""
    for start in range(0, len(reader.ids), reader.batch_size):
        names = list(reader.ids[start : start + reader.batch_size])
        with hardware.autocast(reader.precision):
            logits = stored.head.linear(stored.pooled(names))
        yield names, stored.classifier.probabilities(logits.float()).cpu()


def tabulate(names: list[str], probability: Tensor, dataset: Dataset, target: Target) -> list[dict[str, object]]:
    """One row an image: image_id, split, predicted (joined by |), probability of the top class, and `p_<class>`.

    Predicted is the top class; where an image may have several labels, every class above .5, if any.
    """
    rows = []
    for image_id, scores in zip(names, probability.numpy().round(6).tolist(), strict=True):
        top = int(np.argmax(scores))
        chosen = [k for k, score in enumerate(scores) if score > 0.5] if target == "multi" else []
        predicted = "|".join(dataset.names[k] for k in (chosen or [top]))
        row: dict[str, object] = {"image_id": image_id, "split": dataset.frame.at[image_id, "split"]}
        row |= {"predicted": predicted, "probability": scores[top]}
        rows.append(row | {f"p_{name}": score for name, score in zip(dataset.names, scores, strict=True)})
    return rows


def find_probabilities(classifier: Classifier, reader: Reader, items: Kept) -> Iterator[np.ndarray]:
    """Probabilities (K,) of each image, in listing order; those of `items` are taken as they are."""
    keys = [digests.of_parts(reader.images.read(name)) for name in reader.ids]

    def compute(places: list[int]) -> Iterator[Record]:
        rest = replace(reader, ids=[reader.ids[place] for place in places])
        for _, probability in predict(classifier, rest):
            yield from (Record({}, (row.tobytes(),)) for row in probability.numpy())

    for record in kept.complete(items, keys, compute, reader.batch_size, last=True):
        yield np.frombuffer(record.parts[0], np.float32)


def predict_table(classifier: Classifier, dataset: Dataset, reader: Reader, path: Path, known: Path) -> None:
    """Predict every image of the reader, but those `known` holds, and write the table batch by batch.

    Of processes that work together all but the first end here.
    """
    with Kept(known) as items, files.replacing(path) as temporary:
        found = find_probabilities(classifier, reader, items)
        for start in range(0, len(reader.ids), reader.batch_size):
            names = list(reader.ids[start : start + reader.batch_size])
            probability = torch.from_numpy(np.stack([next(found) for _ in names]))  # (B,K)
            rows = pd.DataFrame(tabulate(names, probability, dataset, classifier.target))
            mode = "a" if start else "w"
            rows.to_csv(temporary, mode=mode, header=start == 0, index=False, lineterminator="\n")
