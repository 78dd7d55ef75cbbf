"""Training both networks of CRM together, and what they give for images they were not trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from weakseg.artifacts.formats.zips import Segments
from weakseg.data import samples
from weakseg.data.augmentation import Augmentation
from weakseg.data.paired_samples import Batches, PairedSamples, shuffled
from weakseg.data.samples import Reader
from weakseg.harness import device as hardware
from weakseg.harness.choices import Choice
from weakseg.networks.classifier import Classifier
from weakseg.networks.reconstruction import fixed_features
from weakseg.networks.reconstruction.reconstructor import ReconstructNet
from weakseg.networks.reconstruction.saved_reconstructor import Header
from weakseg.training import image_labels
from weakseg.training.crm import Data, Networks, weigh_terms
from weakseg.training.fitting import loop, whole_batch
from weakseg.training.fitting.loop import Plan
from weakseg.training.fitting.optimization import Trained, build_optimizer
from weakseg.training.fitting.run_state import Row
from weakseg.training.losses import alignment
from weakseg.training.recipes.crm import Recipe

Batch = tuple[Tensor, Tensor, Tensor]  # images (B,3,S,S) in [0, 1], superpixels (B,S,S), rows of the training images
Predicted = tuple[list[str], Tensor, Tensor, Tensor, Tensor]


def objective(networks: Networks, labels: Tensor, recipe: Recipe) -> Callable[[Batch, int], dict[str, Tensor]]:
    """Every term of a batch and their weighted sum; `labels` are those of all training images, encoded."""
    criterion, device = image_labels.criterion(networks.classifier.target, 0.0), hardware.pick()
    labels = labels.to(device)

    def loss(batch: Batch, epoch: int) -> dict[str, Tensor]:
        images, segments, rows = batch[0].contiguous(memory_format=torch.channels_last), batch[1], batch[2]
        wanted_labels = labels[hardware.send(rows, device)]
        with hardware.autocast(recipe.precision):
            logits, maps, found = networks(images)
            wanted = images * 2 - 1
            terms = {"classification": criterion(logits.float(), wanted_labels)}
            terms["l1"] = (found - wanted).abs().mean()
            terms["perceptual"] = networks.distance(found, wanted)
        terms = {name: whole_batch.mean(term, len(rows)) for name, term in terms.items()}
        # Superpixels of every second row and column: at half the image's size the term is four times cheaper.
        present = image_labels.indicate(wanted_labels, maps.shape[1])  # (B,K)
        aligned = alignment.alignment(maps.float(), present, segments[:, ::2, ::2])
        terms["alignment"] = whole_batch.mean(aligned, present.sum)
        return {"loss": weigh_terms(recipe, terms, epoch), **terms}

    return loss


def describe(classifier: Classifier, classes: list[str], method: Choice, recipe: Recipe) -> Header:
    """What the reconstruction network of a classifier has to be, and of which maps."""
    return Header(classes, classifier.stride, recipe.width, recipe.image_size, method.name, method.options)


def build(
    classifier: Classifier, reconstruct: ReconstructNet, method: Choice, recipe: Recipe, perceptual: Path
) -> Networks:
    """Both networks and what lies between them and behind; `perceptual` is the file of VGG-19."""
    features = fixed_features.build(recipe.perceptual, perceptual, recipe.perceptual_weight, classifier)
    return Networks(classifier, reconstruct, method, features)


def prepare(networks: Networks, recipe: Recipe) -> dict[str, Trained]:
    """Freeze what does not train, and give each network its own Adam."""
    networks.classifier.freeze(recipe.trainable_blocks, fixed_norm=recipe.fixed_norm)
    weights = [*networks.classifier.trained_weights(), *networks.classifier.head.parameters()]
    pairs = {
        "classifier": (networks.classifier, weights, recipe.learning_rate),
        "reconstruct": (networks.reconstruct, list(networks.reconstruct.parameters()), recipe.reconstruct_rate),
    }
    return {
        name: Trained(module, build_optimizer("adam", [{"params": part, "lr": rate}], weight_decay=0.0))
        for name, (module, part, rate) in pairs.items()
    }


def train(networks: Networks, data: Data, segments: Segments, recipe: Recipe, checkpoint: Path) -> list[Row]:
    """Train in place on split train; one row an epoch. Both Adam optimizers are zeroed and stepped on every step."""
    chosen = data.frame[data.frame["split"] == "train"]
    labels = image_labels.encode(chosen, data.names, networks.classifier.target)
    dataset = PairedSamples(data.images, segments.segments, list(chosen.index), recipe.image_size)
    reading = shuffled(dataset, recipe.batch_size)
    networks.to(hardware.pick())

    def batches(epoch: int) -> Batches:
        seed = samples.derive_seed(recipe.seed, epoch)
        return Batches(
            reading,
            recipe.image_size,
            Augmentation(zoom_from=1.0, zoom_to=1.0, aspect=1.0, flip=recipe.flip, gain=0.0, brightness=0.0),
            seed,
            len(reading),
        )

    return loop.fit(
        prepare(networks, recipe),
        batches,
        objective(networks, labels, recipe),
        Plan("crm", recipe.epochs, checkpoint=checkpoint, precision=recipe.precision),
    )


@torch.no_grad()
def predict(networks: Networks, reader: Reader) -> Iterator[Predicted]:
    """(ids, images in [-1, 1], logits, maps, reconstructions) of each batch, in listing order, on the CPU."""
    device = hardware.pick()
    networks.to(device)
    for pixels, ids in reader.batches("reconstructions"):
        with hardware.autocast(reader.precision):
            logits, maps, rebuilt = networks(pixels.to(device, memory_format=torch.channels_last))
        yield ids, pixels.cpu() * 2 - 1, logits.float().cpu(), maps.float().cpu(), rebuilt.float().cpu()
