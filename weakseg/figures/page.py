"""Pieces of one self-contained HTML page: tables, bars, curves, embedded pictures; the same input, the same bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

Value = str | int | float | None

STYLE = """
:root { --ink: #1c2430; --soft: #66707f; --line: #e3e7ee; --fill: #2f6fdb; --pale: #f6f8fb; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, Helvetica, Arial, sans-serif; color: var(--ink); margin: 0; background: #fff; }
main { max-width: 1180px; margin: 0 auto; padding: 32px 24px 80px; }
h1 { font-size: 28px; margin: 0 0 4px; }
h2 { font-size: 20px; margin: 44px 0 6px; }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 0 0 12px; max-width: 78ch; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 8px 0 16px; }
th, td { padding: 5px 12px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; font-size: 13px; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-right: 20px; }
tr.strong td { font-weight: 650; background: var(--pale); } tr.faint td { color: var(--soft); }
.bar { display: inline-block; width: 120px; height: 9px; margin-right: 8px; background: var(--line); }
.bar i { display: block; height: 9px; background: var(--fill); }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 8px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 12px 18px; background: var(--pale); }
.card b { display: block; font-size: 24px; } .card span { color: var(--soft); font-size: 13px; }
figure { margin: 12px 0 20px; } figure img { max-width: 100%; border: 1px solid var(--line); border-radius: 4px; }
figcaption { color: var(--soft); font-size: 13px; } svg { margin: 4px 24px 8px 0; }
details { margin: 6px 0; } summary { cursor: pointer; color: var(--fill); }
"""
COLORS = ("#2f6fdb", "#d1495b", "#3a9d5d", "#e08e2b", "#7a5cc2", "#3aa6b9")


def number(value: Value) -> str:
    """A value as text: counts whole, other numbers with three decimals (scientific when tiny), None as a dash."""
    if value is None or value != value:
        return "–"
    if isinstance(value, str | int):
        return escape(f"{value:,}" if isinstance(value, int) else value)
    if value and (abs(value) < 0.0005 or abs(value) >= 1e6):
        return f"{value:.2e}"
    return f"{value:,.3f}"


def percent(value: Value) -> str:
    """A fraction as percent with one decimal, None as a dash."""
    return "–" if not isinstance(value, int | float) or value != value else f"{100 * value:.1f} %"


def bar(value: Value) -> str:
    """A fraction in [0, 1] as a bar with its percent; a dash without one."""
    if not isinstance(value, int | float) or value != value:
        return "–"
    return f'<span class="bar"><i style="width:{100 * min(max(value, 0), 1):.1f}%"></i></span>{percent(value)}'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> str:
    """A table of cells that are HTML already; marks: for each row "", "strong" or "faint"."""
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = []
    for place, row in enumerate(rows):
        mark = f' class="{marks[place]}"' if place < len(marks) and marks[place] else ""
        body.append(f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>")
    return f'<div class="scroll"><table><tr>{top}</tr>\n' + "\n".join(body) + "</table></div>"


def comparison(rows: Mapping[str, Mapping[str, Value]], columns: Mapping[str, str]) -> str:
    """One row a name, one column a key that any of them has; `columns` gives the order and the headings."""
    present = [key for key in columns if any(row.get(key) is not None for row in rows.values())]
    if not present:
        return ""
    cells = [[escape(name), *(number(row.get(key)) for key in present)] for name, row in rows.items()]
    return table(["", *(columns[key] for key in present)], cells)


def cards(items: Sequence[tuple[str, str]]) -> str:
    """Large figures with a caption each, as (caption, figure)."""
    return '<div class="cards">' + "".join(
        f'<div class="card"><b>{escape(figure)}</b><span>{escape(caption)}</span></div>' for caption, figure in items
    ) + "</div>"  # fmt: skip


def picture(content: bytes, caption: str) -> str:
    """An embedded PNG with its caption."""
    data = base64.b64encode(content).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def curves(title: str, series: Mapping[str, Sequence[float]], width: int = 340, height: int = 190) -> str:
    """Line chart of series over their position 1, 2, ...; not a number leaves a gap; nothing finite: no chart."""
    known = [value for values in series.values() for value in values if abs(value) < float("inf")]
    length = max((len(values) for values in series.values()), default=0)
    if not known or length < 2:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    lines = []
    for which, (name, values) in enumerate(series.items()):
        color = COLORS[which % len(COLORS)]
        points = [
            (44 + place * (width - 56) / (length - 1), 24 + (high - value) * (height - 48 - 16) / span)
            for place, value in enumerate(values)
            if abs(value) < float("inf")
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        lines.append(f'<polyline fill="none" stroke="{color}" stroke-width="1.8" points="{path}"/>')
        x = 44 + (width - 44) // len(series) * which
        lines.append(f'<text x="{x}" y="{height - 6}" font-size="11" fill="{color}">{escape(name)}</text>')
    labels = [(8, 28, number(float(high))), (8, height - 38, number(float(low)))]
    labels += [(44, height - 22, "1"), (width - 30, height - 22, str(length))]
    texts = "".join(f'<text x="{x}" y="{y}" font-size="10" fill="#66707f">{text}</text>' for x, y, text in labels)
    heading = f'<text x="44" y="14" font-size="12" font-weight="600">{escape(title)}</text>'
    return f'<svg width="{width}" height="{height}" role="img">{heading}{texts}{"".join(lines)}</svg>'


def section(title: str, text: str, *blocks: str) -> str:
    """A heading, a sentence or two, and the blocks below; nothing at all without a block."""
    inner = "\n".join(block for block in blocks if block)
    return f"<h2>{escape(title)}</h2>\n<p>{escape(text)}</p>\n{inner}" if inner else ""


def details(title: str, inner: str) -> str:
    """A part that opens on a click."""
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def page(title: str, subtitle: str, blocks: Sequence[str]) -> str:
    """The whole document."""
    head = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    body = "\n".join(block for block in blocks if block)
    return (
        f"{head}<style>{STYLE}</style></head>\n<body><main>\n"
        f"<h1>{escape(title)}</h1><p>{escape(subtitle)}</p>\n{body}\n</main></body></html>\n"
    )
