"""The scores of each step of the chain of masks, streaming, and pictures of its masks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from weakseg.artifacts import zips
from weakseg.artifacts.truth import TrueMasks
from weakseg.evaluation.masks import boundary, confusion
from weakseg.evaluation.masks.activation import HeadBias
from weakseg.evaluation.masks.steps import Found, Step
from weakseg.figures import pictures as figures_pictures


@dataclass(frozen=True)
class Protocol:
    """How masks are scored; units as in params.yaml."""

    square: int
    batch: int
    replicates: int
    seed: int
    tolerance: float


class Measurement:
    """Streaming scores of one step: binary always, of each class where `classes` counts more than one."""

    def __init__(self, classes: int, protocol: Protocol) -> None:
        options = {"side": protocol.square, "batch": protocol.batch}
        options |= {"replicates": protocol.replicates, "seed": protocol.seed}
        self.binary = confusion.Segmentation(2, **options)
        self.per_class = confusion.Segmentation(classes + 1, **options) if classes > 1 else None
        self.bias, self.outlines, self.tolerance = HeadBias(), 0.0, protocol.tolerance

    def add(self, found: Found, truth: np.ndarray, heads: np.ndarray | None) -> float:
        """Add one image; return its own mean IoU of foreground and background."""
        if self.per_class is not None:
            self.per_class.add(found.mask, truth)
        self.outlines += boundary.boundary_f(found.mask, truth, self.tolerance)
        if heads is not None:
            self.bias.add(found.mask, truth, heads, found.activation)
        return self.binary.add(foreground(found.mask), foreground(truth))

    def published(self) -> float:
        """Mean IoU under the protocol of system (3): border as foreground, square, mean over batches."""
        wanted = {"average": "batch", "border": "foreground", "size": "square"}
        return float(next(row["miou"] for row in self.binary.protocols() if wanted.items() <= row.items()))

    def class_rows(self) -> list[dict[str, str | int | float]]:
        """One row {class_id, iou} for each mask id that occurs.

        0 and 1 where only the foreground is scored.
        """
        values = (self.per_class or self.binary).class_iou()
        return [{"class_id": k, "iou": float(value)} for k, value in enumerate(values) if not np.isnan(value)]

    def row(self) -> dict[str, float]:
        """All scores of the step; what is undefined (no head box, no foreground) is left out."""
        row = {"images": self.binary.images, **self.binary.result(), "published": self.published()}
        row["boundary_f"] = self.outlines / max(self.binary.images, 1)
        if self.per_class is not None:
            row["class_miou"] = self.per_class.result()["miou"]
        return {name: value for name, value in (row | self.bias.result()).items() if not np.isnan(value)}


def foreground(mask: np.ndarray) -> np.ndarray:
    """Class ids (H, W) uint8 to 0 and 1; 255 stays."""
    return np.where(mask == zips.IGNORE, mask, mask > 0).astype(np.uint8)


@dataclass
class Report:
    """The rows of every table, in the order of splits and steps."""

    steps: list[dict] = field(default_factory=list)
    protocols: list[dict] = field(default_factory=list)
    classes: list[dict] = field(default_factory=list)
    replicates: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def add(
        self,
        split: str,
        steps: dict[str, Step],
        truth: TrueMasks,
        ids: Sequence[str],
        classes: int,
        protocol: Protocol,
    ) -> dict[str, list[float]]:
        """Score every step on these images, one step after the other.

        Return each image's own mean IoU by step.
        """
        own = {}
        for name, step in steps.items():
            meter, key = Measurement(classes, protocol), {"split": split, "step": name}
            pairs = zip(ids, step(ids), strict=True)
            own[name] = [meter.add(found, truth.mask(i), truth.heads.get(i)) for i, found in pairs]
            self.steps.append(key | meter.row())
            self.replicates[split, name] = meter.binary.replicate_miou()
            self.protocols.extend(key | row for row in meter.binary.protocols())
            self.classes.extend(key | row for row in meter.class_rows())
        return own

    def metrics(self, final: str) -> dict[str, float]:
        """Flat scores: miou and published of each step, everything of the `final` one and the control.

        The final step is called `segmenter`; `segmenter_of_control` is their mean IoU's ratio.
        """
        found: dict[str, float] = {}
        for row in self.steps:
            whole = row["step"] in (final, "control")
            names = [name for name in row if name not in ("split", "step")] if whole else ["miou", "published"]
            step = "segmenter" if row["step"] == final else row["step"]
            found |= {f"{row['split']}_{step}_{name}": row[name] for name in names if name in row}
        for split in dict.fromkeys(row["split"] for row in self.steps):
            found |= self._of_control(split, final)
        return found

    def _of_control(self, split: str, final: str) -> dict[str, float]:
        """The final step's mean IoU over the control's, with its interval; nothing where the control has none."""
        scores_of = {row["step"]: row.get("miou", 0) for row in self.steps if row["split"] == split}
        if not scores_of["control"]:
            return {}
        ours, theirs = (self.replicates[split, step] for step in (final, "control"))
        ratios = np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)
        values = scores_of[final] / scores_of["control"], *confusion.interval(ratios)
        names = ("of_control", "of_control_low", "of_control_high")
        pairs = zip(names, values, strict=True)
        return {f"{split}_segmenter_{name}": value for name, value in pairs if not np.isnan(value)}


def pictures(steps: dict[str, Step], truth: TrueMasks, images: zips.Images, ids: Sequence[str]) -> np.ndarray:
    """One row an image: the image, its true mask, and its mask at each step with its own mean IoU below."""
    masks = {"truth": [truth.mask(name) for name in ids]}
    masks |= {title: [found.mask for found in step(ids)] for title, step in steps.items()}
    rows, captions = [], []
    for number, name in enumerate(ids):
        image = images.image(name)
        rows.append([image, *(figures_pictures.mask(image, column[number]) for column in masks.values())])
        true = foreground(masks["truth"][number])
        own = [own_miou(foreground(column[number]), true) for column in list(masks.values())[1:]]
        captions.append([name, "", *(f"{value:.3f}" for value in own)])
    return figures_pictures.grid(rows, titles=["image", *masks], captions=captions, size=128)


def drawn(ids: Sequence[str], count: int, seed: int) -> list[str]:
    """At most `count` of these images, drawn by `seed` whatever their order, sorted."""
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(sorted(ids), min(count, len(ids)), replace=False).tolist())


def own_miou(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Mean IoU of one image's foreground and background."""
    return float(confusion.case_miou(confusion.border_cases(confusion.confusion(prediction, truth, 2)))[0])
