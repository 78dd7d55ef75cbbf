"""Fine-tune a classifier so that its activation maps keep the image's structure: reconstruction and superpixels.

reads   images, labels, superpixels, a classifier, VGG-19 weights where they are asked for
writes  the classifier, the reconstruction network, five reconstructions; empty files where weights_from is not crm
scores  test accuracy, L1, PSNR, SSIM, perceptual distance
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from weakseg.harness.choices import Choice
from weakseg.harness.params import NetworkParams, Of
from weakseg.harness.stage import Outcome, run
from weakseg.networks import fetch_weights
from weakseg.training.recipes.crm import Recipe


class Params(NetworkParams, Recipe):
    weights_from: Literal["classifier", "crm"]
    method: Annotated[Choice, Of("methods", "maps")]  # whose maps are reconstructed from


def main(
    params: Params, *, images: Path, labels: Path, superpixels: Path, classifier: Path, perceptual: Path,
    out: Path, reconstruct: Path, picture: Path,
) -> Outcome:  # fmt: skip
    from weakseg.artifacts import zips
    from weakseg.artifacts.labels import load_labels

    if params.weights_from != "crm":
        fetch_weights.write_none(out, "none")
        fetch_weights.write_none(reconstruct, "none")
        zips.save_png(picture, zips.NOTHING)
        return Outcome()

    from weakseg.evaluation import reconstruction
    from weakseg.harness import device, resume
    from weakseg.networks.loading import saved, saved_classifier
    from weakseg.training import crm_training
    from weakseg.training.crm import Data

    device.seed_everything(params.seed, with_torch=True)
    network, header = saved_classifier.load(classifier)
    networks = crm_training.build(network, len(header.classes), params.method, params, perceptual)
    data = Data(zips.Images(images), zips.Segments(superpixels), load_labels(labels), header.classes)
    inputs = [images, labels, superpixels, classifier, perceptual]
    with resume.folder("train_crm", params.model_dump(), inputs) as folder:
        history = crm_training.train(networks, data, params, folder / "checkpoint.pt")
        scores = reconstruction.evaluate(networks, data, params)
        zips.save_png(picture, reconstruction.picture(networks, data, params))
        saved_classifier.save(out, network, header)
        facts = {"classes": len(header.classes), "stride": network.stride, "width": params.width}
        saved.save_network(reconstruct, networks.reconstruct, facts)
    return Outcome(scores=scores, curves=history)


if __name__ == "__main__":
    run(main, torch=False)
