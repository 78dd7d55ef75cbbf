"""Fine-tune a classifier so that its activation maps keep the image's structure: reconstruction and superpixels.

reads   images, labels, superpixels, a classifier, VGG-19 weights where they are asked for
writes  the classifier, the reconstruction network, a picture of five reconstructions
scores  test accuracy, L1, PSNR, SSIM, perceptual distance
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import torch

from weakseg.artifacts import tables, zips
from weakseg.evaluation import reconstruction
from weakseg.harness import choices, resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.networks.fixed_features import fixed_features
from weakseg.networks.loading import saved, saved_classifier
from weakseg.networks.reconstructor import ReconstructNet
from weakseg.training import crm
from weakseg.training.crm import Data, Networks, Recipe


class Params(StageParams):
    """Section train_crm."""

    choices: ClassVar = {"method": ("methods", "maps"), "backbone": ("backbones", "build")}
    seed: int
    method: str  # CAM method whose maps are reconstructed from
    image_size: int  # pixels, images are warped to a square
    target: Literal["single", "multi"]
    epochs: int
    warmup_epochs: int  # before the alignment term joins
    batch_size: int
    flip: bool  # mirror half of the images
    trainable_blocks: int  # last blocks of the classifier that train; -1 all, 0 the head alone
    learning_rate: float  # of the classifier, Adam
    reconstruct_rate: float  # of the reconstruction network, Adam
    width: int  # channels of the reconstruction network at feature resolution
    l1_weight: float
    perceptual: Literal["none", "vgg19", "classifier"]  # fixed features of the perceptual term
    perceptual_weight: float
    alignment_weight: float  # of the superpixel term
    precision: Literal["fp32", "bf16"]


def main(
    params: Params,
    *,
    backbone: str,
    images: Path,
    labels: Path,
    superpixels: Path,
    classifier: Path,
    perceptual: Path,
    out: Path,
    reconstruct: Path,
    picture: Path,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    network, header = saved_classifier.load(classifier)
    features = fixed_features(params.perceptual, perceptual, params.perceptual_weight, network)
    torch.manual_seed(params.seed)
    rebuilder = ReconstructNet(len(header.classes), network.stride, params.width)
    method, options = choices.load("methods", params.method), params.choice("method")[1]
    networks = Networks(network, rebuilder, method, options, features)
    data = Data(zips.Images(images), zips.Segments(superpixels), tables.load_labels(labels), header.classes)
    recipe = Recipe(**params.model_dump(include=set(Recipe.__dataclass_fields__)))
    settings = [params.model_dump(), backbone, options]
    with resume.folder("train_crm", settings, [images, labels, superpixels, classifier, perceptual]) as folder:
        history = crm.train(networks, data, recipe, folder / "checkpoint.pt")
        metrics = reconstruction.evaluate(networks, data, recipe)
        shown = reconstruction.picture(networks, data, recipe)
        saved_classifier.save(out, network, header)
        facts = {"classes": len(header.classes), "stride": network.stride, "width": params.width}
        saved.save_network(reconstruct, rebuilder, facts)
        zips.save_png(picture, shown)
    return metrics, history


if __name__ == "__main__":
    run(main)
