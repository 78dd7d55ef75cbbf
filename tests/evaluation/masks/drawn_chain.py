"""Six images with a red or a green square, every artifact of the chain, and a segmenter that sees color."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from weakseg.artifacts import activations, tables, truth, zips
from weakseg.networks import saved_segmenter
from weakseg.networks.segmenter import Segmenter

IDS = ["a", "b", "c", "d", "e", "f"]
SPLITS = ["train", "train", "train", "val", "test", "test"]
CLASSES = ["green", "red"]
SQUARE = (slice(8, 24), slice(10, 26))
SHAPE = (32, 40)


def class_of(name: str) -> int:
    """1 (red) for every second image, else 0 (green)."""
    return IDS.index(name) % 2


def image(name: str) -> np.ndarray:
    """Black, with a bright square whose color is the class."""
    pixels = np.zeros((*SHAPE, 3), np.uint8)
    pixels[SQUARE] = (255, 0, 0) if class_of(name) else (0, 255, 0)
    return pixels


def mask(name: str, binary: bool = False) -> np.ndarray:
    """The square with its class id, inside a ring of 255 two pixels wide."""
    ids = np.zeros(SHAPE, np.uint8)
    rows, columns = SQUARE
    ids[rows.start - 2 : rows.stop + 2, columns.start - 2 : columns.stop + 2] = 255
    ids[SQUARE] = 1 if binary else class_of(name) + 1
    return ids


def entry(name: str, low: float, high: float) -> activations.CamEntry:
    """A map (8, 10) of the image's class, `high` on the top half of the square and `low` elsewhere."""
    scores = np.full((1, 8, 10), low, np.float32)
    scores[:, 2:4, 3:6] = high
    return activations.CamEntry(scores, np.array([class_of(name)]), scores[0], scores)


def write(folder: Path, without_mask: tuple[str, ...] = ("b",)) -> dict[str, Path]:
    """Write every artifact into `folder`; the paths by the flag they go to."""
    names = ("images", "masks", "cams", "distilled", "refined", "pseudomasks")
    paths = {name: folder / f"{name}.zip" for name in names}
    with zips.archive_writer(paths["images"]) as writer:
        for name in IDS:
            buffer = io.BytesIO()
            Image.fromarray(image(name)).save(buffer, "PNG")
            writer.add_bytes(f"{name}.png", buffer.getvalue())
    rows = [
        (name, split, (CLASSES[class_of(name)],), SHAPE[1], SHAPE[0]) for name, split in zip(IDS, SPLITS, strict=True)
    ]
    paths["labels"], paths["parts"] = folder / "labels.csv", folder / "parts.csv"
    tables.save_labels(paths["labels"], pd.DataFrame(rows, columns=tables.LABEL_COLUMNS).set_index("image_id"))
    heads = [(name, 10, 8, 26, 12) for name in ("a", "e")]
    truth.save_boxes(paths["parts"], pd.DataFrame(heads, columns=truth.BOX_COLUMNS))
    with zips.mask_writer(paths["masks"]) as writer:
        for name in IDS:
            if name not in without_mask:
                writer.add(name, mask(name))
    for kind, (low, high) in {"cams": (1.0, 3.0), "distilled": (-4.0, 4.0)}.items():
        with activations.cams_writer(paths[kind]) as writer:
            for name in IDS:
                writer.add(name, entry(name, low, high))
    with zips.mask_writer(paths["refined"]) as refined, zips.mask_writer(paths["pseudomasks"]) as kept:
        for name in IDS:
            refined.add(name, np.where(mask(name) == 255, 0, mask(name)))
            kept.add(name, mask(name))
    for kind in ("segmenter", "control"):
        paths[kind] = folder / kind
        paths[kind].mkdir()
        (paths[kind] / "round0.safetensors").write_bytes(b"stands for the weights")
    (paths["segmenter"] / "round1.safetensors").write_bytes(b"stands for the weights")
    return paths


def segmenter(per_class: bool = False) -> tuple[Segmenter, saved_segmenter.Header]:
    """A segmenter that is right everywhere, and what its file would say of it."""
    decoder = nn.Conv2d(3, 3 if per_class else 2, 1)
    with torch.no_grad():
        decoder.weight.zero_()
        decoder.bias.zero_()
        decoder.bias[0] = 10.0
        decoder.weight[1, 1 if per_class else slice(0, 2), 0, 0] = 20.0
        if per_class:
            decoder.weight[2, 0, 0, 0] = 20.0
    network = Segmenter(nn.Identity(), decoder, [], 1, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)).eval()
    classes = CLASSES if per_class else ["object"]
    return network, saved_segmenter.Header("drawn", "", "", "", classes, 40, 40, [1.0], True)
