"""How well the reconstruction network rebuilds images: scores and a picture."""

from __future__ import annotations

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from weakseg.artifacts.sampling import evenly
from weakseg.data import grids
from weakseg.data.showing import Shown
from weakseg.figures.drawing import sheets
from weakseg.figures.drawing.heat import blend
from weakseg.harness import device
from weakseg.training import image_labels
from weakseg.training.crm import Data, Networks
from weakseg.training.crm_training import predict

SHOWN = 5  # test images in the picture


def evaluate(networks: Networks, data: Data, shown: Shown) -> dict[str, float]:
    """Means over the held-out images: accuracy, l1, psnr (dB), ssim and, with features, perceptual distance."""
    frame, place = data.held_out(), device.pick()
    labels = image_labels.encode(frame, data.names, networks.classifier.target)
    rows: list[dict[str, float]] = []
    right: list[Tensor] = []
    far: list[float] = []
    for ids, wanted, logits, _, found in predict(networks, data.reader(list(frame.index), shown)):
        part = labels[len(rows) : len(rows) + len(ids)]
        right.append(image_labels.accuracy(networks.classifier.probabilities(logits), part))
        far.append(float(networks.distance(found.to(place), wanted.to(place))) * len(ids))
        rows += scores(*(batch.permute(0, 2, 3, 1).numpy() for batch in (found, wanted)))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    distance = {} if networks.features is None else {"perceptual": sum(far) / len(rows)}
    return {"accuracy": float(torch.cat(right).double().mean()), **means, **distance}


def to_uint8(image: Tensor) -> np.ndarray:
    """One image (3,H,W) in [-1, 1] as (H,W,3) uint8."""
    return ((image.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)


def picture(networks: Networks, data: Data, shown: Shown) -> np.ndarray:
    """Five held-out images, their reconstructions and the maps of their (first) labels, side by side: (H,W,3) uint8."""
    frame = data.held_out()
    rows, titles = [], []
    for ids, wanted, _, maps, found in predict(networks, data.reader(evenly(list(frame.index), SHOWN), shown)):
        for number, name in enumerate(ids):
            label = frame.at[name, "labels"][0]
            heat = grids.minmax(maps[number, [data.names.index(label)]].clamp(min=0).numpy())[0]
            image = to_uint8(wanted[number])
            rows.append([image, to_uint8(found[number]), blend(image, heat)])
            titles.append(label)
    return sheets.lay_out(rows, ["image", "reconstruction", "map of its label"], titles)


SPAN = 2.0  # images lie in [-1, 1]
CEILING = 100.0  # dB, PSNR of an exact copy


def scores(images: np.ndarray, truths: np.ndarray) -> list[dict[str, float]]:
    """l1, psnr (dB) and ssim of each of images (B,H,W,3) against truths, both in [-1, 1], H and W at least 7.

    PSNR = 10 log10(2^2 / mean squared error), at most 100 dB.
    """
    rows = []
    for image, truth in zip(images, truths, strict=True):
        error = float(np.mean((image - truth) ** 2))
        psnr = min(CEILING, 10 * np.log10(SPAN**2 / error)) if error else CEILING
        ssim = structural_similarity(image, truth, channel_axis=-1, data_range=SPAN)
        rows.append({"l1": float(np.abs(image - truth).mean()), "psnr": float(psnr), "ssim": float(ssim)})
    return rows
