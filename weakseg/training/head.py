"""Training the head alone, on features that a frozen network gave once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from weakseg.artifacts import zips
from weakseg.artifacts.zips import Images
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.harness import device
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.training import image_labels, loop
from weakseg.training.image_labels import Recipe, _optimizer


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


def train_head(
    classifier: Classifier,
    images: zips.Images,
    ids: dict[str, list[str]],
    labels: dict[str, Tensor],
    recipe: Recipe,
    folder: Path,
) -> list[dict[str, float]]:
    """Train the linear layer alone: features are computed once, for each image and its mirror image.

    So `flip` is the only augmentation there is.
    """
    if not isinstance(classifier.head, PooledHead):
        raise UserError("trainable_blocks: 0 needs a pooled head, which this backbone lacks: train at least one block")
    order = ids["train"] + ids["val"]
    path = folder / "features.f16"
    rows = pooled_features(classifier, images, order, recipe.image_size, recipe.batch_size, recipe.precision, path)
    count = len(ids["train"])
    linear = classifier.head.linear.cpu()
    criterion = image_labels.criterion(recipe.target, recipe.label_smoothing)
    optimizer = _optimizer(recipe, [], linear)
    batch_size = max(recipe.batch_size, 256)
    held_out = torch.from_numpy(np.asarray(rows[count:, 0], dtype=np.float32))

    def loss(batch: tuple[Tensor, Tensor], epoch: int) -> dict[str, Tensor]:
        return {"loss": criterion(linear(batch[0]), batch[1])}

    @torch.inference_mode()
    def validate() -> dict[str, float]:
        probability = image_labels.probabilities(linear(held_out), recipe.target)
        return {"val_accuracy": float(image_labels.accuracy(probability, labels["val"]).mean())}

    steps = recipe.epochs * -(-count // batch_size)
    return loop.fit(
        {"head": linear},
        [optimizer],
        [loop.schedule(recipe.schedule, optimizer, steps=steps, warmup=recipe.warmup)],
        feature_batches(rows[:count], labels["train"], batch_size, recipe.flip, recipe.seed),
        loss,
        epochs=recipe.epochs,
        validate=validate if ids["val"] else None,
        monitor="val_accuracy" if ids["val"] else None,
        patience=recipe.patience if ids["val"] else None,
        description="head",
    )
