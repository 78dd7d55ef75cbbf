"""The few figures to remember: cards for the masks and the best network, and all networks beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from weakseg.figures.material import Material, Value
from weakseg.figures.tables import Table, compare_networks, find_final
from weakseg.figures.words import is_number, write_percent, write_range

SCORES = {  # metric of a network by stage, and its name
    ("evaluate_classifier", "test_accuracy"): "test accuracy",
    ("evaluate_boxes", "max_box_acc"): "MaxBoxAcc",
}


@dataclass(frozen=True)
class Card:
    """A large figure, what it is, and a note on it."""

    figure: str
    caption: str
    note: str = ""


def list_cards(material: Material) -> list[Card]:
    """Cards of the masks, then of the best network by each score; of those there are."""
    chain = material.tables.get("evaluate_masks", {}).get("steps", pd.DataFrame())
    return [*(list_mask_cards(chain) if len(chain) else []), *list_best(material)]


def list_mask_cards(chain: pd.DataFrame) -> list[Card]:
    """The final segmenter, its share of the control and the plain map, on test images where they have masks."""
    split = "test" if (chain["split"] == "test").any() else str(chain["split"].iloc[0])
    part = chain[chain["split"] == split]
    rows: dict[Any, dict[Any, Any]] = part.set_index("step").to_dict("index")
    final, control = rows.get(find_final(list(part["step"])), {}), rows.get("control", {})
    cards = []
    if final:
        cards.append(Card(write_percent(final["miou"]), f"mIoU of the segmenter on {split} images", note(final)))
    if final and control.get("miou"):
        share = write_percent(final["miou"] / control["miou"])
        cards.append(
            Card(share, "of the same network trained on true masks", f"whose mIoU is {write_percent(control['miou'])}")
        )
    if "seed" in rows:
        caption = f"mIoU of the plain activation map on {split} images"
        cards.append(Card(write_percent(rows["seed"]["miou"]), caption, note(rows["seed"])))
    return cards


def note(row: dict[Any, Any]) -> str:
    """The interval of a step's mean IoU."""
    return f"95 % of images: {write_range(row['miou_low'], row['miou_high'])}"


def list_best(material: Material) -> list[Card]:
    """The best network by each score."""
    cards = []
    for (stage, key), score in SCORES.items():
        found = {
            name: float(row[key] or 0)
            for name, row in material.figures.get(stage, {}).items()
            if is_number(row.get(key))
        }
        if found:
            best = max(found, key=found.__getitem__)
            note = f"the best of {len(found)} networks" if len(found) > 1 else ""
            cards.append(Card(write_percent(found[best]), f"{score} of {best}", note))
    return cards


def list_networks(material: Material) -> list[Table]:
    """One row a network and one column a score; no table of fewer than two."""
    rows: dict[str, dict[str, Value]] = {}
    for (stage, key), name in SCORES.items():
        for network, numbers in material.figures.get(stage, {}).items():
            if key in numbers:
                rows.setdefault(network, {})[name] = numbers[key]
    return compare_networks(rows, {name: name for name in SCORES.values()}) if len(rows) > 1 else []
