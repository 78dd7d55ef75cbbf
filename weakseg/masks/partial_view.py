"""How sure a classifier is of a class when it sees only a part of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from weakseg.artifacts import zips
from weakseg.data import grids, samples
from weakseg.harness import device
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import evaluating
from weakseg.networks.loading import saved_classifier

BLUR = 1 / 8
BATCH = 32


def hidden(image: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Image (S,S,3) uint8 where the mask `shown` (h,w) bool is set, its blurred copy elsewhere.

    The mask is enlarged bilinearly, so that its edge is soft; the blur's standard deviation is an eighth of the side.
    """
    size = image.shape[1], image.shape[0]
    weight = cv2.resize(shown.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), size[0] * BLUR, borderType=cv2.BORDER_REPLICATE)
    return np.rint(weight * image + (1 - weight) * blurred).astype(np.uint8)


@dataclass(frozen=True)
class Confidence:
    """Softmax probability of class `classes[place]` in image `ids[place]`, a part of it shown."""

    classifier: Classifier
    images: zips.Images
    ids: Sequence[str]
    classes: Sequence[int]
    size: int
    batch_size: int

    @torch.inference_mode()
    def __call__(self, places: Sequence[int], masks: Sequence[np.ndarray]) -> np.ndarray:
        """(n,) for `places` and the masks (h,w) bool of what is shown of each."""
        target, found = device.pick(), []
        classifier = self.classifier.to(target)
        with evaluating(classifier):
            for start in range(0, len(places), self.batch_size):
                chosen = places[start : start + self.batch_size]
                views = [
                    samples.to_tensor(hidden(grids.warp(self.images.image(self.ids[place]), self.size), mask))
                    for place, mask in zip(chosen, masks[start : start + self.batch_size], strict=True)
                ]
                probability = classifier(classifier.normalize(torch.stack(views).to(target))).softmax(1)
                owned = torch.tensor([int(self.classes[place]) for place in chosen], device=target)
                found.append(probability.gather(1, owned[:, None])[:, 0].float().cpu())
        return torch.cat(found).numpy()


def confidence(classifier: Path, images: zips.Images, owners: Sequence[tuple[str, int]]) -> Confidence:
    """Confidence of a saved classifier in (image id, class) of each map, at the size it was trained at."""
    network, header = saved_classifier.load(classifier)
    ids, classes = zip(*owners, strict=True)
    return Confidence(network, images, ids, classes, header.image_size, BATCH)
