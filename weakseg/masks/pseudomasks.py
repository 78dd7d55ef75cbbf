"""From activation values to class-id masks: logit units, class ids, and the rule that drops useless masks."""

from __future__ import annotations

from collections import Counter

import numpy as np

from weakseg.artifacts.formats import masks

UNIT = 3.0  # of logits, over the standard deviation of a map
SMALLEST = 1e-6  # probability below which the log-odds of a softmax of scores are cut


def class_probabilities(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Softmax (K+1,...) over background and K classes of logits (K,...), the background's logit being `threshold`."""
    together = np.concatenate([np.full_like(scores[:1], threshold), scores])  # (K+1,...)
    powers = np.exp(together - together.max(0, keepdims=True))
    return powers / powers.sum(0, keepdims=True)


def log_odds(probability: np.ndarray, smallest: float = SMALLEST) -> np.ndarray:
    """log(p_k / p_0), (K,...) above 0 where a class beats the background, from probabilities (K+1,...).

    Probabilities count as `smallest` at least: a network's own are less exact than a softmax of scores.
    """
    logs = np.log(np.maximum(probability, smallest))
    return (logs[1:] - logs[:1]).astype(np.float32)


def scale_to_logits(maps: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Maps (K,h,w) in logit units: 3 (map - threshold) / (standard deviation of the map), so that 0 is the border.

    The same unit as the distilled scores, so that bands and hard seeds mean the same on both. A flat map becomes
    zeros: background, or ignored where there is a band.
    """
    deviation = maps.std((1, 2), keepdims=True)
    centered = maps - np.asarray(thresholds, np.float32)[:, None, None]
    return np.where(deviation > 0, UNIT * centered / np.where(deviation > 0, deviation, 1), 0).astype(np.float32)


def to_class_ids(mask: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Mask with map numbers j + 1 -> mask with class ids classes[j] + 1; 0 and 255 stay."""
    table = np.zeros(256, np.uint8)
    table[masks.IGNORE] = masks.IGNORE
    table[1 : len(classes) + 1] = np.asarray(classes) + 1
    return table[mask]


def is_usable(mask: np.ndarray, smallest: float, largest: float) -> bool:
    """Whether the foreground's share of the decided pixels is within [smallest, largest]; nothing decided: no."""
    kept = mask != masks.IGNORE
    share = ((mask > 0) & kept).sum() / max(kept.sum(), 1)
    return bool(kept.any() and smallest <= share <= largest)


class Tally:
    """Counts over masks added one by one."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.shares = np.zeros(2)

    def add(self, whole: np.ndarray, final: np.ndarray, classes: int, dropped: bool) -> None:
        """One image: its mask before and after the ignore rules, its number of classes, whether it was dropped."""
        self.counts["images"] += 1
        self.counts["without_class"] += classes == 0
        self.counts["empty"] += classes > 0 and not (whole > 0).any()
        self.counts["full"] += bool((whole > 0).all())
        self.counts["dropped"] += dropped
        self.shares += (whole > 0).mean(), (final == masks.IGNORE).mean()

    def result(self) -> dict[str, float]:
        """Counts, and the mean share of foreground and of ignored pixels in [0, 1]."""
        names = ("images", "without_class", "empty", "full", "dropped")
        foreground, ignored = self.shares / max(self.counts["images"], 1)
        shares = {"foreground_share": float(foreground), "ignored_share": float(ignored)}
        return {name: int(self.counts[name]) for name in names} | shares
