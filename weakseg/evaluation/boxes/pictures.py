"""Boxes on their images, and accuracy over the threshold, as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from weakseg.artifacts.formats import zips
from weakseg.evaluation.boxes.localization import Localization, LocalizationScores
from weakseg.figures import charts
from weakseg.figures.drawing import sheets
from weakseg.figures.drawing.heat import blend
from weakseg.figures.drawing.pictures import draw_boxes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WHITE = (255, 255, 255)
PANEL = (4.0, 3.6)  # inches, width and height of a panel
NAMES = {  # of the sources beside the map of the label
    "predicted": "map of the predicted class", "center": "Gaussian in the center", "full": "whole image",
    "random": "random weights",
}  # fmt: skip


def draw_maps(localization: Localization, images: zips.Images, ids: Sequence[str], threshold: int) -> np.ndarray:
    """Each image with the heat of its map, true boxes in white and the largest region's in yellow, four a row."""
    cells = []
    for image_id in ids:
        image, scores = images.image(image_id), localization.maps.read(image_id).scores
        height, width = image.shape[:2]
        regions = localization.protocol.find_regions(scores)
        box = regions.largest[regions.which[threshold]][None] * np.array([width, height, width, height])  # (1, 4)
        true = draw_boxes(blend(image, scores), localization.truth.pixels[image_id], WHITE)
        cells.append(draw_boxes(true, box / localization.protocol.size))
    return sheets.lay_out([cells[start : start + 4] for start in range(0, len(cells), 4)], size=192)


def draw_thresholds(model: LocalizationScores, others: Mapping[str, LocalizationScores]) -> bytes:
    """PNG of the accuracy of the largest box over the threshold, a panel an overlap, other sources of maps dashed.

    The best threshold, one for all images, is marked: the first of equals.
    """
    from matplotlib.figure import Figure

    ious = model.boxes.ious
    figure = Figure(figsize=(PANEL[0] * len(ious), PANEL[1]))
    panels = figure.subplots(1, len(ious), sharey=True, squeeze=False)[0]
    for place, axes in enumerate(panels):
        draw_threshold_panel(axes, place, model, others)
    panels[0].set_ylabel("share of images whose largest box is right")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3)
    return charts.render_png(figure)


def draw_threshold_panel(
    axes: Axes, place: int, model: LocalizationScores, others: Mapping[str, LocalizationScores]
) -> None:
    """The curves of one overlap, the number `place`."""
    thresholds, accuracy = model.boxes.thresholds, model.boxes.accuracy("largest")[place]
    best = int(accuracy.argmax())
    axes.plot(thresholds, accuracy, color="C0", linewidth=2, label="map of the label (GT-known)")
    for number, (name, scores) in enumerate(others.items(), 1):
        curve = scores.boxes.accuracy("largest")[place]
        axes.plot(thresholds, curve, color=f"C{number}", linewidth=1, linestyle="--", label=NAMES.get(name, name))
    axes.axvline(thresholds[best], color="0.6", linewidth=0.8)
    axes.plot(thresholds[best], accuracy[best], "o", color="C0")
    axes.set_title(f"IoU {model.boxes.ious[place]:g}: {accuracy[best]:.3f} at {thresholds[best]:.3g}", fontsize=10)
    axes.set(xlabel="threshold of the map", ylim=(0, 1.02))
