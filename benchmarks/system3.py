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
import shutil
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dvc.utils.hydra import apply_overrides

from benchmarks import finished_run
from benchmarks.finished_run import FinishedRun
from stages import evaluate_masks, refine_masks, train_segmenter
from weakseg.artifacts.formats.masks import IGNORE, Masks, MaskWriter
from weakseg.artifacts.formats.zips import Images
from weakseg.evaluation.masks.measurement import Measurement
from weakseg.evaluation.masks.steps import SegmenterMasks, Step, StoredMasks
from weakseg.harness import device, files, params, stage

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


def overrides(preset: str) -> list[str]:
    """The lines of a preset, as DVC takes them."""
    return re.findall(r"^-S (.*)$", (PRESETS / preset).read_text(), re.MULTILINE)


@dataclass(frozen=True)
class Project(FinishedRun):
    """A finished run, and a folder to work in."""

    work: Path

    def write_params(self, *changes: str) -> Path:
        """The run's parameters with overrides laid over them as DVC does."""
        out = self.work / "params.yaml"
        shutil.copy(self.parameters, out)
        apply_overrides(str(out), list(changes))
        return out

    @cached_property
    def labels(self) -> Path:
        """Labels of the images that have a true mask."""
        out = self.work / "labels.csv"
        files.save_csv(
            out, self.frame.loc[[name for name in self.frame.index if name in self.truth.masks]].reset_index()
        )
        return out

    def write_truth(self) -> Path:
        """The true masks of the training images, the border as foreground."""
        out = self.work / SUPERVISED
        if not out.exists():
            with MaskWriter(out) as writer:
                for name in sorted(self.masked("train")):
                    mask = self.truth.mask(name)
                    writer.add(name, np.where(mask == IGNORE, mask[mask != IGNORE].max(initial=1), mask))
        return out

    def write_masks(self, recipe: str) -> Path:
        """The pseudo-masks of a recipe."""
        out, data = self.work / recipe / "masks", self.root / "data"
        if not out.exists():
            params = self.params(refine_masks, self.write_params(*overrides(MASKS[recipe])))
            refine_masks.main(
                params, classifier=self.classifier, cams=data / f"cams/{self.network}", images=data / "images",
                labels=self.labels, superpixels=data / "superpixels", refined=out.with_name("refined"), out=out,
                pictures=out.with_name("votes.png"),
            )  # fmt: skip
        return out

    def score(self, step: Step) -> dict[str, float]:
        """Mean IoU of a step on the test images, border ignored at the images' size, and by the published protocol."""
        protocol = self.params(evaluate_masks).model_copy(update={"replicates": 1})
        measurement, ids = Measurement(1, protocol), self.masked("test")
        for name, found in zip(ids, step.stream(ids), strict=True):
            measurement.add(found, self.truth.mask(name), None)
        return {"images": len(ids), "miou": measurement.meter.result()["miou"], "published": measurement.published()}


def run(project: Project, seed: int, epochs: int, network: str, recipe: str) -> dict[str, Any]:
    """Train one network on the masks of one recipe; its row."""
    names = [*([MASKS[recipe]] if recipe in MASKS else []), *NETWORKS[network]]
    weights = params.read(project.parameters)["networks"][project.network]["weights"]
    changes = {
        "epochs": epochs, "image_size": SIZE, "test_size": SIZE, "rounds": int(recipe == "self_training"),
        "weights": weights,
    }  # fmt: skip
    own = [f"train_segmenter.{name}={value}" for name, value in changes.items()]
    path = project.write_params(*chain(*map(overrides, names)), *own, f"seed={seed}")
    chosen = project.params(train_segmenter, path)
    device.seed_everything(seed, True)
    data, out = project.root / "data", project.work / "segmenter"
    train_segmenter.main(
        chosen, supervision="weak" if recipe in MASKS else "full",
        images=data / "images", labels=project.labels,
        masks=project.write_masks(recipe) if recipe in MASKS else project.write_truth(),
        superpixels=data / "superpixels", classifier=project.classifier, out=out,
    )  # fmt: skip
    final = sorted(out.glob("round*.safetensors"))[-1]
    step = SegmenterMasks(project.truth, Images(data / "images"), final, 32, chosen.precision)
    return {"recipe": recipe, "network": network, "epochs": epochs, "seed": seed, **project.score(step)}


def measure(arguments: argparse.Namespace) -> None:
    """Measure what the table lacks, in the order of PLAN; before it the masks themselves."""
    arguments.work.mkdir(parents=True, exist_ok=True)
    project = Project(arguments.project, arguments.params, arguments.network, arguments.work.resolve())
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
    columns = [epochs for epochs in EPOCHS if epochs in set(table["epochs"])]
    print("| masks | network | " + " | ".join(f"{epochs} epochs" for epochs in columns) + " |")
    print("|---" * (2 + len(columns)) + "|")
    for (recipe, network), rows in table[table["epochs"] > 0].groupby(["recipe", "network"], sort=False):
        cells = []
        for epochs in columns:
            part = 100 * rows.loc[rows["epochs"] == epochs, ["miou", "published"]]
            spread = f" (± {part['published'].std():.1f}, {len(part)} seeds)" if len(part) > 1 else ""
            cells.append(f"{part['miou'].mean():.1f} / {part['published'].mean():.1f}{spread}" if len(part) else "")
        print(f"| {recipe} | {network} | {' | '.join(cells)} |")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    finished_run.add_measure(commands, measure)
    finished_run.add_show(commands, "show", show)
    arguments = parser.parse_args()
    stage.keep_freed_memory()
    arguments.function(arguments)


if __name__ == "__main__":
    main()
