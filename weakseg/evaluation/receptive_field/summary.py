"""What averaged fields come to: numbers of a network, and a row an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from weakseg.evaluation.receptive_field.field import SHARES, area_ratios, shape, square_sides, unit_offset
from weakseg.evaluation.receptive_field.measure import Fields

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the pixels of class saliency over images


def summarize(fields: Fields) -> dict[str, float]:
    """Area ratios, sides, shape and offset of the central unit's field; pixels, share and side of class saliency."""
    scores: dict[str, float] = {}
    logarithm = np.log10(fields.central + 1)
    ratios = square_sides(fields.central), area_ratios(fields.central), area_ratios(logarithm)
    for share, side, plain, log in zip(SHARES, *ratios, strict=True):
        name = f"{round(100 * share)}"
        scores |= {f"central_side_{name}": side, f"central_area_{name}": plain, f"central_log_area_{name}": log}
    down, right = unit_offset(fields.central, fields.cells)
    scores |= shape(fields.central) | {"central_offset_y": down, "central_offset_x": right}
    return scores | summarize_saliency(fields)


def summarize_saliency(fields: Fields) -> dict[str, float]:
    """Mean over images of the pixels, share and side of class saliency, each with its standard error.

    Of the pixels also standard deviation, quantiles (saliency_pixels_q50 is the median) and the largest.
    """
    counts = np.array(list(fields.pixels.values()), float)
    scores: dict[str, float] = {}
    values = {"pixels": counts, "share": counts / fields.saliency.size, "side": np.sqrt(counts)}
    for name, value in values.items():
        scores[f"saliency_{name}"] = float(value.mean())
        scores[f"saliency_{name}_error"] = float(value.std(ddof=1) / np.sqrt(len(value))) if len(value) > 1 else 0.0
    quantiles = np.quantile(counts, QUANTILES)
    scores |= {f"saliency_pixels_q{round(100 * q)}": float(one) for q, one in zip(QUANTILES, quantiles, strict=True)}
    scores["saliency_pixels_std"] = float(counts.std())
    return scores | {"saliency_pixels_max": float(counts.max()), "images": len(counts)}


def compare_random(trained: Fields, random: Fields) -> dict[str, float]:
    """All scores of a trained network, and under `random_` those of the same one with random weights."""
    untrained = {f"random_{name}": value for name, value in summarize(random).items() if name != "images"}
    return summarize(trained) | untrained


def headline(scores: Mapping[str, float]) -> dict[str, float]:
    """The one score to compare networks by: the share of the image that class saliency needs."""
    return {"erf": scores["saliency_share"]} if "saliency_share" in scores else {}


def list_areas(fields: Fields) -> list[dict[str, object]]:
    """One row an image: pixels, share of the image and side length of its class saliency."""
    size = fields.saliency.size
    return [
        {
            "image_id": name,
            "saliency_pixels": count,
            "saliency_share": count / size,
            "saliency_side": float(np.sqrt(count)),
        }
        for name, count in sorted(fields.pixels.items())
    ]
