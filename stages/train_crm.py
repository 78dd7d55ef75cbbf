"""Fine-tune a classifier so that its activation maps keep the image's structure: reconstruction and superpixels.

reads   images, labels, superpixels, a classifier, VGG-19 weights and a reconstruction network where they are asked for
writes  the classifier, the reconstruction network, its predictions, five reconstructions; empty where not asked for
scores  test accuracy, L1, PSNR, SSIM, perceptual distance
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from weakseg.harness.choices import Choice
from weakseg.harness.params import NetworkParams, Of
from weakseg.harness.stage import Outcome, Shared, run
from weakseg.training import without_crm
from weakseg.training.recipes.crm import Recipe


class Params(NetworkParams, Recipe):
    weights_from: Literal["classifier", "crm"]
    method: Annotated[Choice, Of("methods", "maps")]  # whose maps are reconstructed from


def main(
    params: Params, *, images: Path, labels: Path, superpixels: Path, classifier: Path, perceptual: Path, start: Path,
    out: Path, reconstruct: Path, predictions: Path, picture: Path,
) -> Outcome:  # fmt: skip
    if params.weights_from != "crm":
        without_crm.write_nothing(out, reconstruct, predictions, picture)
        return Outcome()
    from weakseg.artifacts.formats import zips
    from weakseg.artifacts.formats.labels import load_labels
    from weakseg.evaluation import reconstruction
    from weakseg.harness import device, digests, resume
    from weakseg.networks.loading import saved_classifier
    from weakseg.networks.reconstruction import saved_reconstructor
    from weakseg.training import crm, crm_training
    from weakseg.training.predictions import predict_table

    device.seed_everything(params.seed, with_torch=True)
    network, header = saved_classifier.load(classifier)
    facts = crm_training.describe(network, header.classes, params.method, params)
    rebuilder = saved_reconstructor.start(start, facts, params.seed)
    networks = crm_training.build(network, rebuilder, params.method, params, perceptual)
    data = crm.Data(zips.Images(images), load_labels(labels), header.classes)
    inputs = [images, labels, superpixels, classifier, perceptual, start]
    with resume.folder(__file__, [params.what_resumes(), digests.machine()], inputs, keep=True) as folder:
        history = crm_training.train(networks, data, zips.Segments(superpixels), params, folder / "checkpoint.pt")
        scores = reconstruction.evaluate(networks, data, params)
        zips.save_png(picture, reconstruction.picture(networks, data, params))
        saved_classifier.save(out, network, header)
        saved_reconstructor.save(reconstruct, rebuilder, facts)
        reader = data.reader(data.frame.index.tolist(), params.model_copy(update={"image_size": header.image_size}))
        predict_table(network, data, reader, predictions, folder / f"predictions{params.epochs}")
    return Outcome(scores=scores, curves=history)


if __name__ == "__main__":
    run(main, torch=False, shared=Shared(["out", "reconstruct", "predictions", "picture"]))
