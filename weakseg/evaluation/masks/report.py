"""The tables that the steps of the chain end in, the few numbers to compare runs by, and which images are looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from weakseg.evaluation.masks.chain import Chain
from weakseg.evaluation.masks.measurement import Measurement
from weakseg.evaluation.masks.recipe import MaskProtocol
from weakseg.evaluation.masks.segmentation import interval

SHOWN_STEPS = {  # short name of a metric, and the step it is of
    "center": "center_gaussian", "cam": "seed", "distilled": "distilled", "refined": "refined",
    "segmenter": "segmenter", "control": "control",
}  # fmt: skip
Row = dict[str, Any]


@dataclass
class MaskReport:
    """The rows of every table, in the order of splits and steps; `final`: the step that all others lead to."""

    final: str
    steps: list[Row] = field(default_factory=list)
    protocols: list[Row] = field(default_factory=list)
    classes: list[Row] = field(default_factory=list)
    replicates: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)  # mean IoU by split and step
    own: dict[tuple[str, str], dict[str, float]] = field(default_factory=dict)  # mean IoU by split and step, by image

    def add(self, split: str, step: str, measurement: Measurement, own: dict[str, float]) -> None:
        """Add one step's scores on one split, and each image's own mean IoU."""
        key = {"split": split, "step": step}
        self.steps.append(key | measurement.row())
        self.replicates[split, step] = measurement.meter.replicate_miou()
        self.own[split, step] = own
        self.protocols.extend(key | row for row in measurement.meter.protocols())
        self.classes.extend(key | row for row in measurement.class_rows())

    @property
    def group(self) -> str:
        """The test group, or the train group where no test image has a mask."""
        return "test" if ("test", self.final) in self.own else "train"

    def list_chart(self) -> list[Row]:
        """The mean IoU of each step on the group that is shown."""
        return [{"step": row["step"], "miou": row.get("miou")} for row in self.steps if row["split"] == self.group]

    def rank(self) -> list[str]:
        """The images of the group that is shown, the final step's worst first."""
        own = self.own[self.group, self.final]
        order = np.argsort(list(own.values()), kind="stable")
        return [list(own)[place] for place in order]

    def metrics(self) -> dict[str, float]:
        """Flat scores: miou and published of each step, everything of the final one and the control.

        The final step is called `segmenter`; `segmenter_of_control` is their mean IoU's ratio.
        """
        scores: dict[str, float] = {}
        for row in self.steps:
            whole = row["step"] in (self.final, "control")
            names = [name for name in row if name not in ("split", "step")] if whole else ["miou", "published"]
            step = "segmenter" if row["step"] == self.final else row["step"]
            scores |= {f"{row['split']}_{step}_{name}": row[name] for name in names if name in row}
        for split in dict.fromkeys(row["split"] for row in self.steps):
            scores |= self._of_control(split)
        return scores

    def _of_control(self, split: str) -> dict[str, float]:
        """The final step's mean IoU over the control's, with its interval; nothing where the control has none."""
        miou = {row["step"]: row.get("miou", 0) for row in self.steps if row["split"] == split}
        if not miou["control"]:
            return {}
        ours, theirs = (self.replicates[split, step] for step in (self.final, "control"))
        ratios = np.divide(ours, theirs, out=np.full(len(ours), np.nan), where=theirs > 0)  # (replicates,)
        low, high = interval(ratios)
        values = {"": miou[self.final] / miou["control"], "_low": low, "_high": high}
        return {f"{split}_segmenter_of_control{end}": value for end, value in values.items() if not np.isnan(value)}


def score(chain: Chain, groups: Mapping[str, Sequence[str]], protocol: MaskProtocol) -> MaskReport:
    """Score every step of the chain on the images of each group, one step after the other."""
    report, classes = MaskReport(chain.final), chain.count_classes()
    for split, ids in groups.items():
        for name, step in chain.list_all(ids).items():
            measurement, own = Measurement(classes, protocol), {}
            for image_id, mask in zip(ids, step.stream(ids), strict=True):
                own[image_id] = measurement.add(mask, chain.truth.mask(image_id), chain.truth.heads.get(image_id))
            report.add(split, name, measurement, own)
    return report


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """Mean IoU over the test set, or over the train group where no test image has a mask, of the steps to compare."""
    split = "test" if any(f"test_{step}_miou" in scores for step in SHOWN_STEPS.values()) else "train"
    names = {short: f"{split}_{step}_miou" for short, step in SHOWN_STEPS.items()}
    return {short: scores[name] for short, name in names.items() if name in scores}


def draw_sample(ids: Sequence[str], count: int, seed: int) -> list[str]:
    """At most `count` of these images, drawn by `seed` whatever their order, sorted."""
    generator = np.random.default_rng(seed)
    return sorted(generator.choice(sorted(ids), min(count, len(ids)), replace=False).tolist())
