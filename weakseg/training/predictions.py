"""Predictions of a classifier for every image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from weakseg.artifacts import zips
from weakseg.artifacts.zips import Images
from weakseg.data import samples
from weakseg.harness import device, files
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier
from weakseg.training.image_labels import Recipe, probabilities


@torch.inference_mode()
def predict(
    classifier: Classifier, images: Images, ids: Sequence[str], size: int, batch_size: int, precision: str, target: str
) -> Iterator[tuple[list[str], Tensor]]:
    """(image ids, probabilities (B,K)) in listing order."""
    place = device.pick()
    classifier.to(place, memory_format=torch.channels_last).eval()
    dataset = samples.ImageSamples(images, ids, size, (classifier.mean, classifier.std))
    for pixels, names in track(samples.batches(dataset, batch_size), "predictions", -(-len(dataset) // batch_size)):
        with device.autocast(precision):
            logits = classifier(pixels.to(place, memory_format=torch.channels_last))
        yield names, probabilities(logits.float(), target).cpu()


def prediction_rows(
    names: list[str], probability: Tensor, frame: pd.DataFrame, classes: list[str], target: str
) -> list[dict[str, object]]:
    """One row an image: image_id, split, predicted (joined by |), probability of the top class, and `p_<class>`."""
    rows = []
    for image_id, scores in zip(names, probability.numpy().round(6).tolist(), strict=True):
        top = int(np.argmax(scores))
        chosen = [k for k, score in enumerate(scores) if score > 0.5] if target == "multi" else []
        predicted = "|".join(classes[k] for k in (chosen or [top]))
        row: dict[str, object] = {"image_id": image_id, "split": frame.at[image_id, "split"]}
        row |= {"predicted": predicted, "probability": scores[top]}
        rows.append(row | {f"p_{name}": score for name, score in zip(classes, scores, strict=True)})
    return rows


def predict_table(
    classifier: Classifier, images: zips.Images, frame: pd.DataFrame, names: list[str], recipe: Recipe, path: Path
) -> None:
    """Predict every image and write the table row by row."""
    ids = frame.index.tolist()
    found = predict(classifier, images, ids, recipe.image_size, recipe.batch_size, recipe.precision, recipe.target)
    with files.replacing(path) as temporary:
        for position, (batch, probability) in enumerate(found):
            rows = prediction_rows(batch, probability, frame, names, recipe.target)
            pd.DataFrame(rows).to_csv(
                temporary, mode="a" if position else "w", header=position == 0, index=False, lineterminator="\n"
            )
