"""The tables and charts of the report: what the stages wrote, named in words and laid side by side."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

from weakseg.figures import page

STEPS = {
    "all_background": "All background",
    "all_foreground": "All foreground",
    "center_gaussian": "Gaussian in the center",
    "seed": "Activation map",
    "seed_oracle": "Activation map, oracle threshold",
    "distilled": "Distilled map",
    "distilled_oracle": "Distilled map, oracle threshold",
    "refined": "Refined mask",
    "pseudomasks": "Pseudo-mask with ignored pixels",
    "control": "Control: same network, true masks",
}
COLUMNS = {
    "miou": ("mIoU", page.bar),
    "published": ("published protocol", page.percent),
    "class_miou": ("mIoU of classes", page.percent),
    "miou_kept": ("of decided pixels", page.percent),
    "kept": ("decided", page.percent),
    "pixel_accuracy": ("pixel accuracy", page.percent),
    "boundary_f": ("boundary F", page.percent),
    "over_activation": ("over", page.percent),
    "under_activation": ("under", page.percent),
    "head_recall": ("head recall", page.percent),
    "body_recall": ("body recall", page.percent),
    "images": ("images", lambda value: page.number(int(value))),
}  # fmt: skip
BASELINES = {"random_": "{}, random weights", "center_": "Gaussian in the center", "full_": "Whole image"}
BOX_SCORES = ("max_box_acc", "max_box_acc_v2", "pxap", "top1_loc", "label_free_box_acc")
WORDS = {"miou": "mIoU", "iou": "IoU", "f1": "F1", "ap": "AP", "erf": "ERF", "pxap": "PxAP", "v2": "V2", "psnr": "PSNR"}


def words(key: str) -> str:
    """A metric's key as words."""
    known = key.replace("max_box_acc_v2", "MaxBoxAccV2").replace("max_box_acc", "MaxBoxAcc")
    return " ".join(WORDS.get(part, part) for part in known.split("_"))


def side_by_side(items: dict[str, dict[str, Any]]) -> str:
    """A table with one row a metric and one column an item; a metric that an item lacks gets a dash."""
    flat = {name: {key: value for key, value in item.items() if _plain(value)} for name, item in items.items()}
    keys = dict.fromkeys(key for item in flat.values() for key in item)
    rows = [[escape(words(key)), *(page.number(item.get(key)) for item in flat.values())] for key in keys]
    return page.table(["", *flat], rows) if rows else ""


def boxes_table(items: dict[str, dict[str, Any]]) -> str:
    """One row a network, then the same network with random weights, then what needs no network; scores as columns."""
    rows: dict[str, dict[str, Any]] = {}
    for name, metrics in items.items():
        whose = {key: next((part for part in BASELINES if key.startswith(part)), "") for key in metrics}
        for prefix, label in {"": "{}", **BASELINES}.items():
            found = {key.removeprefix(prefix): metrics[key] for key, owner in whose.items() if owner == prefix}
            if found:
                rows[label.format(name)] = found
    last = [name for name in rows if name in BASELINES.values()]
    keys = dict.fromkeys([*BOX_SCORES, *(key for row in rows.values() for key in row)])
    ordered = {name: row for name, row in rows.items() if name not in last} | {name: rows[name] for name in last}
    return page.comparison(ordered, {key: words(key) for key in keys})


def _plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str)


def learning_curves(tables: dict[str, pd.DataFrame]) -> str:
    """Two charts an item, of its losses and of its other columns by epoch."""
    charts = []
    for name, frame in tables.items():
        columns = [column for column in frame.select_dtypes("number") if column not in ("epoch", "round", "seconds")]
        for title, chosen in (
            ("loss", [column for column in columns if "loss" in column]),
            ("scores", [column for column in columns if "accuracy" in column]),
        ):
            series = {words(column): frame[column].tolist() for column in chosen}
            charts.append(page.curves(f"{name}: {title}".strip(": "), series))
    return "".join(charts)


def step_name(step: str) -> str:
    """A step of the chain in words; roundN is the segmenter after that round."""
    number = step.removeprefix("round")
    return f"Segmenter, round {number}" if number.isdigit() else STEPS.get(step, words(step))


def chain_table(frame: pd.DataFrame) -> str:
    """One row a step of a split: scores with bars; baselines, oracles and the control faint, the last round strong."""
    rounds = [step for step in frame["step"] if step.startswith("round")]
    columns = [name for name in COLUMNS if name in frame and frame[name].notna().any()]
    if "kept" in columns and (frame["kept"] == 1).all():
        columns = [name for name in columns if name not in ("kept", "miou_kept")]
    rows, marks = [], []
    for row in frame.to_dict("records"):
        cells = [COLUMNS[name][1](row[name]) if row[name] == row[name] else "–" for name in columns]
        interval = f"{page.percent(row.get('miou_low'))} to {page.percent(row.get('miou_high'))}"
        rows.append([escape(step_name(row["step"])), cells[0], interval, *cells[1:]])
        plain = row["step"].startswith(("all_", "center", "control")) or row["step"].endswith("oracle")
        marks.append("strong" if row["step"] in rounds[-1:] else "faint" if plain else "")
    head = ["", "mIoU", "95 % of images", *(COLUMNS[name][0] for name in columns[1:])]
    return page.table(head, rows, marks)


def protocol_table(frame: pd.DataFrame) -> str:
    """One row a protocol, one column a step, for the first split listed."""
    part = frame[frame["split"] == ("test" if (frame["split"] == "test").any() else frame["split"].iloc[0])]
    keys = ["average", "border", "size"]
    wide = part.pivot(index=keys, columns="step", values="miou")[list(dict.fromkeys(part["step"]))]
    wide = wide.loc[list(dict.fromkeys(part[keys].itertuples(index=False, name=None)))]
    head = ["average, border, size", *(step_name(step) for step in wide.columns)]
    rows = [[escape(", ".join(key)), *map(page.percent, row)] for key, row in zip(wide.index, wide.values, strict=True)]
    return page.table(head, rows)
