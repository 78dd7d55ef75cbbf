"""Train a classifier on image-level labels and predict every image with it.

reads   images, labels, a weight file
writes  the classifier, a table of predictions
scores  epochs, weights of the network, last loss
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from weakseg.harness.params import NetworkParams
from weakseg.harness.stage import Outcome, run
from weakseg.training.recipes.classifier import Recipe


class Params(NetworkParams, Recipe):
    part: ClassVar[str] = "train"


def main(params: Params, *, images: Path, labels: Path, weights: Path, out: Path, predictions: Path) -> Outcome:
    import torch

    from weakseg.artifacts import zips
    from weakseg.artifacts.labels import class_names, load_labels
    from weakseg.harness import resume
    from weakseg.networks import fetch_weights
    from weakseg.networks.loading import saved_classifier
    from weakseg.training.classifier import train
    from weakseg.training.image_labels import Dataset
    from weakseg.training.predictions import predict_table

    frame, network = load_labels(labels), params.network
    dataset = Dataset(zips.Images(images), frame, class_names(frame))
    torch.manual_seed(params.seed)
    classifier = network.backbone(network.variant, len(dataset.names), fetch_weights.read_source(weights))
    with resume.folder("train_classifier", params.model_dump(), [images, labels, weights]) as folder:
        history = train(classifier, dataset, params, folder)
    facts = network.backbone.name, network.variant, dataset.names, params.image_size, params.target
    saved_classifier.save(out, classifier, saved_classifier.describe(*facts))
    predict_table(classifier, dataset, params, predictions)
    parameters = sum(weight.numel() for weight in classifier.parameters())
    scores = {"epochs": len(history), "parameters": parameters, "train_loss": history[-1]["loss"]}
    return Outcome(scores=scores, curves=history)


if __name__ == "__main__":
    run(main)
