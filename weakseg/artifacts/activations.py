"""Activation values of one image an entry: an archive that maps and masks meet in."""

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


def pick_precision(scores: np.ndarray) -> type[np.floating]:
    """float16, or float32 where all values are below its smallest normal number, 6e-5, and it would round them away.

    So are gradients through a transformer whose class token hardly tells cells apart.
    """
    peak = np.abs(scores).max(initial=0)
    return np.float32 if 0 < peak < np.finfo(np.float16).tiny else np.float16


class Cams(Archive):
    """data/cams/<network>, data/known_cams/<network> or data/distilled/<network>."""

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


def encode(image_id: str, entry: CamEntry) -> bytes:
    """An image's activation values as npz; UserError where they are not finite or exceed float16."""
    arrays = {
        "scores": entry.scores.astype(pick_precision(entry.scores)),
        "classes": entry.classes.astype(np.int16),
        "norm": entry.norm.astype(np.float16),
        "features": entry.features.astype(np.float16),
    }
    bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if bad:
        raise UserError(f"image '{image_id}': {', '.join(bad)} not finite in float16: check the classifier's weights")
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


class CamsWriter(ArchiveWriter):
    """Writes activation values as float16, maps that are too faint for it as float32."""

    def add(self, image_id: str, entry: CamEntry) -> None:
        """Add one image's activation values; UserError as of `encode`."""
        self.add_bytes(f"{image_id}.npz", encode(image_id, entry))
