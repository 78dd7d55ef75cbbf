"""A frozen network runs once: its features of every image and mirror image are kept, and all that follows reads them.

They lie undeclared in <cache>/features/<name>, the name made of all they depend on (`identity`): a stage that finds
them gives the same bytes as one that does not, but runs no network. Kept are what the head's linear layer sees, and the
levels on the last level's grid; the last one itself only where its block is more than one matrix product a cell.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from weakseg.artifacts.features import FeatureFolder, Shape, count_bytes
from weakseg.data.samples import Reader
from weakseg.harness import device as hardware
from weakseg.harness import processes
from weakseg.networks.classifier import Classifier, LinearHead
from weakseg.networks.frozen import identity
from weakseg.networks.frozen.disk_space import home, make_room
from weakseg.networks.frozen.lent import find_lender
from weakseg.networks.levels import count_blocks, locate, outputs

POOLED = "pooled"


@dataclass(frozen=True)
class Stored:
    """The features of a frozen network with its head, on disk."""

    classifier: Classifier
    head: LinearHead
    files: FeatureFolder
    batch_size: int  # images that went through the network at once, but for the last ones

    def serves(self, ids: Sequence[str]) -> bool:
        """Whether the network would give the very same bits for these images: they are as many as it was shown at once.

        A batch of another size gives the same numbers up to rounding.
        """
        count, places = len(self.files.places), [self.files.places[image_id] for image_id in ids]
        last = count % self.batch_size
        sizes = {last if place >= count - last else self.batch_size for place in places}
        return sizes == {len(ids)}

    def holds(self, levels: Iterable[int]) -> bool:
        """Whether features at these levels take no more than reading, and at most one block."""
        kept, last = self.files.shapes, self.classifier.levels
        stops = {count_blocks(self.classifier, level) for level in levels}
        return all(level_name(stop) in kept or (stop == last and level_name(last - 1) in kept) for stop in stops)

    def pooled(self, ids: Sequence[str], mirrored: bool = False) -> Tensor:
        """What the head's linear layer sees (B,C), on the classifier's device."""
        return torch.from_numpy(self.files.read(POOLED, ids, mirrored)).to(locate(self.classifier))

    def outputs(self, ids: Sequence[str], mirrored: bool, wanted: Iterable[int]) -> dict[int, Tensor]:
        """As `levels.outputs` of these images, or of their mirror images: features (B,C,h,w) by blocks passed."""
        found: dict[int, Tensor] = {}
        for stop in sorted({count_blocks(self.classifier, level) for level in wanted}):
            if level_name(stop) in self.files.shapes:
                found[stop] = self._read(stop, ids, mirrored)
            else:
                before = found[stop - 1] if stop - 1 in found else self._read(stop - 1, ids, mirrored)
                found[stop] = self.classifier.blocks[stop - 1 : stop](before.clone())
        return found

    def cells(self, ids: Sequence[str], mirrored: bool, wanted: Iterable[int]) -> dict[int, Tensor]:
        """As `levels.read` of these images, or of their mirror images."""
        found = self.outputs(ids, mirrored, wanted)
        return {level: self.classifier.cells(features, level) for level, features in found.items()}

    def _read(self, level: int, ids: Sequence[str], mirrored: bool) -> Tensor:
        rows = torch.from_numpy(self.files.read(level_name(level), ids, mirrored))  # (B,h,w,C)
        return rows.permute(0, 3, 1, 2).to(locate(self.classifier))  # (B,C,h,w), channels last in memory


def level_name(level: int) -> str:
    """Name of the file of a level."""
    return f"level{level}"


def find(classifier: Classifier, reader: Reader, levels: Iterable[int] = ()) -> Stored | None:
    """The features that an earlier stage left of the reader's images, if they are whole and hold these levels."""
    head = classifier.head
    if not home().exists() or not isinstance(head, LinearHead):
        return None
    files = FeatureFolder(home() / identity.name(classifier, head, reader))
    if not files.whole() or list(files.places) != list(reader.ids):
        return None
    os.utime(files.folder)
    stored = Stored(classifier, head, files, reader.batch_size)
    return stored if stored.holds(levels) else None


