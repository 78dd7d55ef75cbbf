"""Features of many images and of their mirror images, as one frozen network gives them: plain files in a folder.

<name>.f32 holds (N,2,...) float32, of each image the plain and the mirrored one; facts.json the images' ids in order,
what each is known by, what made the features, and the shape of each file's rows; `done` how many images are whole.
Written batch by batch: a killed run goes on after the last whole one. Read row by row, so that memory does not grow
with the number of images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from weakseg.harness import files

VIEWS = 2  # the image, its mirror image
Shape = tuple[int, ...]


def count_bytes(shapes: Mapping[str, Shape]) -> int:
    """Bytes on disk of one image and its mirror image, in files with rows of these shapes."""
    return 4 * VIEWS * sum(math.prod(shape) for shape in shapes.values())


@dataclass(frozen=True)
class FeatureFolder:
    """One folder of features."""

    folder: Path

    @classmethod
    def create(cls, folder: Path, images: Mapping[str, str], shapes: Mapping[str, Shape], maker: str) -> FeatureFolder:
        """A folder for these images; what an earlier run left is kept where it is of the same images and shapes.

        images: what is in each image, by its id; maker: what the features depend on besides.
        """
        rows = {name: list(shape) for name, shape in shapes.items()}
        facts = {"ids": list(images), "contents": list(images.values()), "shapes": rows, "maker": maker}
        place = folder / "facts.json"
        if not place.exists() or files.load_json(place) != facts:
            files.save_bytes(folder / "done", b"0")
            files.save_json(place, facts)
        return cls(folder)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of one row, by the file's name."""
        return {name: tuple(shape) for name, shape in self._facts["shapes"].items()}

    @cached_property
    def places(self) -> dict[str, int]:
        """Number of each image."""
        return {image_id: place for place, image_id in enumerate(self._facts["ids"])}

    @cached_property
    def contents(self) -> list[str]:
        """What is in each image, in order."""
        return self._facts["contents"]

    @property
    def maker(self) -> str:
        """What the features depend on besides the images; empty where an earlier version did not say."""
        return self._facts.get("maker", "")

    @cached_property
    def _facts(self) -> dict:
        return files.load_json(self.folder / "facts.json")

    @property
    def done(self) -> int:
        """How many images are whole."""
        return int((self.folder / "done").read_text())

    def whole(self) -> bool:
        """Whether all images are there, and no file was cut short."""
        if not (self.folder / "facts.json").exists() or self.done < len(self.places):
            return False
        paths = {name: self._path(name) for name in self.shapes}
        return all(path.exists() and path.stat().st_size == self._start(name, None) for name, path in paths.items())

    def write(self, start: int, parts: Mapping[str, np.ndarray]) -> None:
        """Write the images from number `start` on: of every file (B,2,*shape). All before them have to be there.

        Where two processes fill one folder, both write the same rows to the same places.
        """
        for name, values in parts.items():
            path = self._path(name)
            path.touch()
            with path.open("r+b") as file:
                file.seek(self._start(name, start))
                file.write(np.ascontiguousarray(values, np.float32).data)
        # The count follows the rows, never the other way round: a kill in between repeats a batch at worst.
        count = len(next(iter(parts.values())))
        files.save_bytes(self.folder / "done", str(start + count).encode())

    def read(self, name: str, ids: Sequence[str], mirrored: bool) -> np.ndarray:
        """Rows (B,*shape) of some images, or of their mirror images."""
        rows = np.empty((len(ids), *self.shapes[name]), np.float32)
        with self._path(name).open("rb", buffering=0) as file:
            for row, image_id in zip(rows, ids, strict=True):
                file.seek(self._start(name, self.places[image_id]) + mirrored * row.nbytes)
                file.readinto(row.data)
        return rows

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.f32"

    def _start(self, name: str, place: int | None) -> int:
        """Where the rows of an image begin; of None, where the file ends."""
        return count_bytes({name: self.shapes[name]}) * (len(self.places) if place is None else place)
