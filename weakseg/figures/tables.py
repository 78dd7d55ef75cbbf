"""The tables of the report as plain data: what the stages wrote, named in words and laid side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from weakseg.figures.words import Value, is_number, name_key, name_step, write_number, write_percent, write_range

Items = Mapping[str, Mapping[str, Value]]


@dataclass(frozen=True)
class Cell:
    """A text, and where it is a share in [0, 1], the percent of a bar that is filled."""

    text: str
    filled: float | None = None


@dataclass(frozen=True)
class Row:
    """A name and its cells; mark: "", "strong" or "faint"."""

    name: str
    cells: Sequence[Cell]
    mark: str = ""


@dataclass(frozen=True)
class Table:
    """Head (the first column's included) and rows; a folded table opens on a click on its title."""

    head: Sequence[str]
    rows: Sequence[Row]
    title: str = ""
    folded: bool = False


def show_number(value: Value) -> Cell:
    """A cell with a number as text."""
    return Cell(write_number(value))


def show_percent(value: Value) -> Cell:
    """A cell with a fraction as percent."""
    return Cell(write_percent(value))


def show_bar(value: Value) -> Cell:
    """A cell with a fraction as percent and as a bar; one beyond [0, 1] fills all or nothing."""
    filled = min(max(100 * float(value), 0.0), 100.0) if value is not None and is_number(value) else None
    return Cell(write_percent(value), filled)


COLUMNS: dict[str, tuple[str, Callable[[Value], Cell]]] = {
    "miou": ("mIoU", show_bar),
    "published": ("published", show_percent),
    "foreground_miou": ("mIoU of foreground", show_percent),
    "miou_kept": ("of decided pixels", show_percent),
    "kept": ("decided", show_percent),
    "pixel_accuracy": ("pixel accuracy", show_percent),
    "boundary_f": ("boundary F", show_percent),
    "over_activation": ("over", show_percent),
    "under_activation": ("under", show_percent),
    "head_recall": ("head recall", show_percent),
    "body_recall": ("body recall", show_percent),
}
BASELINES = {
    "predicted_": "{}, map of the predicted class", "random_": "{}, random weights",
    "center_": "Gaussian in the center", "full_": "Whole image",
}  # fmt: skip
BOX_SCORES = ("max_box_acc", "max_box_acc_v2", "pxap", "top1_loc", "top5_loc", "carried_box_acc", "label_free_box_acc")


def compare_items(items: Items, title: str = "", folded: bool = False) -> list[Table]:
    """One row a figure and one column an item, a dash where an item lacks it; no table without a figure."""
    keys = dict.fromkeys(key for item in items.values() for key in item)
    rows = [Row(name_key(key), [show_number(item.get(key)) for item in items.values()]) for key in keys]
    return [Table(["", *items], rows, title, folded)] if rows else []


def compare_networks(items: Items, columns: Mapping[str, str]) -> list[Table]:
    """One row an item and one column a score, as bars; `columns`: key and heading of those that any item has."""
    present = {key: head for key, head in columns.items() if any(is_number(item.get(key)) for item in items.values())}
    rows = [Row(name, [show_bar(item.get(key)) for key in present]) for name, item in items.items()]
    return [Table(["", *present.values()], rows)] if present else []


def compare_boxes(items: Items) -> list[Table]:
    """One row a network, then its maps without the label, then it with random weights; last what needs no network."""
    rows: dict[str, dict[str, Value]] = {}
    for name, figures in items.items():
        for prefix, label in {"": "{}", **BASELINES}.items():
            found = {key: figures[prefix + key] for key in BOX_SCORES if prefix + key in figures}
            if found:
                rows[label.format(name)] = found
    last = [name for name in rows if name in BASELINES.values()]
    ordered = {name: row for name, row in rows.items() if name not in last} | {name: rows[name] for name in last}
    return compare_networks(ordered, {key: name_key(key) for key in BOX_SCORES})


def list_rows(frame: pd.DataFrame, title: str) -> Table:
    """A table as it was written, its first column as the name of each row; folded."""
    rows = [
        Row(str(first), [show_number(value) for value in others]) for first, *others in frame.to_numpy(object).tolist()
    ]
    return Table([name_key(name) for name in frame.columns], rows, title, folded=True)


def find_final(steps: Sequence[str]) -> str:
    """The last round of the segmenter among the steps of the chain; empty without one."""
    return next((step for step in reversed(steps) if step.startswith("round")), "")


def list_chain(frame: pd.DataFrame, title: str) -> Table:
    """One row a step of one split: scores with bars; baselines, oracles and control faint, the last round strong."""
    final = find_final(list(frame["step"]))
    columns = [name for name in COLUMNS if name in frame and frame[name].notna().any()]
    if "kept" in columns and (frame["kept"] == 1).all():
        columns = [name for name in columns if name not in ("kept", "miou_kept")]
    rows = []
    for row in frame.to_dict("records"):
        first, *others = (COLUMNS[name][1](row[name]) for name in columns)
        interval = Cell(write_range(row.get("miou_low"), row.get("miou_high")))
        rows.append(Row(name_step(row["step"]), [first, interval, *others], _mark(row["step"], final)))
    overlap = "mIoU of background and classes" if "foreground_miou" in columns else COLUMNS["miou"][0]
    return Table(["", overlap, "95 % of images", *(COLUMNS[name][0] for name in columns[1:])], rows, title)


def _mark(step: str, final: str) -> str:
    plain = step.startswith(("all_", "center", "control")) or step.endswith("oracle")
    return "strong" if step == final else "faint" if plain else ""


def list_protocols(frame: pd.DataFrame, title: str) -> Table:
    """One row a protocol and one column a step, of the test images where there are any; folded."""
    split = "test" if (frame["split"] == "test").any() else frame["split"].iloc[0]
    part, keys = frame[frame["split"] == split], ["average", "border", "size"]
    wide = part.pivot(index=keys, columns="step", values="miou")[list(dict.fromkeys(part["step"]))]
    wide = wide.loc[list(dict.fromkeys(part[keys].itertuples(index=False, name=None)))]
    rows = [
        Row(", ".join(key), [show_percent(value) for value in row])
        for key, row in zip(wide.index, wide.values, strict=True)
    ]
    return Table(["average, border, size", *(name_step(step) for step in wide.columns)], rows, title, folded=True)
