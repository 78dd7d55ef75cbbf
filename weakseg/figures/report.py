"""The report: every figure and picture that the stages left, arranged from labels to masks on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from weakseg.figures import page
from weakseg.figures.tables import boxes_table, chain_table, learning_curves, protocol_table, side_by_side, words
from weakseg.harness import files

MATRIX = (
    "train_classifier", "train_crm", "generate_cams", "distill_cams", "evaluate_classifier", "evaluate_boxes",
    "measure_erf",
)  # fmt: skip
SECTIONS = {
    "train_classifier": ("Training", "What the classifiers cost and how they converged."),
    "evaluate_classifier": (
        "Classifiers",
        "Accuracy on each split, and how faithful the activation maps are to the classifier, measured without masks: "
        "lower is better for average drop and deletion, higher for increase, insertion and ROAD.",
    ),
    "train_crm": (
        "Reconstruction",
        "Classifiers trained on so that their activation maps suffice to redraw the image.",
    ),
    "train_segmenter": ("Segmenter", "Trained on the pseudo-masks alone."),
    "train_control": ("Control", "The same network and schedule on true masks: what the masks would have bought."),
    "evaluate_boxes": (
        "Localization",
        "Boxes around the activation maps against true boxes, beside baselines that need no model. Scores that choose "
        "their threshold on the test set are oracles by definition; the others carry it over or need none.",
    ),
    "measure_erf": ("Effective receptive field", "How much of the image reaches the features."),
    "compare_erf": ("Receptive field against localization", "Whether a wider field comes with better boxes."),
}
CAPTIONS = {
    "evaluate_masks/worst": "The worst masks of the final segmenter, with the mean IoU of each image",
    "evaluate_masks/random": "Masks of images drawn at random, with the mean IoU of each image",
}


@dataclass
class Material:
    """Metrics, tables and pictures by stage and item; the item is "" where a stage has only one."""

    metrics: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    tables: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)
    pictures: dict[str, dict[str, bytes]] = field(default_factory=dict)


def read_table(path: Path) -> pd.DataFrame:
    """A CSV file; an empty one gives an empty table."""
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def collect(folders: Sequence[Path], backbones: Sequence[str]) -> Material:
    """Read all that lies below the folders as <stage>.<suffix> or <stage>/<item>.<suffix>, in the order of names.

    What belongs to a backbone that is not among `backbones` is a leftover of an earlier run and is not read.
    """
    found = Material()
    readers: dict[str, tuple[dict, Callable[[Path], Any]]] = {
        ".json": (found.metrics, files.load_json),
        ".csv": (found.tables, read_table),
        ".png": (found.pictures, Path.read_bytes),
    }
    for folder in folders:
        for path in sorted(files.existing(folder).rglob("*")):
            stage, *rest = path.relative_to(folder).with_suffix("").parts
            leftover = stage in MATRIX and rest and rest[0] not in backbones
            if path.suffix in readers and path.is_file() and not leftover:
                target, read = readers[path.suffix]
                target.setdefault(stage, {})["/".join(rest)] = read(path)
    return found


def embedded(stage: str, items: dict[str, bytes]) -> str:
    """Every picture of a stage."""
    names = {name: CAPTIONS.get(f"{stage}/{name}", words(name.replace("/", ": "))) for name in items}
    return "\n".join(page.picture(content, names[name]) for name, content in items.items())


def stage_section(material: Material, stage: str) -> str:
    """The section of one stage: its metrics side by side, its curves and its pictures."""
    title, text = SECTIONS[stage]
    curves = learning_curves(material.tables.get(stage, {})) if stage.startswith("train") else ""
    arrange = boxes_table if stage == "evaluate_boxes" else side_by_side
    blocks = arrange(material.metrics.get(stage, {})), curves, embedded(stage, material.pictures.get(stage, {}))
    return page.section(title, text, *blocks)


def masks_section(material: Material) -> str:
    """The chain of masks on test and training images, every protocol of the final segmenter, and pictures."""
    tables = material.tables.get("evaluate_masks", {}).values()
    chain = next((frame for frame in tables if {"split", "step", "miou_low"} <= set(frame.columns)), None)
    if chain is None:
        return ""
    blocks = []
    for split, title in (("test", "Test images"), ("train", "Training images (only the control saw their masks)")):
        part = chain[chain["split"] == split]
        if len(part):
            blocks += [f"<h3>{title}</h3>", chain_table(part)]
    protocols = next((frame for frame in tables if "average" in frame), None)
    if protocols is not None:
        blocks.append(page.details("The same masks under every protocol", protocol_table(protocols)))
    blocks.append(embedded("evaluate_masks", material.pictures.get("evaluate_masks", {})))
    text = (
        "Mean IoU of foreground and background over the whole set, at the images' own size, the undefined border left "
        "out. The published protocol counts the border as foreground, at a square size, averaged over batches. Over "
        "and under are false and missed foreground as a share of the union. Only the control was trained on true masks."
    )
    return page.section("From activation map to mask", text, *blocks)


def headline(material: Material) -> str:
    """The few figures to remember, of those there are."""
    masks = material.metrics.get("evaluate_masks", {}).get("", {})
    split = "test" if "test_segmenter_miou" in masks else "train"
    items = [
        (f"mIoU of the segmenter on {split} images", masks.get(f"{split}_segmenter_miou")),
        ("of the same network trained on true masks", masks.get(f"{split}_segmenter_of_control")),
        (f"mIoU of the plain activation map on {split} images", masks.get(f"{split}_seed_miou")),
    ]
    for name, found in material.metrics.get("evaluate_classifier", {}).items():
        items.append((f"test accuracy of {name}", found.get("test_accuracy")))
    for name, found in material.metrics.get("evaluate_boxes", {}).items():
        items.append((f"MaxBoxAcc of {name}", found.get("max_box_acc")))
    known = [(caption, page.percent(value)) for caption, value in items if value is not None]
    return page.cards(known) if known else ""


def render(material: Material, title: str) -> str:
    """The whole page."""
    sections = [stage_section(material, stage) for stage in SECTIONS]
    stages = sorted({*material.metrics, *material.pictures} - set(SECTIONS))
    tables = {stage: side_by_side(material.metrics.get(stage, {})) for stage in stages}
    shown = {stage: embedded(stage, material.pictures.get(stage, {})) for stage in stages if stage != "evaluate_masks"}
    listed = [page.details(stage, tables[stage] + shown.get(stage, "")) for stage in stages]
    rest = page.section("All other figures", "As the stages wrote them.", *listed)
    subtitle = "From image-level labels to segmentation masks and boxes."
    return page.page(title, subtitle, [headline(material), masks_section(material), *sections, rest])
