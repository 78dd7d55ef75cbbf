"""A frozen network run once and its features read, beside the same stages each with passes of its own.

python -m benchmarks.frozen                     MobileNetV2 at stride 16, 256 pixels, as presets/two_cores has it

Both give the same bytes. What is timed of each stage is what the network has to do with: the features that the head
trains on, predictions, activation maps, features for distillation.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch

from benchmarks import timing
from weakseg.artifacts.features import count_bytes
from weakseg.artifacts.formats import zips
from weakseg.cams import archive
from weakseg.cams.extraction import Extractor, needed_levels
from weakseg.cams.recipe import Recipe
from weakseg.data import samples
from weakseg.harness import choices, stage
from weakseg.harness.kept import Kept
from weakseg.masks.distillation import feature_grids
from weakseg.masks.distillation.recipe import Reading
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier, PooledHead
from weakseg.networks.frozen import once
from weakseg.networks.frozen.once import Stored
from weakseg.training import predictions

CLASSES = [f"class{number}" for number in range(37)]
BATCH, LEVEL = 32, -3
MAPS = Recipe(
    levels=[0], norm_level=-1, feature_level=LEVEL, fusion="mean", image_size=256, batch_size=BATCH, scales=[1.0],
    mirror=True, relu=False, affinity_steps=0, affinity_levels=[0], affinity_power=1.0, predicted="top1",
    predicted_count=1, predicted_score=0.0, feature_channels=32, projection_images=BATCH, precision="fp32",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A classifier with a pooled head, drawn images, and a folder to write into."""

    classifier: Classifier
    head: PooledHead
    reader: samples.Reader
    folder: Path

    def keep(self) -> Stored:
        """Run the network once, and keep all its features."""
        shutil.rmtree(once.home(), ignore_errors=True)
        return once.collect(self.classifier, self.head, self.reader)

    def see(self) -> None:
        """Run it for what the head sees alone, and keep nothing else."""
        os.environ["WEAKSEG_FEATURES_GB"] = "0"
        self.keep()
        del os.environ["WEAKSEG_FEATURES_GB"]
        shutil.rmtree(once.home())

    def predict(self) -> bytes:
        """Predictions of every image."""
        return torch.cat([found for _, found in predictions.predict(self.classifier, self.reader)]).numpy().tobytes()

    def make_maps(self, method: str) -> bytes:
        """Activation maps of every image."""
        ids = list(self.reader.ids)
        rows = {"split": "train", "labels": [(CLASSES[place % len(CLASSES)],) for place in range(len(ids))]}
        source = archive.Source(self.reader.images, pd.DataFrame(rows, index=ids), CLASSES, MAPS)
        stored = once.find(self.classifier, source.reader(), needed_levels(self.classifier, MAPS))
        with torch.no_grad(), levels.evaluating(self.classifier):
            projection = archive.fit_projection(self.classifier, source, stored)
            maps = choices.load("methods", method).maps
            extractor = Extractor(self.classifier, maps, MAPS, projection, stored=stored)
            with Kept(Path(tempfile.mkdtemp(dir=self.folder)) / "items") as items:
                archive.write(extractor, source, items, self.folder / "cams")
        return b"".join(path.read_bytes() for path in sorted((self.folder / "cams").iterdir()))

    def make_grids(self) -> bytes:
        """Features for distillation of every image."""
        count = levels.count_blocks(self.classifier, LEVEL)
        reading, reader = Reading(levels=[LEVEL], image_size=256, batch_size=BATCH, precision="fp32"), self.reader
        stored = once.find(self.classifier, reader, [count])
        if stored is not None:
            batches = feature_grids.read_means(stored, reader, [count])
        else:
            normalize = self.classifier.mean, self.classifier.std
            images = samples.ImageSamples(reader.images, reader.ids, reader.size, normalize)
            batches = feature_grids.compute_means(self.classifier, images, reading, [count])
        grids = feature_grids.Grids(self.folder, [count])
        grids.write(feature_grids.to_records(batches, [count], None), len(reader.ids))
        return grids.paths[count].read_bytes()

    def stages(self) -> dict[str, Callable[[], bytes]]:
        """What follows the head's training, and one more activation map."""
        maps = {f"maps, {method}": partial(self.make_maps, method) for method in ("gradcampp", "layercam")}
        return {"predictions": self.predict, **maps, "features for distillation": self.make_grids}


def draw_images(path: Path, count: int) -> zips.Images:
    """Smooth colored noise, 256 x 256, as JPEG."""
    generator = np.random.default_rng(0)
    with zips.ArchiveWriter(path) as writer:
        for number in range(count):
            pixels = cv2.resize(generator.integers(0, 255, (16, 16, 3), dtype=np.uint8), (256, 256))
            writer.add_bytes(f"{number:05d}.jpg", cv2.imencode(".jpg", pixels)[1].tobytes())
    return zips.Images(path)


def build_case(folder: Path, images: int) -> Case:
    """MobileNetV2 with random weights, and so many images."""
    torch.manual_seed(0)
    build = choices.load("backbones", "mobilenet").build
    classifier = build("mobilenetv2_100_same_os16", len(CLASSES), "random").eval()
    archived = draw_images(folder / "images", images)
    reader = samples.Reader(archived, archived.names(), 256, BATCH, "fp32")
    return Case(classifier.to(memory_format=torch.channels_last), classifier.head, reader, folder)


def compare(case: Case, rounds: int) -> None:
    """Print seconds of each stage both ways, whether the bytes are the same, and what the features take on disk."""
    with_passes = timing.measure({"what the head trains on": case.see, **case.stages()}, rounds)
    bare = {name: run() for name, run in case.stages().items()}
    times = timing.measure({"what the head trains on": case.keep, **case.stages()}, rounds)
    same = all(run() == bare[name] for name, run in case.stages().items())
    stored = once.find(case.classifier, case.reader)
    machine = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    print(f"{len(case.reader.ids)} images, {rounds} rounds, CPU seconds, {machine};", end=" ")
    size = f"{count_bytes(stored.files.shapes) / 1e6:.2f} MB an image on disk" if stored else ""
    print(f"same bytes: {same}; {size}\n\n| stage | passes of its own | one pass | ratio |\n|---|---|---|---|")
    for name, values in {**with_passes, "all": totals(with_passes)}.items():
        others = totals(times) if name == "all" else times[name]
        before, after = (timing.quartiles(one) for one in (values, others))
        cells = [f"{middle:.2f} ({low:.2f}-{high:.2f})" for low, middle, high in (before, after)]
        print(f"| {name} | {' | '.join(cells)} | {timing.ratio(values, others):.1f} |")


def totals(times: dict[str, list[float]]) -> list[float]:
    """Seconds of all stages in each round."""
    return [sum(values) for values in zip(*times.values(), strict=True)]


def run(text: str, images: int, compare: Callable[[Case, int], None]) -> None:
    """Read the command line of a benchmark of a case; features and files go into a temporary folder."""
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=images)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    with tempfile.TemporaryDirectory() as name:
        os.chdir(name)
        compare(build_case(Path(name), arguments.images), arguments.rounds)
        os.chdir("/")


if __name__ == "__main__":
    run(str(__doc__), 64, compare)
