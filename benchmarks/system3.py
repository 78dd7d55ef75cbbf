"""The table of system (3) on a subset: recipes of masks, networks and epochs, beside full supervision.

python -m benchmarks.system3 measure --project . --work DIR --out docs/system3_table.csv    after two_cores oxford_pets
python -m benchmarks.system3 show --table docs/system3_table.csv
SUBSET: the training images that have a true mask, so that full supervision sees the very images of the recipes; seeds
of the segmenter alone, one classifier. As published, the border of the true masks is foreground in full supervision.
A row each; a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from stages import evaluate_masks, refine_masks, train_segmenter
from weakseg.artifacts.formats.labels import load_labels
from weakseg.artifacts.formats.masks import IGNORE, Masks, MaskWriter
from weakseg.artifacts.formats.zips import Images
from weakseg.artifacts.truth import TrueMasks
from weakseg.evaluation.masks.measurement import Measurement
from weakseg.evaluation.masks.steps import SegmenterMasks, Step, StoredMasks
from weakseg.harness import checked_params, files, stage

PRESETS = Path(__file__).resolve().parent.parent / "presets"
MASKS = {
    "gradcampp": "system3_gradcampp", "slic": "system3_slic_vote", "self_training": "system3_slic_self_training"
}  # fmt: skip
SUPERVISED = "full_supervision"
NETWORKS = {
    "deeplabv3": ("system3_deeplabv3", "system3_mobilenet"), "unet": ("system3_unet", "system3_mobilenet")
}  # fmt: skip
EPOCHS = (5, 10, 20)
SIZE = 128  # pixels, side in training and prediction
PLAN = [
    (seed, epochs, network, recipe)
    for seed in (0, 1, 2)
    for epochs in EPOCHS
    for network in NETWORKS
    for recipe in (*MASKS, SUPERVISED)
]


def settings(preset: str) -> Iterator[tuple[list[str], Any]]:
    """Place and value of each line of a preset."""
    for name, value in re.findall(r"^-S ([\w.]+)=(.*)$", (PRESETS / preset).read_text(), re.MULTILINE):
        yield name.split("."), yaml.safe_load(value)


@dataclass(frozen=True)
class Project:
    """A finished run of the pipeline, its parameters, and a folder to work in."""

    root: Path
    parameters: Path
    work: Path

    def write_params(self, presets: tuple[str, ...], changes: dict[str, Any]) -> Path:
        """The run's parameters with those of the presets and with `changes` of train_segmenter over them."""
        whole = yaml.safe_load(self.parameters.read_text())
        for preset in presets:
            for (*path, last), value in settings(preset):
                section = whole
                for name in path:
                    section = section[name]
                section[last] = value
        whole["train_segmenter"] |= changes
        out = self.work / "params.yaml"
        files.save_bytes(out, yaml.safe_dump(whole).encode())
        return out

    @cached_property
    def labels(self) -> Path:
        """Labels of the images that have a true mask."""
        frame = load_labels(self.root / "data/labels.csv")
        masks = Masks(self.root / "data/truth/masks")
        out = self.work / "labels.csv"
        files.save_csv(out, frame.loc[[name for name in frame.index if name in masks]].reset_index())
        return out

    @cached_property
    def truth(self) -> TrueMasks:
        """The true masks."""
        return TrueMasks(Masks(self.root / "data/truth/masks"), load_labels(self.labels))

    def ids(self, split: str) -> list[str]:
        """Images of a split that have a true mask."""
        frame = load_labels(self.labels)
        return [str(name) for name in frame.index[frame["split"] == split]]

    def write_truth(self) -> Path:
        """The true masks of the training images, the border as foreground."""
        out = self.work / SUPERVISED
        if not out.exists():
            with MaskWriter(out) as writer:
                for name in sorted(self.ids("train")):
                    mask = self.truth.mask(name)
                    writer.add(name, np.where(mask == IGNORE, mask[mask != IGNORE].max(initial=1), mask))
        return out

    def write_masks(self, recipe: str) -> Path:
        """The pseudo-masks of a recipe."""
        out, data = self.work / recipe / "masks", self.root / "data"
        if not out.exists():
            params = checked_params.load(
                stage.params_model(refine_masks.main), "refine_masks", self.write_params((MASKS[recipe],), {})
            )
            refine_masks.main(
                params, classifier=self.classifier, cams=data / "cams/mobilenet", images=data / "images",
                labels=self.labels, superpixels=data / "superpixels", refined=out.with_name("refined"), out=out,
                pictures=out.with_name("votes.png"),
            )  # fmt: skip
        return out

    @property
    def classifier(self) -> Path:
        """The classifier."""
        return self.root / "models/classifier/mobilenet.safetensors"

    def score(self, step: Step) -> dict[str, float]:
        """Mean IoU of a step on the test images, border ignored at the images' size, and by the published protocol."""
        protocol = checked_params.load(stage.params_model(evaluate_masks.main), "evaluate_masks", self.parameters)
        measurement, ids = Measurement(1, protocol.model_copy(update={"replicates": 1})), self.ids("test")
        for name, found in zip(ids, step.stream(ids), strict=True):
            measurement.add(found, self.truth.mask(name), None)
        return {"images": len(ids), "miou": measurement.meter.result()["miou"], "published": measurement.published()}


