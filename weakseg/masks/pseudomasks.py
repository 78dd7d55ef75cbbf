"""From activation values to class-id masks: logit units, class ids, and the rule that drops useless masks."""

from __future__ import annotations

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


def count(whole: np.ndarray, final: np.ndarray, classes: int, dropped: bool) -> dict[str, float]:
    """What one image adds to a tally: its mask before and after the ignore rules, its number of classes, if dropped."""
    return {
        "images": 1,
        "without_class": int(classes == 0),
        "empty": int(classes > 0 and not (whole > 0).any()),
        "full": int((whole > 0).all()),
        "dropped": int(dropped),
        "foreground_share": float((whole > 0).mean()),
        "ignored_share": float((final == masks.IGNORE).mean()),
    }


class Tally:
    """Sums over what `count` gives of images, added one by one."""

    def __init__(self) -> None:
        self.sums = dict.fromkeys(count(np.zeros((1, 1)), np.zeros((1, 1)), 0, False), 0.0)

    def add(self, counts: dict[str, float]) -> None:
        """One image."""
        self.sums = {name: value + counts[name] for name, value in self.sums.items()}

    def result(self) -> dict[str, float]:
        """Counts, and the mean share of foreground and of ignored pixels in [0, 1]."""
        images = max(self.sums["images"], 1)
        return {name: value / images if name.endswith("_share") else int(value) for name, value in self.sums.items()}
