"""Activation maps and receptive fields from disk to disk, beside the bare passes of the network that they need.

    python -m benchmarks.from_disk                  MobileNetV2 at stride 16, 256 pixels, random weights

Maps: images are read, decoded, warped and normalized, one batch goes through the network for the projection of
features, and maps of each image and its mirror image, their features and what keeps them through a kill are written;
bare are the forward passes alone, of batches that lie in memory. Receptive fields: both measures of `measure_erf` in
batches, beside the same gradients one image at a time, as published scripts take them.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks import frozen, timing
from benchmarks.frozen import Case
from weakseg.evaluation.receptive_field import measure
from weakseg.evaluation.receptive_field.recipe import ErfRecipe
from weakseg.networks.classifier import Classifier

FIELDS = 16  # images of each of the two measures


def run_bare(classifier: Classifier, batches: list[Tensor]) -> None:
    """The passes that maps with a mirror image need."""
    with torch.inference_mode():
        for images in batches:
            classifier(images)
            classifier(images.flip(3))


def measure_fields(case: Case) -> None:
    """Both measures, as the stage takes them."""
    recipe = ErfRecipe(
        central_size=256, central_images=FIELDS, saliency_size=256, saliency_images=FIELDS, saliency_share=0.2,
        batch_size=4,
    )  # fmt: skip
    measure.measure(case.classifier, case.reader.images, list(case.reader.ids), recipe, "network")


def take_gradients(classifier: Classifier, images: list[Tensor]) -> None:
    """The same gradients for one image after the other."""
    for image in images:
        one = image[None].requires_grad_()
        features = classifier.features(one)
        torch.autograd.grad(features[:, :, features.shape[2] // 2, features.shape[3] // 2].relu().sum(), one)
        torch.autograd.grad(classifier(one).max(), one)


def compare(case: Case, rounds: int) -> None:
    """Print both tables."""
    batches = [images for images, _ in case.reader.batches("", (case.classifier.mean, case.classifier.std))]
    batches = [images.contiguous(memory_format=torch.channels_last) for images in batches]
    case.classifier.requires_grad_(False)
    machine = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    print(f"{len(case.reader.ids)} images, {FIELDS} for fields,\n{rounds} rounds, CPU seconds, {machine}\n")
    maps = {f"maps, {method}": partial(case.make_maps, method) for method in ("gradcampp", "layercam")}
    bare = "bare forward passes"
    print(timing.tabulate(timing.measure({bare: partial(run_bare, case.classifier, batches), **maps}, rounds), bare))
    plain = "gradients, one image at a time"
    fields = {
        plain: partial(take_gradients, case.classifier, list(torch.cat(batches)[:FIELDS])),
        "receptive fields": partial(measure_fields, case),
    }
    print(f"\n{timing.tabulate(timing.measure(fields, rounds), plain)}")


if __name__ == "__main__":
    frozen.run(str(__doc__), 256, compare)
