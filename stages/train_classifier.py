"""Train a classifier on image-level labels and predict every image with it.

reads   images, labels, a weight file
writes  the classifier, where asked also as it was every few epochs, a table of predictions
scores  epochs, weights of the network, last loss; of a weight file's head whether and how many of its classes are kept
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from weakseg.harness.params import NetworkParams
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.training.recipes.classifier import Recipe


class Params(NetworkParams, Recipe):
    part: ClassVar[str] = "train"


def main(
    params: Params, *, images: Path, labels: Path, weights: Path, out: Path, checkpoints: Path, predictions: Path,
) -> Outcome:  # fmt: skip
    import torch

    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import class_names, load_labels
    from weakseg.harness import digests, files, resume
    from weakseg.networks.loading import saved_classifier
    from weakseg.networks.weight_files.start import start
    from weakseg.training.classification.classifier import train
    from weakseg.training.classification.kept_epochs import keeper
    from weakseg.training.image_labels import Dataset
    from weakseg.training.predictions import predict_table, read

    frame, network = load_labels(labels), params.network
    dataset = Dataset(zips.Images(images), frame, class_names(frame))
    torch.manual_seed(params.seed)
    started = start(network, weights, dataset.names)
    classifier, params = started.classifier, params.model_copy(update=started.facts)
    facts = network.backbone.name, network.variant, dataset.names, params.image_size, params.target
    header = saved_classifier.describe(*facts)
    settings, here = [params.what_resumes(), digests.machine()], [params.model_dump(), digests.machine()]
    with resume.folder(__file__, settings, [images, labels, weights], keep=params.goes_on) as folder:
        keep = keeper(classifier, header, params.keep_every, folder / "kept")
        history = train(classifier, dataset, params, folder, keep)
        files.replace_folder(folder / "kept", checkpoints)
        saved_classifier.save(out, classifier, header)
        with resume.folder(__file__, here, [out], keep=True) as known:
            reader = read(dataset, frame.index.tolist(), params)
            predict_table(classifier, dataset, reader, predictions, known / "items")
    parameters = sum(weight.numel() for weight in classifier.parameters())
    last = {"train_loss": history[-1]["loss"]} if history else {}
    scores = {"epochs": len(history), "parameters": parameters, **last, **started.scores}
    return Outcome(scores=scores, curves=history or [{"epoch": 0, "loss": None}])


if __name__ == "__main__":
    run(main, shared=Shared(["out", "checkpoints", "predictions"]))
