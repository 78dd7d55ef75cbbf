"""Does CRM help? Maps, accuracy and reconstruction over its epochs, for settings beside the one that was published.

python -m benchmarks.crm_curve measure --project . --work DIR --out docs/crm.csv     after `two_cores oxford_pets`
python -m benchmarks.crm_curve measure ... --images 0 --settings "system, 1e-4" "labels alone, 1e-4"      of all images
python -m benchmarks.crm_curve draw --table docs/crm.csv --picture docs/pictures/crm.png
A setting is trained once, at a constant rate, and measured after EPOCHS; a row each. A killed run goes on where it was.
SUBSET images of each kind and TRAINED in training, evenly spaced. True masks only score; they choose nothing but the
oracle, named so.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks import finished_run
from benchmarks.finished_run import FinishedRun
from stages import distill_cams, generate_cams, train_crm
from weakseg.artifacts import activations
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.masks import merge_classes
from weakseg.artifacts.sampling import evenly
from weakseg.cams import archive
from weakseg.cams.extraction import Extractor
from weakseg.data.showing import Showing
from weakseg.evaluation import reconstruction
from weakseg.evaluation.masks.class_maps import ClassMaps, find_oracle
from weakseg.evaluation.masks.segmentation import Segmentation
from weakseg.evaluation.masks.steps import CenterGaussian, Step, ThresholdedMaps
from weakseg.figures.charts import render_png
from weakseg.harness import files, stage
from weakseg.harness.kept import Kept
from weakseg.masks.distillation.distill import distill, read_features
from weakseg.masks.distillation.task import Task
from weakseg.masks.sources import Sources
from weakseg.networks import levels
from weakseg.networks.classifier import Classifier
from weakseg.networks.loading import saved_classifier
from weakseg.networks.reconstruction import saved_reconstructor
from weakseg.training import crm_training
from weakseg.training.crm import Data, Networks

EPOCHS = (1, 5, 15)
SUBSET = {"test": 212, "train masks": 95, "test masks": 56}  # images
TRAINED = 192  # images that a setting trains on, evenly spaced over all classes
BATCH_SIZE = 16
TRAINABLE = 2  # last blocks
SIZE = 128  # pixels, side in CRM's training; maps and accuracy are measured at the size of generate_cams


@dataclass(frozen=True)
class Setting:
    """Weights of the terms, and the classifier's learning rate."""

    rate: float
    fixed_norm: bool = True
    l1_weight: float = 1.0
    perceptual_weight: float = 0.3
    alignment_weight: float = 0.3


FIGURES = {
    "accuracy": "accuracy, test",
    "train_map": "map, train",
    "test_map": "map, test",
    "train_distilled": "distilled, train",
    "test_distilled": "distilled, test",
    "l1": "L1, test",
}
SETTINGS = {
    "system, 1e-3": Setting(1e-3),
    "labels alone, 1e-3": Setting(1e-3, True, 0.0, 0.0, 0.0),
    "system, 1e-4": Setting(1e-4),
    "labels alone, 1e-4": Setting(1e-4, True, 0.0, 0.0, 0.0),
    "no alignment, 1e-3": Setting(1e-3, alignment_weight=0.0),
    "no alignment, 1e-4": Setting(1e-4, alignment_weight=0.0),
    "system, 1e-5": Setting(1e-5),
    "alignment alone, weight 3, 1e-4": Setting(1e-4, True, 0.0, 0.0, 3.0),
    "paper, 1e-4": Setting(1e-4, True, 0.0, 1.0, 1.0),
    "system, 1e-3, BatchNorm adapts": Setting(1e-3, False),
    "labels alone, 1e-3, BatchNorm adapts": Setting(1e-3, False, 0.0, 0.0, 0.0),
    "labels alone, 1e-4, BatchNorm adapts": Setting(1e-4, False, 0.0, 0.0, 0.0),
}
SEEDED = list(SETTINGS)[:6]  # with three seeds
PLAN = [(name, 0) for name in SETTINGS] + [(name, seed) for seed in (1, 2) for name in SEEDED]


