"""Train a classifier on image-level labels and predict every image with it.

reads   images, labels, a weight file
writes  the classifier, a table of predictions
scores  accuracy on the validation split, epochs, weights that were trained
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict

from weakseg.artifacts import tables, zips
from weakseg.harness import choices, resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks.loading import saved_classifier
from weakseg.training.classifier import train
from weakseg.training.image_labels import Recipe
from weakseg.training.predictions import predict_table


class Network(BaseModel):
    """Options of the backbone this stage was called for."""

    model_config = ConfigDict(extra="forbid", strict=True)
    variant: str
    weights: Literal["random", "pretrained", "file"]


class Params(StageParams):
    """Section train_classifier."""

    choices: ClassVar = {"backbone": ("backbones", "build")}
    seed: int
    image_size: int  # pixels, images are warped to a square
    target: Literal["single", "multi"]
    epochs: int
    patience: int  # epochs without a better validation accuracy
    batch_size: int
    optimizer: str
    schedule: str
    warmup: float  # share of the steps
    learning_rate: float  # of the blocks
    head_learning_rate: float
    weight_decay: float
    label_smoothing: float
    trainable_blocks: int  # last blocks that train; -1 all, 0 the head alone
    dice_weight: float  # of the Dice term against the maps' own threshold
    zoom_from: float  # smallest window, as a share of the image's side
    zoom_to: float  # largest window; above 1 shows a border
    flip: bool  # mirror half of the images
    gain: float  # each color channel is scaled by 1 +- gain
    brightness: float  # +-, of the range [0, 1]
    precision: Literal["fp32", "bf16"]


def main(
    params: Params, *, backbone: str, images: Path, labels: Path, weights: Path, out: Path, predictions: Path
) -> tuple[dict, list[dict]]:
    network = params.section(backbone, Network)
    frame = tables.load_labels(labels)
    classes = tables.class_names(frame)
    source = str(weights) if network.weights == "file" else network.weights
    torch.manual_seed(params.seed)
    classifier = choices.load("backbones", backbone).build(network.variant, len(classes), source)
    archive = zips.Images(images)
    recipe = Recipe(**params.model_dump())
    settings = [params.model_dump(), backbone, network.model_dump()]
    with resume.folder("train_classifier", settings, [images, labels, weights]) as folder:
        history = train(classifier, archive, frame, classes, recipe, folder)
    saved_classifier.save(
        out, classifier, saved_classifier.Header(backbone, network.variant, classes, params.image_size)
    )
    predict_table(classifier, archive, frame, classes, recipe, predictions)
    parameters = sum(weight.numel() for weight in classifier.parameters())
    return {"epochs": len(history), "parameters": parameters, "train_loss": history[-1]["loss"]}, history


if __name__ == "__main__":
    run(main)
