"""A table of predictions beside the labels: its scores split by split, its mistakes, and the few numbers of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from weakseg.artifacts.formats.labels import LABELED
from weakseg.errors import UserError
from weakseg.evaluation.classifier.accuracy import (
    balanced_accuracy,
    mean_average_precision,
    set_scores,
    top_k_accuracy,
)  # fmt: skip
from weakseg.harness import files

ORDER = ("test", "val", "train")  # the first that has images is looked at


def load_predictions(path: Path, labels: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The predictions of the labeled images, with `labels` and `predicted` as sets and the scores `p_<class>`.

    UserError where a labeled image or a class is not predicted, or no image has a label.
    """
    table = pd.read_csv(files.existing(path), dtype={"image_id": str, "predicted": str}).set_index("image_id")
    labeled = labels[labels["labels"].map(len) > 0]
    if labeled.empty:
        raise UserError("no image has a label: there is nothing to score predictions by")
    absent = [name for name in labeled.index if name not in table.index]
    absent += [name for name in classes if f"p_{name}" not in table.columns]
    if absent:
        raise UserError(f"{path} holds no prediction for '{absent[0]}': rerun train_classifier")
    table = table.loc[labeled.index, ["predicted", "probability", *(f"p_{name}" for name in classes)]]
    predicted = [set(value.split("|")) for value in table["predicted"]]
    return table.assign(split=labeled["split"], labels=labeled["labels"].map(set), predicted=predicted)


def score_splits(table: pd.DataFrame, classes: Sequence[str], top: int) -> dict[str, float]:
    """Number of images and scores of each split."""
    splits = {split: table[table["split"] == split] for split in LABELED}
    scores: dict[str, float] = {f"{split}_images": len(rows) for split, rows in splits.items()}
    for split, rows in splits.items():
        scores |= {f"{split}_{name}": value for name, value in score(rows, classes, top).items()}
    return scores


def score(table: pd.DataFrame, classes: Sequence[str], top: int) -> dict[str, float]:
    """Scores of one split's rows: with one label an image accuracy, top-k and balanced accuracy; always mean AP.

    With several labels exact_match and f1 stand in for accuracy. No row: nothing.
    """
    if table.empty:
        return {}
    values = table[[f"p_{name}" for name in classes]].to_numpy(float)  # (N, K)
    positive = np.array([[name in labels for name in classes] for labels in table["labels"]])  # (N, K)
    scores = {"mean_ap": mean_average_precision(values, positive)}
    if (positive.sum(1) > 1).any() or (table["predicted"].map(len) != 1).any():
        return scores | set_scores(list(table["predicted"]), list(table["labels"]))
    true, predicted = (table[name].map(lambda names: next(iter(names))) for name in ("labels", "predicted"))
    scores["accuracy"] = float((true == predicted).mean())
    scores["balanced_accuracy"] = balanced_accuracy(predicted.to_numpy(str), true.to_numpy(str))
    if len(classes) > top:
        scores[f"top{top}_accuracy"] = top_k_accuracy(values, positive.argmax(1), top)
    return scores


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """Accuracy of the first split that has images, test before val before train.

    Where labels are several, and accuracy is not defined, its mean average precision as `map`.
    """
    split = next((split for split in ORDER if scores.get(f"{split}_images")), ORDER[0])
    names = {"accuracy": f"{split}_accuracy"}
    if f"{split}_accuracy" not in scores:
        names = {"map": f"{split}_mean_ap"}
    return {short: scores[name] for short, name in names.items() if name in scores}


def confusion_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """One row {actual, predicted} for each true label: itself where predicted, else the first prediction."""
    return [
        {"actual": label, "predicted": label if label in row.predicted else min(row.predicted)}
        for row in table.itertuples()
        for label in sorted(row.labels)
    ]


def pick_split(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first split that has any: test, else val, else train."""
    return next(rows for split in ORDER if not (rows := table[table["split"] == split]).empty)