@dataclass(frozen=True)
class Project(FinishedRun):
    """A finished run, and on how many of its images a setting is trained."""

    trained: int = TRAINED  # images; 0: all

    @cached_property
    def images(self) -> zips.Images:
        """All images; what was read stays in memory."""
        return remember(zips.Images(self.root / "data/images"), "image")

    @cached_property
    def segments(self) -> zips.Segments:
        """All superpixels; what was read stays in memory."""
        return remember(zips.Segments(self.root / "data/superpixels"), "segments")

    def scored(self, split: str) -> list[str]:
        """The chosen images of a split with a true mask."""
        return evenly(self.masked(split), SUBSET[f"{split} masks"])


def remember(archive: Any, method: str) -> Any:
    """The archive, its reading method cached."""
    object.__setattr__(archive, method, cache(getattr(archive, method)))
    return archive


class Remembered(nn.Module):
    """Frozen blocks whose output for an image is computed once: every setting and every epoch begins with them."""

    known: ClassVar[dict[bytes, Tensor]] = {}

    def __init__(self, blocks: nn.Sequential) -> None:
        super().__init__()
        self.blocks = blocks

    def forward(self, images: Tensor) -> Tensor:
        """Images (B,3,H,W) -> features (B,C,h,w)."""
        keys = [hashlib.blake2b(image.contiguous().numpy(), digest_size=16).digest() for image in images]
        new = [number for number, key in enumerate(keys) if key not in self.known]
        if new:
            with torch.no_grad():
                self.known.update(zip([keys[number] for number in new], self.blocks(images[new]), strict=True))
        return torch.stack([self.known[key] for key in keys]).contiguous(memory_format=torch.channels_last)


def remember_frozen(classifier: Classifier) -> None:
    """Let the first of the blocks that CRM leaves alone stand for all of them, and the others do nothing."""
    count = classifier.levels - TRAINABLE
    frozen = classifier.blocks[:count].requires_grad_(False).eval()
    classifier.blocks = nn.Sequential(Remembered(frozen), *[nn.Identity()] * (count - 1), *classifier.blocks[count:])


def write_maps(project: Project, network: Any, names: list[str], folder: Path) -> tuple[Path, Path]:
    """Activation maps of the images that masks score, and distilled ones, plain rounds alone; as the stages do it."""
    frame = project.frame.loc[sorted({*project.scored("train"), *project.scored("test")})]
    params = project.params(generate_cams).model_copy(update={"feature_level": -TRAINABLE})  # stored ones serve nobody
    source = archive.Source(project.images, frame, names, params)
    extractor = Extractor(network, params.method, params, archive.fit_projection(network, source))
    with tempfile.TemporaryDirectory(dir=folder) as temporary, Kept(Path(temporary) / "items") as items:
        archive.write(extractor, source, items, folder / "cams")
    recipe = project.params(distill_cams).model_copy(update={"refined_rounds": 0})
    trained = [place for place, split in enumerate(frame["split"]) if split == "train"]
    sources = Sources(project.images, project.segments, activations.Cams(folder / "cams"))
    task = Task(sources, recipe, list(frame.index), trained, len(names), recipe.seed)
    wanted = [levels.count_blocks(network, level) for level in recipe.levels]
    # The distilled level lies below the blocks that CRM trains, so that its features are those of every setting.
    stacks = read_features(task, network, wanted, folder.parent / "features")
    distill(task, stacks, recipe.refiner, folder / "distilled")
    return folder / "cams", folder / "distilled"


def score(project: Project, step: Step, ids: list[str]) -> float:
    """Mean IoU of foreground and background over all pixels of the images, border ignored, original size."""
    meter = Segmentation(2, replicates=1)
    for name, found in zip(ids, step.stream(ids), strict=True):
        meter.add(merge_classes(found.mask), merge_classes(project.truth.mask(name)))
    return meter.result()["miou"]


def score_maps(project: Project, cams: Path, distilled: Path) -> dict[str, float]:
    """Mean IoU of the maps at Otsu's threshold, at the oracle's, and distilled; of both splits."""
    row = {}
    seed = ClassMaps.activations(activations.Cams(cams))
    logits = ClassMaps.logits(activations.Cams(distilled))
    for split in ("train", "test"):
        ids = project.scored(split)
        best = find_oracle(project.truth, seed, ids)
        steps = {"map": (seed, None), "map_oracle": (seed, best), "distilled": (logits, 0.0)}
        for name, (maps, cut) in steps.items():
            row[f"{split}_{name}"] = score(project, ThresholdedMaps(project.truth, maps, cut, 0.0), ids)
    return row


