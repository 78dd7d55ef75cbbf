"""What localization scores need no training: a centered Gaussian, the whole image, the same network untrained.

Junsuk Choe, Seong Joon Oh, Seungho Lee, Sanghyuk Chun, Zeynep Akata, Hyunjung Shim, "Evaluating Weakly
Supervised Object Localization Methods Right", 2020, arXiv 2001.07437.
Differs from the paper: the Gaussian is as wide as high on the square evaluation grid; random weights are added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import zips
from weakseg.evaluation.boxes.localization import LocalizationScores
from weakseg.evaluation.boxes.max_box_acc import center_gaussian, evaluation_map
from weakseg.evaluation.boxes.protocol import BoxProtocol, TrueBoxes
from weakseg.evaluation.boxes.regions import whole_image


def score_constant(protocol: BoxProtocol, truth: TrueBoxes, ids: Iterable[str]) -> dict[str, LocalizationScores]:
    """Scores of a centered Gaussian and of a box around the whole image, the same for every image."""
    gaussian, ones = center_gaussian(protocol.size), np.ones((protocol.size, protocol.size))
    whole = whole_image(protocol.size, len(protocol.thresholds), protocol.convention)
    sources = {"center": (gaussian, protocol.find_regions(gaussian)), "full": (ones, whole)}
    baselines = {name: LocalizationScores(protocol, truth) for name in sources}
    for image_id in ids:
        for name, (scores, regions) in sources.items():
            baselines[name].add(image_id, scores, regions)
    return baselines


def score_maps(protocol: BoxProtocol, truth: TrueBoxes, maps: Iterable[tuple[str, np.ndarray]]) -> LocalizationScores:
    """Scores of a stream of (image_id, scores (h, w))."""
    baseline = LocalizationScores(protocol, truth)
    for image_id, scores in maps:
        ready = evaluation_map(scores, protocol.size)
        baseline.add(image_id, ready, protocol.find_regions(ready))
    return baseline


def score_all(
    protocol: BoxProtocol, truth: TrueBoxes, ids: Sequence[str], untrained: Iterable[tuple[str, np.ndarray]]
) -> dict[str, LocalizationScores]:
    """Scores of every baseline by name: center, full, and random for the maps of the untrained network."""
    return score_constant(protocol, truth, ids) | {"random": score_maps(protocol, truth, untrained)}


def stream_random_maps(
    classifier: Path, images: zips.Images, frame: pd.DataFrame, batch_size: int, seed: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (image_id, map (h, w) of its first label, else of the first class) of the same network untrained.

    frame: the rows of labels.csv to go through.
    """
    import torch

    from weakseg.cams.methods import hirescam
    from weakseg.cams.view import look
    from weakseg.data import samples
    from weakseg.harness import device
    from weakseg.networks.loading import saved_classifier

    _, header = saved_classifier.load(classifier)
    network = saved_classifier.build(header, seed).to(device.pick())
    dataset = samples.ImageSamples(images, list(frame.index), header.image_size, (network.mean, network.std))
    for pixels, names in samples.batches(dataset, batch_size, "random weights"):
        labels = [frame.at[name, "labels"] or header.classes for name in names]
        wanted = torch.tensor([[header.classes.index(row[0])] for row in labels])  # (B,1)
        found = hirescam.maps(look(network, pixels), wanted.to(pixels.device))[:, 0]  # (B,h,w)
        yield from zip(names, found.cpu().float().numpy(), strict=True)
