"""Rows that another folder of features has already: of the same network, for images that both hold.

So an image more, or one that was changed, costs its batch and not the whole pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from weakseg.artifacts.features import FeatureFolder


@dataclass(frozen=True)
class Lender:
    """A folder that is whole, and may lend rows of its full batches."""

    files: FeatureFolder
    batch_size: int

    @cached_property
    def ids(self) -> dict[str, str]:
        """Image ids by what is in the image, without those of the last batch where it was not a full one.

        A batch of another size gives the same numbers up to rounding, not to the last bit.
        """
        full = len(self.files.places) // self.batch_size * self.batch_size
        return dict(zip(self.files.contents[:full], list(self.files.places)[:full], strict=True))

    def lends(self, contents: Sequence[str]) -> bool:
        """Whether it has all images of a batch, which has to be a full one."""
        return len(contents) == self.batch_size and all(content in self.ids for content in contents)

    def rows(self, contents: Sequence[str], names: Iterable[str]) -> dict[str, np.ndarray]:
        """Rows (B,2,*shape) of the named files, of images that it has."""
        ids = [self.ids[content] for content in contents]
        views = {name: [self.files.read(name, ids, mirrored) for mirrored in (False, True)] for name in names}
        return {name: np.stack(both, 1) for name, both in views.items()}


def find_lender(files: FeatureFolder, batch_size: int) -> Lender | None:
    """Of the folders beside `files` that the same network made, the one with most of its images; None without any."""
    wanted, best, most = set(files.contents), None, 0
    for folder in sorted(files.folder.parent.glob("*")):
        other = FeatureFolder(folder)
        if folder != files.folder and is_alike(other, files):
            lender = Lender(other, batch_size)
            if len(wanted & set(lender.ids)) > most:
                best, most = lender, len(wanted & set(lender.ids))
    return best


def is_alike(other: FeatureFolder, files: FeatureFolder) -> bool:
    """Whether a folder is whole, of the same network, and has all files that `files` has."""
    return other.whole() and other.maker == files.maker and files.shapes.items() <= other.shapes.items()