def measure_epoch(project: Project, networks: Networks, header: Any, folder: Path) -> dict[str, float]:
    """A row of figures of both networks as they are now."""
    ids = evenly(project.split("test"), SUBSET["test"])
    data = Data(project.images, project.frame.loc[ids], header.classes)
    rebuilt = reconstruction.evaluate(networks, data, Showing(SIZE, 32, "fp32"))
    maps = score_maps(project, *write_maps(project, networks.classifier, header.classes, folder))
    return {"accuracy": accuracy(networks.classifier, data, header.image_size), "l1": rebuilt["l1"], **maps}


def accuracy(classifier: Any, data: Data, size: int) -> float:
    """Share of the images whose most probable class is their label."""
    reader = data.reader(list(data.frame.index), Showing(size, 32, "fp32"))
    right = []
    with torch.inference_mode():
        for pixels, ids in reader.batches("accuracy", (classifier.mean, classifier.std)):
            best = classifier(pixels.to(memory_format=torch.channels_last)).argmax(1).tolist()
            right += [data.names[k] in data.frame.at[name, "labels"] for k, name in zip(best, ids, strict=True)]
    return float(np.mean(right))


def prepare(project: Project, setting: Setting, seed: int) -> tuple[Networks, Any, Any]:
    """Networks, recipe and the classifier's header of a setting."""
    network, header = saved_classifier.load(project.classifier)
    changes = {
        "seed": seed, "image_size": SIZE, "batch_size": BATCH_SIZE, "warmup_epochs": 0, "width": 16, "flip": True,
        "trainable_blocks": TRAINABLE, "learning_rate": setting.rate, "reconstruct_rate": 1e-2,
        "fixed_norm": setting.fixed_norm,
        "l1_weight": setting.l1_weight, "alignment_weight": setting.alignment_weight,
        "perceptual_weight": setting.perceptual_weight,
        "perceptual": "classifier" if setting.perceptual_weight else "none",
    }  # fmt: skip
    recipe = project.params(train_crm).model_copy(update=changes)
    method = project.params(generate_cams).method
    torch.manual_seed(seed)
    rebuilder = saved_reconstructor.build(crm_training.describe(network, header.classes, method, recipe), seed)
    networks = crm_training.build(network, rebuilder, method, recipe, Path("none"))
    remember_frozen(network)
    return networks, recipe, header


def run_setting(project: Project, name: str, seed: int, folder: Path, done: set[int]) -> Iterator[dict[str, Any]]:
    """Train a setting and give a row at each of EPOCHS that `done` lacks; the checkpoint of an earlier run goes on."""
    if not set(EPOCHS) - done:
        return
    setting, start = SETTINGS[name], time.process_time()
    networks, recipe, header = prepare(project, setting, seed)
    ids = evenly(project.split("train"), project.trained) if project.trained else project.split("train")
    data = Data(project.images, project.frame.loc[ids], header.classes)
    checkpoint = folder / f"{name} {seed} {len(ids)}.pt"
    for epochs in sorted(set(EPOCHS) - done):
        plan = recipe.model_copy(update={"epochs": epochs})
        history = crm_training.train(networks, data, project.segments, plan, checkpoint)
        last = {f"train_{term}": history[-1][term] for term in ("classification", "l1", "alignment")}
        row = {"setting": name, "seed": seed, "images": len(ids), "epoch": epochs, **dataclasses.asdict(setting)}
        yield {**row, **measure_epoch(project, networks, header, folder), **last}
    print(f"{name}, seed {seed}: {time.process_time() - start:.0f} s of processor time", flush=True)


