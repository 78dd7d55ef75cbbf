"""Averaged fields as pictures."""

from __future__ import annotations

import numpy as np

from weakseg.evaluation.receptive_field.field import square_sides
from weakseg.evaluation.receptive_field.measure import Fields
from weakseg.figures import charts
from weakseg.figures.drawing import heat, pictures, sheets

SIDE = 256  # pixels of a picture
DECADES = 4  # that colors span below the maximum
WHITE = (255, 255, 255)


def draw_field(field: np.ndarray) -> np.ndarray:
    """Heat of a field (H, W) on a logarithmic scale, (SIDE, SIDE, 3) uint8."""
    top = field.max()
    lowest = 10.0**-DECADES
    level = np.log10(np.maximum(field / top, lowest)) / DECADES + 1 if top > 0 else np.zeros_like(field)
    return heat.draw_heat(np.zeros((SIDE, SIDE, 3), np.uint8), level)


def draw_squares(field: np.ndarray) -> np.ndarray:
    """The central unit's field (H, W) with the squares that hold 20, 30, 50 and 99 % of it, (SIDE, SIDE, 3) uint8."""
    height, width = field.shape
    half = np.array(square_sides(field))[:, None] / 2  # (4, 1)
    low = np.array([[width // 2 + 0.5, height // 2 + 0.5]]) - half  # (4, 2)
    scale = SIDE / np.array([width, height, width, height])
    squares = np.concatenate([low, low + 2 * half], axis=1) * scale  # (4, 4)
    return pictures.draw_boxes(draw_field(field), squares, WHITE, 1)


def draw_sizes(**networks: Fields) -> bytes:
    """PNG of how many images need how many pixels for their share of class saliency, networks over each other.

    Bins are shared, their number the root of that of the values; a vertical line marks the mean of each, and its name
    says mean, median and largest.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    counts = {name: np.array(list(fields.pixels.values()), float) for name, fields in networks.items()}
    figure = Figure(figsize=(6, 3.6))
    axes = figure.subplots()
    edges = np.histogram_bin_edges(np.concatenate(list(counts.values())), "sqrt").tolist()
    for number, (name, values) in enumerate(counts.items()):
        label = f"{name}: mean {values.mean():.0f}, median {np.median(values):.0f}, largest {values.max():.0f}"
        axes.hist(values, edges, alpha=0.6, color=f"C{number}", label=label)
        axes.axvline(values.mean(), color=f"C{number}", linewidth=1.5)
    axes.set(xlabel="pixels that hold the share of an image's class saliency", ylabel="images")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return charts.render_png(figure)


def draw_networks(**networks: Fields) -> np.ndarray:
    """Averaged fields, one network a row."""
    cells = [[draw_squares(fields.central), draw_field(fields.saliency)] for fields in networks.values()]
    return sheets.lay_out(cells, titles=["central unit", "class saliency"], row_titles=list(networks), size=SIDE)
