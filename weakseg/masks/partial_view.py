"""How sure a classifier is of a class when it sees only a part of the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from weakseg.artifacts.formats import zips
from weakseg.data import grids, samples
from weakseg.networks.classifier import Classifier
from weakseg.networks.levels import evaluating, locate
from weakseg.networks.loading import saved_classifier

if TYPE_CHECKING:
    from pathlib import Path

BLUR = 1 / 8  # standard deviation of what is hidden, as a share of the side
BATCH = 32


def hide(image: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Image (S,S,3) uint8 where the mask `shown` (h,w) bool is set, its blurred copy elsewhere.

    The mask is enlarged bilinearly, so that its edge is soft.
    """
    size = image.shape[1], image.shape[0]
    weight = cv2.resize(shown.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)[..., None]  # (S,S,1)
    blurred = cv2.GaussianBlur(image, (0, 0), size[0] * BLUR, borderType=cv2.BORDER_REPLICATE)
    return np.rint(weight * image + (1 - weight) * blurred).astype(np.uint8)


@dataclass(frozen=True)
class PartialViews:
    """Softmax probability of class k in image i for (i, k) = `owners[place]`, a part of the image shown."""

    classifier: Classifier
    images: zips.Images
    owners: Sequence[tuple[str, int]]
    size: int  # pixels, images are warped to a square
    batch_size: int = BATCH

    @torch.inference_mode()
    def __call__(self, places: Sequence[int], masks: Sequence[np.ndarray]) -> np.ndarray:
        """(n,) for `places` and the masks (h,w) bool of what is shown of each."""
        parts = []
        with evaluating(self.classifier):
            for start in range(0, len(places), self.batch_size):
                batch = slice(start, start + self.batch_size)
                parts.append(self.ask(places[batch], masks[batch]))
        return torch.cat(parts).numpy()

    def ask(self, places: Sequence[int], masks: Sequence[np.ndarray]) -> torch.Tensor:
        """(B,) for one batch, on the CPU."""
        ids, classes = zip(*(self.owners[place] for place in places), strict=True)
        images = [grids.warp(self.images.image(image_id), self.size) for image_id in ids]
        views = [samples.to_tensor(hide(image, mask)) for image, mask in zip(images, masks, strict=True)]
        pixels = torch.stack(views).to(locate(self.classifier))  # (B,3,S,S)
        probability = self.classifier(self.classifier.normalize(pixels)).softmax(1)  # (B,K)
        owned = torch.tensor(classes, device=pixels.device)[:, None]  # (B,1)
        return probability.gather(1, owned)[:, 0].float().cpu()


def load_confidence(classifier: Path, images: zips.Images, owners: Sequence[tuple[str, int]]) -> PartialViews:
    """Confidence of a saved classifier in (image id, class) of each map, at the size it was trained at."""
    network, header = saved_classifier.load_on_device(classifier)
    return PartialViews(network, images, owners, header.image_size)