def measure_plain(project: Project, folder: Path) -> dict[str, Any]:
    """The row of the plain classifier, and the baseline that looks at no image."""
    network, header = saved_classifier.load(project.classifier)
    ids = evenly(project.split("test"), SUBSET["test"])
    data = Data(project.images, project.frame.loc[ids], header.classes)
    maps = score_maps(project, *write_maps(project, network, header.classes, folder))
    gaussian = CenterGaussian(project.truth, 0.25, 0.0, lambda image_id: 1)
    center = {f"{split}_center": score(project, gaussian, project.scored(split)) for split in ("train", "test")}
    found = {"accuracy": accuracy(network, data, header.image_size), **maps, **center}
    return {"setting": "plain classifier", "seed": 0, "images": 0, "epoch": 0, **found}


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Add rows to the table."""
    old = pd.read_csv(path).to_dict("records") if path.exists() else []
    files.save_csv(path, pd.DataFrame(old + rows).round(5))


def measure(arguments: argparse.Namespace) -> None:
    """Measure what the table lacks, in the order of PLAN."""
    project = Project(arguments.project, arguments.params, arguments.network, arguments.images)
    arguments.work.joinpath("now").mkdir(parents=True, exist_ok=True)
    arguments.work.joinpath("features").mkdir(exist_ok=True)
    folder = arguments.work / "now"
    rows = list(pd.read_csv(arguments.out).itertuples()) if arguments.out.exists() else []
    trained = arguments.images or len(project.split("train"))
    done = {(row.setting, row.seed, row.epoch) for row in rows if row.images == trained}
    known = any(row.epoch == 0 for row in rows)
    if not known or not list(arguments.work.glob("features/*.npy")):
        plain = measure_plain(project, folder)
        append(arguments.out, [] if known else [plain])
    for name, seed in [(name, 0) for name in arguments.settings] or PLAN:
        epochs = {epoch for one, other, epoch in done if (one, other) == (name, seed)}
        for row in run_setting(project, name, seed, folder, epochs):
            append(arguments.out, [row])


def draw(arguments: argparse.Namespace) -> None:
    """Draw FIGURES of SEEDED over the epochs, dotted where all images were trained on, and print the whole table."""
    from matplotlib.figure import Figure

    table = pd.read_csv(arguments.table)
    # Where no term asks for the image, the reconstruction network was not trained and its L1 says nothing.
    table["l1"] = table["l1"].where(table["l1_weight"] + table["perceptual_weight"] > 0)
    plain, trained = table[table["epoch"] == 0].iloc[0], table[table["epoch"] > 0]
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    for (name, title), axis in zip(FIGURES.items(), axes, strict=True):
        for (setting, images), rows in trained[trained["setting"].isin(SEEDED)].groupby(["setting", "images"]):
            values, color = rows.groupby("epoch")[name], f"C{SEEDED.index(setting)}"
            label, line = (setting, "-") if images == TRAINED else (f"{setting}; {images:,} images", ":")
            axis.plot(values.mean(), line, marker="o", color=color, label=label)
            axis.fill_between(values.mean().index, values.min(), values.max(), alpha=0.15, color=color)
        if name in table and pd.notna(plain.get(name)):
            axis.axhline(plain[name], color="black", linestyle="--", label="plain classifier")
        axis.set(title=title, xlabel="epoch", xscale="log", xticks=EPOCHS, xticklabels=EPOCHS)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    files.save_bytes(arguments.picture, render_png(figure))
    print(list_rows(plain, trained))


def list_rows(plain: pd.Series, trained: pd.DataFrame) -> str:
    """The table as text: per cent but for L1, mean and standard deviation over the seeds."""
    heads = ["setting", "images", "seeds", "epoch", *FIGURES.values()]
    groups = trained.groupby(["setting", "images", "epoch"], sort=False)
    parts = [((name, f"{images:,}", len(part), epoch), part) for (name, images, epoch), part in groups]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, part in [(("plain classifier", "", 1, 0), plain.to_frame().T), *parts]:
        cells = [show_cell(part[figure].astype(float), figure == "l1") for figure in FIGURES]
        lines.append(f"| {' | '.join(map(str, [*name, *cells]))} |")
    return "\n".join(lines)


def show_cell(values: pd.Series, is_error: bool) -> str:
    """Mean, and spread where there are several; nothing where nothing was measured."""
    if values.isna().any():
        return ""
    if is_error:
        return f"{values.mean():.3f}"
    return f"{100 * values.mean():.1f}" + (f" ± {100 * values.std():.1f}" if len(values) > 1 else "")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    table = finished_run.add_measure(commands, measure)
    table.add_argument("--images", type=int, default=TRAINED, help="that a setting trains on; 0: all")
    table.add_argument("--settings", nargs="*", default=[], choices=list(SETTINGS), help="default: all, with seeds")
    finished_run.add_show(commands, "draw", draw).add_argument("--picture", type=Path, required=True)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
