"""Weights of a classifier while it trains, kept every few epochs beside the final ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved_classifier
from weakseg.networks.loading.saved_classifier import Header

Keep = Callable[[int], None]  # called with the number of epochs that are done


def keeper(classifier: Classifier, header: Header, every: int, folder: Path) -> Keep:
    """What writes `folder`/epoch<n>.safetensors after every `every` epochs, each a classifier like the final one.

    0 writes nothing; the folder is there in either case.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def keep(epoch: int) -> None:
        if every and epoch % every == 0:
            saved_classifier.save(folder / f"epoch{epoch:03}.safetensors", classifier, header)

    return keep
