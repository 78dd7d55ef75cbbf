"""Activation values of one image an entry: a zip that maps and masks meet in."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from weakseg.artifacts.formats.zips import Archive, ArchiveWriter
from weakseg.errors import UserError


@dataclass(frozen=True)
class CamEntry:
    """Activation values of one image, least processed, at feature resolution.

    scores (K,h,w) float32, one map for each of `classes` (K,) int64; norm (h,w) float32, the class-agnostic
    norm of the features; features (D,h',w') float32, a low-dimensional projection of an earlier level.
    """

    scores: np.ndarray
    classes: np.ndarray
    norm: np.ndarray
    features: np.ndarray


class Cams(Archive):
    """data/cams/<network>.zip, data/known_cams/<network>.zip or data/distilled/<network>.zip."""

    def cams(self, image_id: str) -> CamEntry:
        """One image's activation values; UserError where a value is not finite."""
        with np.load(io.BytesIO(self.read(image_id)), allow_pickle=False) as arrays:
            entry = CamEntry(
                arrays["scores"].astype(np.float32),
                arrays["classes"].astype(np.int64),
                arrays["norm"].astype(np.float32),
                arrays["features"].astype(np.float32),
            )
        if not (np.isfinite(entry.scores).all() and np.isfinite(entry.norm).all()):
            raise UserError(f"{self.path}: scores of image '{image_id}' are not finite: retrain the classifier")
        return entry


class CamsWriter(ArchiveWriter):
    """Writes activation values as float16."""

    def add(self, image_id: str, entry: CamEntry) -> None:
        """Add one image's activation values; UserError where they are not finite or exceed float16."""
        arrays = {
            "scores": entry.scores.astype(np.float16),
            "classes": entry.classes.astype(np.int16),
            "norm": entry.norm.astype(np.float16),
            "features": entry.features.astype(np.float16),
        }
        bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if bad:
            raise UserError(
                f"image '{image_id}': {', '.join(bad)} not finite in float16: check the classifier's weights"
            )
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        self.add_bytes(f"{image_id}.npz", buffer.getvalue())
