"""Predictions of a classifier for every image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts.formats.labels import Target
from weakseg.data.samples import Reader
from weakseg.harness import device as hardware
from weakseg.harness import files
from weakseg.networks.classifier import Classifier
from weakseg.training.image_labels import Dataset
from weakseg.training.recipes.classifier import Recipe


def read(dataset: Dataset, ids: list[str], recipe: Recipe) -> Reader:
    """Images as the classifier is shown them outside of training: all of each, warped, or its center."""
    crop = recipe.center_crop
    return Reader(dataset.images, ids, recipe.image_size, recipe.batch_size, recipe.precision, crop)


@torch.inference_mode()
def predict(classifier: Classifier, reader: Reader) -> Iterator[tuple[list[str], Tensor]]:
    """(image ids, probabilities (B,K)) in listing order."""
    device = hardware.pick()
    classifier.to(device).to(memory_format=torch.channels_last).eval()
    for pixels, names in reader.batches("predictions", (classifier.mean, classifier.std)):
        with hardware.autocast(reader.precision):
            logits = classifier(pixels.to(device, memory_format=torch.channels_last))
        yield names, classifier.probabilities(logits.float()).cpu()


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


def predict_table(classifier: Classifier, dataset: Dataset, reader: Reader, path: Path) -> None:
    """Predict every image of the reader and write the table row by row."""
    with files.replacing(path) as temporary:
        for number, (names, probability) in enumerate(predict(classifier, reader)):
            rows = pd.DataFrame(tabulate(names, probability, dataset, classifier.target))
            mode = "a" if number else "w"
            rows.to_csv(temporary, mode=mode, header=number == 0, index=False, lineterminator="\n")
