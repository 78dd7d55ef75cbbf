"""How reading and writing an entry an image goes with the number of images: seconds, memory, shards.

    python -m benchmarks.million --images 1000000     12 GB in a temporary folder, which goes in the end

What the stages that work image by image do with their archives, and nothing of what they compute between: images, maps
and masks are a few drawings of 32 pixels in turn. Each step runs in a process of its own, whose largest resident size
is shown; `start` only imports. One more image is a name in the middle.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts import activations
from weakseg.artifacts.formats import labels, shards, zips
from weakseg.harness import digests, kept
from weakseg.harness.kept import Kept, Record

SIDE = 32  # pixels
CELLS = 8  # of a map's side
DRAWN = 64  # different pictures, in turn
PEAK_UNIT = 1024 if sys.platform == "linux" else 1024 * 1024  # of getrusage, in a megabyte


@dataclass(frozen=True)
class Work:
    """So many images in a folder; with `more` one besides, and other names for what is written."""

    folder: Path
    images: int
    more: bool = False

    @cached_property
    def ids(self) -> list[str]:
        """Sorted names."""
        names = [f"image_{number:08d}" for number in range(self.images)]
        middle = self.images // 2
        return [*names[:middle], f"{names[middle - 1]}_more", *names[middle:]] if self.more else names

    def path(self, name: str) -> Path:
        """Where an archive lies."""
        return self.folder / (f"{name}_more" if self.more else name)


def draw_masks() -> list[np.ndarray]:
    """Masks (32,32) of a rectangle each."""
    drawn = np.zeros((DRAWN, SIDE, SIDE), np.uint8)
    for number, mask in enumerate(drawn):
        mask[number % 8 : 16 + number % 16, number % 5 : 12 + number % 20] = 1
    return list(drawn)


def draw_images() -> list[bytes]:
    """The rectangles in color on noise, as PNG."""
    noise = np.random.default_rng(0).integers(0, 40, (DRAWN, SIDE, SIDE, 3), np.uint8)
    return [zips.png_bytes(pixels + 150 * mask[..., None]) for pixels, mask in zip(noise, draw_masks(), strict=True)]


def draw_maps() -> list[bytes]:
    """A map of one class, a norm and four features each, as npz."""
    values = np.random.default_rng(1).normal(size=(DRAWN, 6, CELLS, CELLS)).astype(np.float32)
    entries = [activations.CamEntry(one[:1], np.zeros(1, int), one[1], one[2:]) for one in values]
    return [activations.encode("drawn", entry) for entry in entries]


def pick(name: str) -> int:
    """Which drawing an image is, whatever stands before it."""
    return zlib.crc32(name.encode()) % DRAWN


def start(work: Work) -> None:
    """Nothing but the names."""
    assert len(work.ids) == work.images + work.more


def write_images(work: Work) -> None:
    """As prepare_data does."""
    drawn = draw_images()
    with zips.ArchiveWriter(work.path("images")) as writer:
        for name in work.ids:
            writer.add_bytes(f"{name}.png", drawn[pick(name)])


def write_labels(work: Work) -> None:
    """The table of labels."""
    rows = [(name, "train", ("cat",), SIDE, SIDE) for name in work.ids]
    labels.save_labels(
        work.folder / "labels.csv", pd.DataFrame(rows, columns=labels.LABEL_COLUMNS).set_index("image_id")
    )


def read_labels(work: Work) -> None:
    """As every stage does first."""
    assert len(labels.load_labels(work.folder / "labels.csv")) == work.images


def read_in_order(work: Work) -> None:
    """Every image, as a stage does that goes through the list."""
    read(work, work.ids)


def read_at_random(work: Work) -> None:
    """Every image in another order, as a training does."""
    read(work, random.Random(0).sample(work.ids, len(work.ids)))


def read(work: Work, names: Iterable[str]) -> None:
    """Read images and look whether they are drawings."""
    archive, drawn = zips.Archive(work.path("images")), set(draw_images())
    assert all(archive.read(name) in drawn for name in names)


def write_kept(work: Work, name: str, suffix: str, drawn: list[bytes]) -> None:
    """As compute_superpixels, generate_cams and refine_masks do: keys of the images, kept items, then the archive."""
    images, computed = zips.Archive(work.path("images")), list[int]()

    def compute(places: list[int]) -> Iterator[Record]:
        for place in places:
            computed.append(place)
            number = pick(work.ids[place])
            yield Record({"count": number}, (drawn[number],))

    keys = [digests.of_parts(images.read(one), one.encode()) for one in work.ids]
    with Kept(work.folder / f"{name}.items") as items, zips.ArchiveWriter(work.path(name)) as writer:
        for one, record in zip(work.ids, kept.complete(items, keys, compute), strict=True):
            writer.add_bytes(f"{one}{suffix}", record.parts[0])
    assert len(computed) == (1 if work.more else work.images)


def write_maps(work: Work) -> None:
    """Maps, kept and archived."""
    write_kept(work, "maps", ".npz", draw_maps())


def write_masks(work: Work) -> None:
    """Masks, kept and archived."""
    write_kept(work, "masks", ".png", [zips.png_bytes(mask) for mask in draw_masks()])


def measured(step: Callable[[Work], None], work: Work) -> tuple[float, float, float]:
    """CPU seconds, seconds and largest resident size in MB of a step, in the process that runs it."""
    begun, used = time.perf_counter(), time.process_time()
    step(work)
    spent = time.process_time() - used, time.perf_counter() - begun
    return *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAK_UNIT


def alone(step: Callable[[Work], None], work: Work) -> tuple[float, float, float]:
    """The same in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measured, step, work).result()


def changed(one: Path, other: Path) -> str:
    """How many shards of the second folder the first one lacks, of how many."""
    known = {(shard.name, shard.size, shard.seal) for shard in shards.load_index(one)}
    rows = shards.load_index(other)
    return f"{sum((row.name, row.size, row.seal) not in known for row in rows)} of {len(rows)}"


def run(images: int, folder: Path) -> None:
    """Measure all steps and print a table, and one of the shards."""
    work, more = Work(folder, images), Work(folder, images, more=True)
    steps = [
        (start, work), (write_labels, work), (read_labels, work), (write_images, work), (read_in_order, work),
        (read_at_random, work), (write_maps, work), (write_masks, work), (write_images, more), (write_maps, more),
        (write_masks, more),
    ]  # fmt: skip
    print(f"{images:,} images\n\n| step | CPU s | s | peak MB | µs CPU an image |\n|---|---|---|---|---|", flush=True)
    for step, given in steps:
        used, taken, peak = alone(step, given)
        name = step.__name__.replace("_", " ") + (", one more" if given.more else "")
        print(f"| {name} | {used:.1f} | {taken:.1f} | {peak:.0f} | {used / images * 1e6:.0f} |", flush=True)
    print("\n| archive | bytes an image | shards that one more image changes |\n|---|---|---|")
    for name in ("images", "maps", "masks"):
        size = sum(path.stat().st_size for path in work.path(name).iterdir())
        print(f"| {name} | {size / images:.0f} | {changed(work.path(name), more.path(name))} |")


def main() -> None:
    """Measure for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000], metavar="N")
    for images in parser.parse_args().images:
        with tempfile.TemporaryDirectory() as folder:
            run(images, Path(folder))


if __name__ == "__main__":
    main()
