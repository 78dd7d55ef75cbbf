"""Training a classifier on image-level labels: targets, losses, freezing, and prediction in one pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from weakseg.artifacts.zips import Images
from weakseg.data import samples
from weakseg.data.augment import Augmentation, augment_images
from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier

TARGETS = ("single", "multi")


def targets(frame: pd.DataFrame, names: list[str], target: str) -> Tensor:
    """Class ids (N,) int64 for `single`, indicators (N,K) float for `multi`, in the frame's order.

    UserError names an image without a label, and for `single` one with several.
    """
    if target not in TARGETS:
        raise UserError(f"train_classifier.target is '{target}': choose one of {', '.join(TARGETS)}")
    index = {name: position for position, name in enumerate(names)}
    for image_id, labels in frame["labels"].items():
        if not labels or (target == "single" and len(labels) > 1):
            many = "several labels" if labels else "no label"
            raise UserError(
                f"image '{image_id}' has {many}: set train_classifier.target to multi, or mend data/labels.csv"
            )
    if target == "single":
        return torch.tensor([index[labels[0]] for labels in frame["labels"]])
    result = torch.zeros(len(frame), len(names))
    for row, labels in enumerate(frame["labels"]):
        result[row, [index[label] for label in labels]] = 1
    return result


def criterion(target: str, label_smoothing: float) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy with label smoothing for `single`, multi-label soft margin for `multi`."""
    if target == "single":
        return nn.CrossEntropyLoss(label_smoothing=label_smoothing)
    return nn.MultiLabelSoftMarginLoss()


def probabilities(logits: Tensor, target: str) -> Tensor:
    """Softmax for `single`, sigmoid for `multi`; (B,K)."""
    return logits.softmax(1) if target == "single" else logits.sigmoid()


def freeze(classifier: Classifier, trainable_blocks: int) -> list[nn.Parameter]:
    """Freeze all but the head and the last `trainable_blocks` blocks (-1: train all); return the blocks' weights.

    Frozen blocks are kept in evaluation mode, whatever mode the classifier is put in later.
    """
    if trainable_blocks > classifier.levels:
        raise UserError(
            f"trainable_blocks is {trainable_blocks}: this network has {classifier.levels} blocks (-1 trains all)"
        )
    first = 0 if trainable_blocks < 0 else classifier.levels - trainable_blocks
    for block in classifier.blocks[:first]:
        block.requires_grad_(False)
        block.eval()
        block.train = lambda mode=True, block=block: block  # type: ignore[method-assign]
    return [weight for block in classifier.blocks[first:] for weight in block.parameters()]


def epoch_batches(
    images: Images,
    ids: Sequence[str],
    size: int,
    classifier: Classifier,
    labels: Tensor,
    batch_size: int,
    augmentation: Augmentation,
    seed: int,
) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    """Batches of one epoch: images (B,3,S,S), augmented on the device, and their targets, fixed by seed and epoch."""
    place = device.pick()
    mean, std = (torch.tensor(value, device=place).view(3, 1, 1) for value in (classifier.mean, classifier.std))
    dataset = samples.ImageSamples(images, ids, size, samples.PLAIN)

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        shuffle = 1_000_003 * seed + epoch
        generator = torch.Generator().manual_seed(shuffle)
        for pixels, indices in samples.loader(
            dataset, batch_size, shuffle_seed=shuffle, drop_last=len(ids) > batch_size
        ):
            seen = augment_images(pixels.to(place), size, augmentation, generator)
            yield (seen - mean) / std, labels[indices]

    return batches


@torch.inference_mode()
def pooled_features(
    classifier: Classifier, images: Images, ids: Sequence[str], size: int, batch_size: int, precision: str, path: Path
) -> np.ndarray:
    """What the head's linear layer sees, for each image and its mirror image: (N,2,C) float16 on disk at `path`.

    Rows that an earlier, killed run finished are kept.
    """
    done_file = path.with_suffix(".done")
    done = int(done_file.read_text()) if done_file.exists() else 0
    shape = (len(ids), 2, classifier.head.linear.in_features)
    rows = np.memmap(path, np.float16, "r+" if done else "w+", shape=shape)
    place = device.pick()
    classifier.to(place, memory_format=torch.channels_last).eval()
    dataset = samples.ImageSamples(images, ids[done:], size, (classifier.mean, classifier.std))
    for pixels, names in track(samples.batches(dataset, batch_size), "features", -(-len(dataset) // batch_size)):
        pixels = pixels.to(place, memory_format=torch.channels_last)
        with device.autocast(precision):
            pooled = [classifier.head.pooled(classifier.features(view)) for view in (pixels, pixels.flip(3))]
        rows[done : done + len(names)] = torch.stack(pooled, 1).float().cpu().numpy()
        done += len(names)
        rows.flush()
        done_file.write_text(str(done))
    return rows


def feature_batches(
    rows: np.ndarray, labels: Tensor, batch_size: int, flip: bool, seed: int
) -> Callable[[int], Iterator[tuple[Tensor, Tensor]]]:
    """Batches of one epoch from stored features (N,2,C), fixed by seed and epoch; `flip`: half of mirror images."""

    def batches(epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
        generator = np.random.default_rng((seed, epoch))
        order, views = generator.permutation(len(rows)), generator.integers(0, 1 + flip, len(rows))
        for start in range(0, len(rows), batch_size):
            chosen = order[start : start + batch_size]
            yield torch.from_numpy(rows[chosen, views[chosen]].astype(np.float32)), labels[chosen]

    return batches


@torch.inference_mode()
def predict(
    classifier: Classifier, images: Images, ids: Sequence[str], size: int, batch_size: int, precision: str, target: str
) -> Iterator[tuple[list[str], Tensor]]:
    """(image ids, probabilities (B,K)) in listing order."""
    place = device.pick()
    classifier.to(place, memory_format=torch.channels_last).eval()
    dataset = samples.ImageSamples(images, ids, size, (classifier.mean, classifier.std))
    for pixels, names in track(samples.batches(dataset, batch_size), "predictions", -(-len(dataset) // batch_size)):
        with device.autocast(precision):
            logits = classifier(pixels.to(place, memory_format=torch.channels_last))
        yield names, probabilities(logits.float(), target).cpu()


def accuracy(probability: Tensor, labels: Tensor) -> Tensor:
    """Right or wrong, (B,) float: the top class for ids (B,), every class on its side of .5 for indicators (B,K)."""
    if labels.ndim == 1:
        return (probability.argmax(1) == labels).float()
    return ((probability > 0.5) == labels.bool()).float().mean(1)


def prediction_rows(
    names: list[str], probability: Tensor, frame: pd.DataFrame, classes: list[str], target: str
) -> list[dict[str, object]]:
    """One row an image: image_id, split, predicted (joined by |), probability of the top class, and `p_<class>`."""
    rows = []
    for image_id, scores in zip(names, probability.numpy().round(6).tolist(), strict=True):
        top = int(np.argmax(scores))
        chosen = [k for k, score in enumerate(scores) if score > 0.5] if target == "multi" else []
        predicted = "|".join(classes[k] for k in (chosen or [top]))
        row: dict[str, object] = {"image_id": image_id, "split": frame.at[image_id, "split"]}
        row |= {"predicted": predicted, "probability": scores[top]}
        rows.append(row | {f"p_{name}": score for name, score in zip(classes, scores, strict=True)})
    return rows
