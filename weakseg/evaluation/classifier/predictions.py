"""What a table of predictions is worth, with one or several labels an image, and what it looks like.

Average precision: M. Everingham, L. Van Gool, C. K. I. Williams, J. Winn, A. Zisserman, "The Pascal Visual
Object Classes Challenge" (2010).
Differs from the paper: the area under the exact precision-recall steps (as from VOC 2010 on), and equal
scores form one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from weakseg.artifacts import activations, zips
from weakseg.data import grids, samples
from weakseg.errors import UserError
from weakseg.evaluation.classifier import faithfulness
from weakseg.figures.pictures import blend, grid
from weakseg.harness import device, files
from weakseg.harness.progress import track
from weakseg.networks.classifier import Classifier


def balanced_accuracy(predicted: np.ndarray, true: np.ndarray) -> float:
    """Mean over the classes that occur in true (N,) of the share predicted right; NaN for no image."""
    classes = np.unique(true)
    if not len(classes):
        return float("nan")
    return float(np.mean([(predicted[true == name] == name).mean() for name in classes]))


def top_k_accuracy(scores: np.ndarray, true: np.ndarray, k: int) -> float:
    """Share of rows of scores (N, K) whose true index (N,) is among the k highest.

    A tie counts against the image.
    """
    own = np.take_along_axis(scores, true[:, None], axis=1)
    better = (scores >= own).sum(1) - 1
    return float((better < k).mean())


def average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the precision-recall steps of scores (N,) against positive (N,) bool.

    NaN without a positive.
    """
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(positive[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, ranks = hits[last], np.flatnonzero(last) + 1
    return float((np.diff(hits, prepend=0) * hits / ranks).sum() / positive.sum())


def mean_average_precision(scores: np.ndarray, positive: np.ndarray) -> float:
    """Mean over classes of the average precision of scores (N, K) against positive (N, K).

    Classes without a positive are left out.
    """
    values = [average_precision(*columns) for columns in zip(scores.T, positive.T, strict=True)]
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")


def set_scores(predicted: list[set[str]], true: list[set[str]]) -> dict[str, float]:
    """Scores of predicted label sets against true ones: exact_match and the micro-averaged f1.

    NaN without an image, or for f1 without any label on either side.
    """
    hits = sum(len(guess & label) for guess, label in zip(predicted, true, strict=True))
    total = sum(len(guess) + len(label) for guess, label in zip(predicted, true, strict=True))
    exact = np.mean([guess == label for guess, label in zip(predicted, true, strict=True)]) if true else float("nan")
    return {"exact_match": float(exact), "f1": 2 * hits / total if total else float("nan")}


ORDER = ("test", "val", "train")


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


def scores(table: pd.DataFrame, classes: Sequence[str], top: int) -> dict[str, float]:
    """Scores of one split's rows: with one label an image accuracy, top-k and balanced accuracy; always mean AP.

    With several labels exact_match and f1 stand in for accuracy. No row: nothing.
    """
    if table.empty:
        return {}
    values = table[[f"p_{name}" for name in classes]].to_numpy(float)
    positive = np.array([[name in labels for name in classes] for labels in table["labels"]])
    found = {"mean_ap": mean_average_precision(values, positive)}
    if (positive.sum(1) > 1).any() or (table["predicted"].map(len) != 1).any():
        return found | set_scores(list(table["predicted"]), list(table["labels"]))
    true, predicted = (table[name].map(lambda names: next(iter(names))) for name in ("labels", "predicted"))
    found["accuracy"] = float((true == predicted).mean())
    found["balanced_accuracy"] = balanced_accuracy(predicted.to_numpy(str), true.to_numpy(str))
    if len(classes) > top:
        found[f"top{top}_accuracy"] = top_k_accuracy(values, positive.argmax(1), top)
    return found


def confusion_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """One row {actual, predicted} for each true label: itself where predicted, else the first prediction."""
    return [
        {"actual": label, "predicted": label if label in row.predicted else min(row.predicted)}
        for row in table.itertuples()
        for label in sorted(row.labels)
    ]


def shown_split(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the first split that has any: test, else val, else train."""
    return next(rows for split in ORDER if not (rows := table[table["split"] == split]).empty)


def evenly(ids: Sequence[str], count: int) -> list[str]:
    """At most `count` of the ids, evenly spaced."""
    places = np.linspace(0, len(ids) - 1, min(count, len(ids))).round().astype(int)
    return [ids[place] for place in places]


def top_map(entry: activations.CamEntry, row: pd.Series, classes: Sequence[str]) -> tuple[np.ndarray, int] | None:
    """The stored map (h,w) of the image's most probable class, and that class; None where no map is stored."""
    if not len(entry.classes):
        return None
    best = int(np.argmax([row[f"p_{classes[k]}"] for k in entry.classes]))
    return entry.scores[best], int(entry.classes[best])


def explain(
    classifier: Classifier,
    images: zips.Images,
    cams: activations.Cams,
    table: pd.DataFrame,
    classes: Sequence[str],
    *,
    size: int,
    batch_size: int,
    seed: int,
    options: dict,
) -> dict[str, float]:
    """Mean faithfulness of the maps of the most probable class on the table's images, and their number.

    Images without a map are left out; none left gives the number alone.
    """
    place = device.pick()
    classifier.to(place).eval()
    chosen = {name: found for name, row in table.iterrows() if (found := top_map(cams.cams(name), row, classes))}
    dataset = samples.ImageSamples(images, list(chosen), size, (classifier.mean, classifier.std))
    parts: dict[str, list[np.ndarray]] = {}
    batches = track(samples.batches(dataset, batch_size), "faithfulness", -(-len(dataset) // batch_size))
    for number, (pixels, names) in enumerate(batches if chosen else ()):
        maps = torch.from_numpy(np.stack([chosen[name][0] for name in names])).to(place)
        wanted = torch.tensor([chosen[name][1] for name in names], device=place)
        generator = torch.Generator().manual_seed(1_000_003 * seed + number)
        scored = faithfulness.evaluate(classifier, pixels.to(place), maps, wanted, generator=generator, **options)
        for name, values in scored.items():
            parts.setdefault(name, []).append(values)
    return {"images": len(chosen)} | {name: float(np.concatenate(values).mean()) for name, values in parts.items()}


def pictures(
    images: zips.Images, cams: activations.Cams, table: pd.DataFrame, classes: Sequence[str], pairs: int = 3
) -> np.ndarray:
    """Each image of the table beside the heat of its most probable class, `pairs` of them a row, with names below."""
    cells, captions = [], []
    for name, row in table.iterrows():
        image, found = images.image(name), top_map(cams.cams(name), row, classes)
        heat = blend(image, grids.minmax(found[0][None])[0]) if found else None
        cells += [image, heat]
        captions += ["true: " + ", ".join(sorted(row["labels"]))]
        captions += [f"{classes[found[1]]}: {row[f'p_{classes[found[1]]}']:.2f}" if found else "no class"]
    width = 2 * pairs
    starts = range(0, len(cells), width)
    return grid(
        [cells[start : start + width] for start in starts],
        captions=[captions[start : start + width] for start in starts],
        size=144,
    )
