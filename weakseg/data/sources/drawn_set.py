"""What drawn data sets share: as many images of each kind as of any other, their raw folder, their normal form."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd

from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import LABEL_COLUMNS, class_names, load_labels, save_labels
from weakseg.artifacts.formats.one_zip import Zip, ZipWriter
from weakseg.data.sources import normal_form
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError
from weakseg.harness.progress import track

IMAGES, MASKS, LABELS = "images.zip", "masks.zip", "labels.csv"  # of the raw folder

Drawn = TypeVar("Drawn")


@dataclass(frozen=True)
class Plan:
    """What to draw; sizes in pixels. An image depends on the seed, its split and its number alone."""

    train_images: int
    test_images: int
    image_size: int
    seed: int

    def check(self, name: str, source: str, kinds: Collection[str], smallest: int) -> None:
        """UserError: a source, too few images to show every kind, images under `smallest` pixels."""
        if source != "official":
            raise UserError(f"data '{name}' is drawn, download.source '{source}' cannot be used: set it to official")
        if min(self.train_images, self.test_images) < len(kinds) or self.image_size < smallest or self.seed < 0:
            raise UserError(
                f"{name}: train_images {self.train_images} and test_images {self.test_images} must be {len(kinds)} or "
                f"more, image_size {self.image_size} {smallest} or more, seed {self.seed} 0 or more"
            )

    def draw(
        self, kinds: Collection[str], draw: Callable[[str, int, np.random.Generator], Drawn]
    ) -> Iterator[tuple[str, str, Drawn]]:
        """(image id, kind, what was drawn) of each image, kinds in turn; the id begins with the split."""
        names = sorted(kinds)
        numbers = [("test", n) for n in range(self.test_images)] + [("train", n) for n in range(self.train_images)]
        for split, number in track(numbers, "drawings"):
            kind = names[number % len(names)]
            generator = np.random.default_rng([self.seed, split == "test", number])
            yield f"{split}_{number:05d}", kind, draw(kind, self.image_size, generator)


class RawWriter:
    """Writes the raw folder of a drawn set, one image at a time; `labels.csv` once all went well."""

    def __init__(self, out: Path) -> None:
        self.out, self.rows, self.stack = out, list[tuple[str, str, tuple[str], int, int]](), ExitStack()

    def __enter__(self) -> RawWriter:
        self.images = self.stack.enter_context(ZipWriter(self.out / IMAGES))
        self.masks = self.stack.enter_context(ZipWriter(self.out / MASKS))
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self.stack.__exit__(kind, *error)  # type: ignore[arg-type]
        if kind is None:
            save_labels(self.out / LABELS, pd.DataFrame(self.rows, columns=LABEL_COLUMNS).set_index("image_id"))

    def add(self, image_id: str, kind: str, image: np.ndarray, mask: np.ndarray) -> None:
        """Add an image (H,W,3) uint8 and the mask (H,W) of its object."""
        self.images.add(f"{image_id}.png", zips.png_bytes(image))
        self.masks.add(f"{image_id}.png", zips.png_bytes(mask.astype(np.uint8)))
        self.rows.append((image_id, image_id.partition("_")[0], (kind,), image.shape[1], image.shape[0]))


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and kinds."""
    frame, drawn = load_labels(raw / LABELS), Zip(raw / IMAGES)
    rows = [Listed(row.Index, row.split, row.labels, f"{row.Index}.png") for row in frame.itertuples()]
    normal_form.write_images(
        normal_form.select(rows, selection), lambda entry: drawn.read(entry.removesuffix(".png")), images, labels
    )


def kind_masks(raw: Path, labels: Path) -> Callable[[str], np.ndarray]:
    """Give an image's mask (H,W) uint8 with its kind's id, from the raw folder and the table of labels."""
    frame, drawn = load_labels(labels), Zip(raw / MASKS)
    names = class_names(frame)

    def mask(image_id: str) -> np.ndarray:
        ids = zips.decode_ids(drawn.read(image_id), f"{drawn.path}: mask '{image_id}'")
        return ids.astype(np.uint8) * np.uint8(1 + names.index(frame["labels"][image_id][0]))

    return mask