def run(project: Project, seed: int, epochs: int, network: str, recipe: str) -> dict[str, Any]:
    """Train one network on the masks of one recipe; its row."""
    presets = (*([MASKS[recipe]] if recipe in MASKS else []), *NETWORKS[network])
    changes = {"epochs": epochs, "image_size": SIZE, "test_size": SIZE, "rounds": int(recipe == "self_training")}
    start = next(value for path, value in settings("two_cores") if path == ["train_segmenter", "encoder_variant"])
    weights = yaml.safe_load(project.parameters.read_text())["networks"]["mobilenet"]["weights"]
    path = project.write_params(presets, {**changes, "weights": weights, "variant": start})
    params = checked_params.load(stage.params_model(train_segmenter.main), "train_segmenter", path)
    stage.device.seed_everything(seed, True)
    data, out = project.root / "data", project.work / "segmenter"
    train_segmenter.main(
        params.model_copy(update={"seed": seed}), supervision="weak" if recipe in MASKS else "full",
        images=data / "images", labels=project.labels,
        masks=project.write_masks(recipe) if recipe in MASKS else project.write_truth(),
        superpixels=data / "superpixels", classifier=project.classifier, out=out,
    )  # fmt: skip
    final = sorted(out.glob("round*.safetensors"))[-1]
    step = SegmenterMasks(project.truth, Images(data / "images"), final, 32, params.precision)
    return {"recipe": recipe, "network": network, "epochs": epochs, "seed": seed, **project.score(step)}


def measure(arguments: argparse.Namespace) -> None:
    """Measure what the table lacks, in the order of PLAN; before it the masks themselves."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    project = Project(arguments.project, arguments.params, arguments.work.resolve())
    rows = pd.read_csv(arguments.out).to_dict("records") if arguments.out.exists() else []
    if not rows:
        for recipe in MASKS:
            step = StoredMasks(Masks(project.write_masks(recipe).with_name("refined")))
            rows.append({"recipe": recipe, "network": "masks", "epochs": 0, "seed": 0, **project.score(step)})
    done = {(row["seed"], row["epochs"], row["network"], row["recipe"]) for row in rows}
    for setting in PLAN:
        if setting not in done:
            rows.append(run(project, *setting))
        files.save_csv(arguments.out, pd.DataFrame(rows).round(4))


def show(arguments: argparse.Namespace) -> None:
    """Print the table: means over the seeds, their spread, headline / published protocol, in %."""
    table = pd.read_csv(arguments.table)
    print("| masks | network | " + " | ".join(f"{epochs} epochs" for epochs in EPOCHS) + " |")
    print("|---" * (2 + len(EPOCHS)) + "|")
    for (recipe, network), rows in table[table["epochs"] > 0].groupby(["recipe", "network"], sort=False):
        cells = []
        for epochs in EPOCHS:
            part = 100 * rows.loc[rows["epochs"] == epochs, ["miou", "published"]]
            spread = f" (± {part['published'].std():.1f}, {len(part)} seeds)" if len(part) > 1 else ""
            cells.append(f"{part['miou'].mean():.1f} / {part['published'].mean():.1f}{spread}" if len(part) else "")
        print(f"| {recipe} | {network} | {' | '.join(cells)} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    table = commands.add_parser("measure")
    table.add_argument("--project", type=Path, default=Path())
    table.add_argument("--params", type=Path, default=Path("params.yaml"))
    table.add_argument("--work", type=Path, required=True)
    table.add_argument("--out", type=Path, required=True)
    table.set_defaults(function=measure)
    printed = commands.add_parser("show")
    printed.add_argument("--table", type=Path, required=True)
    printed.set_defaults(function=show)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
