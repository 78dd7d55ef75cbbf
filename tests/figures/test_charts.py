"""Charts: the same bytes twice, and no date."""

from __future__ import annotations

from matplotlib.figure import Figure

from weakseg.figures import charts


def test_pictures_of_figures_carry_no_date():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    content = charts.render_png(figure)
    assert content == charts.render_png(figure)
    assert content.startswith(b"\x89PNG") and b"Software" not in content and b"tIME" not in content


def test_vector_graphics_carry_no_date():
    figure = Figure(figsize=(1, 1))
    figure.subplots().plot([0, 1])
    content = charts.render_svg(figure)
    assert content == charts.render_svg(figure) and b"<svg" in content and b"date" not in content.lower()
