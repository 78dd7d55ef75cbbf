"""One network of the study, from drawings to its row: the pipeline's own stages, one after the other in one process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from stages import (
    compute_superpixels,
    distill_cams,
    download,
    evaluate_boxes,
    generate_cams,
    measure_erf,
    prepare_data,
    train_classifier,
)
from studies.kernels.plan import Network, Plan, compose, dump, list_networks
from weakseg.artifacts.formats import tables
from weakseg.artifacts.formats.labels import load_labels, save_labels
from weakseg.artifacts.sampling import evenly
from weakseg.errors import UserError
from weakseg.harness import files, stage
from weakseg.networks.weight_files import fetch_weights

FIELD = (
    "central_area_20", "central_area_30", "central_area_50", "central_area_99", "saliency_share", "saliency_side",
    "saliency_pixels", "crossness", "random_central_area_50", "random_saliency_share", "parameters", "flops",
)  # fmt: skip
BOXES = ("max_box_acc", "max_box_acc_error", "max_box_acc_v2", "carried_box_acc", "label_free_box_acc", "pxap")
ONCE = ("accuracy", "center_max_box_acc", "full_max_box_acc", "images")


class Runner:
    """Runs stages in a folder with a composed params.yaml, as dvc.yaml would, but in this process."""

    def __init__(self, folder: Path, name: str, composed: Mapping[str, Any], network: str | None = None) -> None:
        self.folder, self.composed, self.network = folder, composed, network
        self.params = folder / f"params.{name}.yaml"
        files.save_bytes(self.params, dump(composed))

    @property
    def method(self) -> str:
        """Method of the activation maps."""
        return self.composed["generate_cams"]["method"]

    @property
    def distills(self) -> bool:
        """Whether boxes are found in distilled maps."""
        return self.composed["evaluate_boxes"]["source"] == "distilled"

    def run(self, main: Callable[..., Any], **paths: Path) -> dict[str, Any]:
        """Seed, run one stage, give its scores."""
        name = str(sys.modules[main.__module__].__file__).rpartition("/")[2].removesuffix(".py")
        scores = self.folder / "scores.csv"
        arguments = argparse.Namespace(
            params=self.params, network=self.network, metrics=None, scores=scores, curves=None, **paths
        )
        stage.execute(main, arguments, name, torch=True)
        return tables.load_scores(scores)


def locate(folder: Path) -> dict[str, Path]:
    """Paths of the images that all networks share and of their truth, by the flag they go to."""
    kinds = {"images": "zip", "labels": "csv", "masks": "zip", "boxes": "csv", "parts": "csv", "superpixels": "zip"}
    kinds |= {"mapped": "csv", "scored": "csv"}
    return {name: folder / f"{name}.{suffix}" for name, suffix in kinds.items()}


def draw(whole: Mapping[str, Any], plan: Plan, folder: Path) -> None:
    """Draw them into a folder."""
    paths = locate(folder)
    runner = Runner(folder, "data", compose(whole, plan, list_networks(plan)[0], next(iter(plan.maps))))
    truth = {name: path for name, path in paths.items() if name not in ("superpixels", "mapped", "scored")}
    runner.run(download.main, checked=runner.params, out=folder / "raw")
    runner.run(prepare_data.main, raw=folder / "raw", **truth)
    save_part(paths["labels"], plan.mapped_images, paths["mapped"])
    save_part(paths["labels"], 0, paths["scored"])
    mapped = {"images": paths["images"], "labels": paths["mapped"]}
    runner.run(compute_superpixels.main, **mapped, out=paths["superpixels"])


def save_part(labels: Path, most: int, out: Path) -> None:
    """Write the table of some of the training images and all others: those that maps are computed of."""
    frame = load_labels(labels)
    trained = frame.index[frame["split"] == "train"]
    save_labels(out, frame.drop(trained.difference(evenly(list(trained), most))))


class Study:
    """One network in a folder of its own, on images that all networks share; `data` are their paths by flag."""

    def __init__(self, runners: Mapping[str, Runner], data: Mapping[str, Path], folder: Path) -> None:
        self.runners, self.data, self.folder = runners, data, folder
        self.seen = {"images": data["images"], "labels": data["labels"]}
        self.distilled = {runner.method for runner in runners.values() if runner.distills}
        self.classifier, self.predictions = folder / "classifier.safetensors", folder / "predictions.csv"
        self.outputs = {"predictions": self.predictions, "checkpoints": folder / "checkpoints"}
        self.archives: dict[str, dict[str, Path]] = {}

    def train(self) -> dict[str, Any]:
        """Train the classifier and measure its receptive field."""
        runner, weights = next(iter(self.runners.values())), self.folder / "weights.safetensors"
        fetch_weights.bring("random", self.folder, weights)
        runner.run(train_classifier.main, **self.seen, weights=weights, out=self.classifier, **self.outputs)
        names = {"out": "erf.npz", "areas": "areas.csv", "picture": "erf.png", "sizes": "sizes.png"}
        paths = {flag: self.folder / name for flag, name in names.items()}
        return runner.run(measure_erf.main, **self.seen, classifier=self.classifier, **paths)

    def generate(self, runner: Runner) -> dict[str, Path]:
        """Activation maps by the runner's method, once each: archives by flag."""
        method = runner.method
        if method not in self.archives:
            found = {"out": self.folder / method, "known": self.folder / f"{method}_known"}
            labels = self.data["mapped" if method in self.distilled else "scored"]
            given = {"images": self.data["images"], "labels": labels, "classifier": self.classifier}
            runner.run(generate_cams.main, **given, **found)
            self.archives[method] = {"cams": found["out"], "known": found["known"]}
        return self.archives[method]

    def distill(self, runner: Runner, cams: Path) -> Path:
        """The archive of distilled maps."""
        out = self.folder / "distilled"
        given = {"images": self.data["images"], "labels": self.data["mapped"], "superpixels": self.data["superpixels"]}
        runner.run(distill_cams.main, **given, classifier=self.classifier, cams=cams, out=out)
        return out

    def score_boxes(self, kind: str) -> dict[str, Any]:
        """Scores of the boxes in one kind of maps."""
        runner = self.runners[kind]
        archives = self.generate(runner)
        if runner.distills:
            archives = archives | {"cams": self.distill(runner, archives["cams"])}
        names = {"overlaps": "overlaps.csv", "accuracy": "acc.csv", "pictures": "boxes.png", "thresholds": "th.png"}
        paths = {flag: self.folder / name for flag, name in names.items()} | archives
        truth = self.seen | {name: self.data[name] for name in ("boxes", "masks")}
        given = truth | {"predictions": self.predictions, "classifier": self.classifier}
        return runner.run(evaluate_boxes.main, **given, **paths)


def measure(
    whole: Mapping[str, Any], plan: Plan, network: Network, data: Mapping[str, Path], folder: Path
) -> dict[str, Any]:
    """Train one network, measure its field, find boxes in each of its maps: its row of the table.

    UserError: a network whose field is empty, since all of its gradients are 0.
    """
    runners = {kind: Runner(folder, kind, compose(whole, plan, network, kind), network.variant) for kind in plan.maps}
    study = Study(runners, data, folder)
    field = study.train()
    if any(not field[name] > 0 for name in plan.measures):
        raise UserError(f"{network.name} has no receptive field: all gradients are 0, lower train_classifier's rates")
    row: dict[str, Any] = {
        "network": network.name,
        "kernel": network.kernel,
        "shape": network.shape,
        "seed": network.seed,
    }
    row |= {name: field[name] for name in FIELD}
    for kind in plan.maps:
        scores = study.score_boxes(kind)
        row |= {name: scores[name] for name in ONCE} | {f"{kind}_{name}": scores[name] for name in BOXES}
    return row
