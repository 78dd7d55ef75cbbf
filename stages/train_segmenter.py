"""Train a segmenter on masks, pseudo or true; then, on pseudo-masks, predict, refine and train again.

reads   images, labels, masks, superpixels, a classifier
writes  a folder with the segmenter of each round; the last one is final
scores  images used and left out, agreement with the masks, agreement between rounds
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from weakseg.artifacts import tables, zips
from weakseg.harness import resume
from weakseg.harness.params import StageParams
from weakseg.harness.stage import run
from weakseg.training import segmenter_rounds
from weakseg.training.segmenter import Recipe
from weakseg.training.segmenter_rounds import Settings


class Params(StageParams):
    """Section train_segmenter, also of train_control."""

    choices: ClassVar[dict[str, tuple[str, str]]] = {
        "segmenter": ("segmenters", "build"),
        "refiner": ("refiners", "refine"),
    }
    supplied: ClassVar[tuple[str, ...]] = ("classifier", "threshold", "decide_all")

    seed: int
    segmenter: str  # file of weakseg/segmenters
    variant: str  # of the segmenter: topdown light, fine, wide; deeplabv3 resnet50; unet, deeplabv3plus a timm network
    weights: str  # of the encoder: random, pretrained or a file; topdown: random (it has the classifier's)
    encoder_variant: str  # topdown: variant of the backbone, such as another stride; "" for the classifier's own
    target: Literal["binary", "classes"]  # one foreground, or one mask id a class
    size: int  # pixels, side in training
    steps: int  # optimizer steps of each round
    batch_size: int
    zoom_from: float  # smallest window, as a share of the image's side
    zoom_to: float  # largest window; above 1 shows a border
    flip: bool  # mirror half of the images
    gain: float  # each color channel is scaled by 1 +- gain
    brightness: float  # +-, of the range [0, 1]
    optimizer: str
    schedule: str
    warmup: float  # share of the steps
    encoder_rate: float  # learning rate
    decoder_rate: float  # learning rate
    weight_decay: float
    clip: float  # largest norm of the gradient
    balance: float  # class weights are share^-balance: 0 none, 1 every class counts the same
    average: float  # decay of the running mean of the weights, 0 for none
    teacher_share: float  # of the averaged network in the targets from the second pass on; 0: hard targets
    frozen_groups: int  # first parts of the encoder that do not train
    fixed_norm: bool  # the encoder's BatchNorm keeps its statistics
    precision: Literal["fp32", "bf16"]
    test_size: int  # pixels, side in prediction
    test_scales: list[float]  # of test_size; probabilities are averaged
    test_flip: bool  # average with the mirror image
    rounds: int  # of self-training at most
    refiner: str  # of the predictions between rounds
    disputed_ignored: bool  # ignore pixels where refiner and network disagree
    converged: float  # foreground IoU of two rounds from which to stop
    departed: float  # foreground IoU of two rounds below which the later one is thrown away


def main(
    params: Params,
    *,
    supervision: str,
    images: Path,
    labels: Path,
    masks: Path,
    superpixels: Path,
    classifier: Path,
    out: Path,
) -> tuple[dict[str, float], list[dict[str, float]]]:
    inputs = [images, labels, masks, superpixels, classifier]
    archives = segmenter_rounds.Archives(zips.Images(images), zips.Segments(superpixels), tables.load_labels(labels))
    refine, options = params.choice("refiner")
    recipe = Recipe(**params.model_dump(include=set(Recipe.__dataclass_fields__)))
    given = params.model_dump(include=set(Settings.__dataclass_fields__))
    settings = Settings(**given, refine=refine, options=options, supervision=supervision)
    with resume.folder("train_segmenter", [params.model_dump(), options, supervision], inputs) as folder:
        outcome = segmenter_rounds.train(recipe, settings, archives, zips.Masks(masks), classifier, folder)
        segmenter_rounds.publish(folder, out)
    return outcome


if __name__ == "__main__":
    run(main)