@torch.inference_mode()
def collect(classifier: Classifier, head: LinearHead, reader: Reader) -> Stored:
    """The features of all images of the reader: found, or computed now; a run that was killed goes on.

    Levels are kept where the disk allows it (`disk_space`), what the head sees always. Of processes that work together
    the first computes them, and the others read what it left.
    """
    classifier.to(hardware.pick()).to(memory_format=torch.channels_last).eval()
    found = find(classifier, reader, [0])
    if processes.broadcast(found is None):
        found = _compute(classifier, head, reader) if processes.is_first() else None
        processes.barrier()
    if found is not None:
        return found
    files = FeatureFolder(home() / identity.name(classifier, head, reader))
    return Stored(classifier, head, files, reader.batch_size)


def _compute(classifier: Classifier, head: LinearHead, reader: Reader) -> Stored:
    """Run the network over all images of the reader, and keep its features."""
    name, pooled = identity.name(classifier, head, reader), (head.linear.in_features,)
    shapes: dict[str, Shape] = {POOLED: pooled, **choose_levels(classifier, reader.size)}
    if not make_room(len(reader.ids) * count_bytes(shapes), name):
        shapes = {POOLED: pooled}
    images = list_contents(reader)
    files = FeatureFolder.create(home() / name, images, shapes, identity.maker(classifier, head, reader))
    if not files.whole():
        fill(classifier, head, reader, files)
    return Stored(classifier, head, files, reader.batch_size)


def list_contents(reader: Reader) -> dict[str, str]:
    """What is in each image of the reader, by its id: checksum and size of its file."""
    known = {name.rpartition(".")[0]: f"{checksum:08x}-{size}" for name, checksum, size in reader.images.checksums()}
    return {image_id: known[image_id] for image_id in reader.ids}


def fill(classifier: Classifier, head: LinearHead, reader: Reader, files: FeatureFolder) -> None:
    """Write the features that `files` lacks, batch by batch: lent by another folder where it can, else computed."""
    lender, size = find_lender(files, reader.batch_size), reader.batch_size
    batches = {first: files.contents[first : first + size] for first in range(files.done, len(reader.ids), size)}
    lent = {first for first, contents in batches.items() if lender is not None and lender.lends(contents)}
    left = [image_id for first in batches if first not in lent for image_id in reader.ids[first : first + size]]
    computed = compute(classifier, head, replace(reader, ids=left), list(files.shapes))
    for first, contents in batches.items():
        files.write(first, lender.rows(contents, files.shapes) if lender and first in lent else next(computed))


def compute(
    classifier: Classifier, head: LinearHead, reader: Reader, names: Sequence[str]
) -> Iterator[dict[str, np.ndarray]]:
    """Run the network over batches of images and their mirror images: rows (B,2,...) of the named files."""
    last = classifier.levels
    wanted = [level for level in range(1, last + 1) if level_name(level) in names]
    for pixels, _ in reader.batches("features", (classifier.mean, classifier.std)):
        pixels = pixels.to(locate(classifier), memory_format=torch.channels_last)
        rows: dict[str, list[Tensor]] = {}
        for view in (pixels, pixels.flip(3)):
            with hardware.autocast(reader.precision):
                found = outputs(classifier, view, [*wanted, last])
                rows.setdefault(POOLED, []).append(head.pooled(found[last]))
            for level in wanted:
                rows.setdefault(level_name(level), []).append(found[level].permute(0, 2, 3, 1))  # (B,h,w,C)
        yield {name: torch.stack(views, 1).float().cpu().numpy() for name, views in rows.items()}


def choose_levels(classifier: Classifier, size: int) -> dict[str, Shape]:
    """The levels worth keeping for images of side `size`: names of their files, and shapes (h,w,C).

    Those on the last level's grid: earlier ones are larger, and maps are never made of them. The last one is left out
    where its block is pointwise: to read it would take longer than to compute it.
    """
    probe = torch.zeros(1, 3, size, size, device=locate(classifier))
    found = outputs(classifier, probe, range(1, classifier.levels + 1))
    last = classifier.levels
    kept = [level for level, features in found.items() if features.shape[2:] == found[last].shape[2:]]
    if len(kept) > 1 and last - 1 in kept and is_pointwise(classifier.blocks[-1]):
        kept.remove(last)
    return {level_name(level): (*found[level].shape[2:], found[level].shape[1]) for level in kept}


def is_pointwise(block: nn.Module) -> bool:
    """Whether a block has one convolution, of one cell."""
    convolutions = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    return len(convolutions) == 1 and convolutions[0].kernel_size == (1, 1)
