"""What train_crm writes where the maps come from the classifier itself."""

from __future__ import annotations

from pathlib import Path

from weakseg.artifacts.formats import zips
from weakseg.harness import files
from weakseg.networks.weight_files import fetch_weights


def write_nothing(classifier: Path, reconstruct: Path, predictions: Path, picture: Path) -> None:
    """Networks without weights, an empty table, a picture of nothing."""
    for path in (classifier, reconstruct):
        fetch_weights.write_none(path, "none")
    files.save_bytes(predictions, b"")
    zips.save_png(picture, zips.NOTHING)
