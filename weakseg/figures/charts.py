"""Charts by matplotlib as PNG or SVG without date or version: the same figure, the same bytes."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 110
FIXED: dict[Any, Any] = {
    "svg.hashsalt": "weakseg",
    "svg.fonttype": "none",
}  # names inside are drawn from a word, text stays text


def render_png(figure: Figure) -> bytes:
    """PNG bytes of a figure, cut to what is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def render_svg(figure: Figure) -> bytes:
    """SVG bytes of a figure, all of its area."""
    import matplotlib

    buffer = io.BytesIO()
    with matplotlib.rc_context(FIXED):
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return buffer.getvalue()
