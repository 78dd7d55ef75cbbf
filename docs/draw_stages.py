"""Draw dvc.yaml: `python -m docs.draw_stages` writes docs/pictures/stages.svg.

A stage stands right of all it reads from; an arrow that follows from others is left out. Stages that run once a
network are stacked, and those that read ground truth are framed in another color.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
OUT = ROOT / "docs/pictures/stages.svg"
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 34, 34, 26, 12  # pixels
FILL = {"train": "#fde7c8", "evaluate": "#dcefdc", "measure": "#dcefdc", "compare": "#dcefdc", "write": "#eee8f6"}
LAST = "write_report"
PLAIN, LINE, TRUTH, TEXT = "#e3edf8", "#7a8794", "#c0392b", "#1d2733"

Graph = dict[str, set[str]]


def read_blocks() -> dict[str, dict]:
    """Stages of dvc.yaml; one that runs once a network keeps `foreach`."""
    blocks = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    return {name: {**block.get("do", block), "foreach": "foreach" in block} for name, block in blocks.items()}


def list_paths(block: dict, *fields: str) -> list[str]:
    """Paths of some fields with the default parameters; `*` stands for each network."""
    items = [item for field in fields for item in block.get(field, [])]
    found = [next(iter(item)) if isinstance(item, dict) else item for item in items]
    return [re.sub(r"\$\{([^}]*)\}", lambda match: look_up(match.group(1)), path) for path in found]


def look_up(name: str) -> str:
    """The default of a parameter; `*` for the network a stage runs for."""
    if name.split(".")[0] in ("key", "item"):
        return "*"
    value: Any = PARAMS
    for part in name.split("."):
        value = value[part]
    return str(value)


def meet(read: str, written: str) -> bool:
    """Whether one of two paths lies in the other; a star is any name."""
    return all(
        "*" in one + other or one == other for one, other in zip(read.split("/"), written.split("/"), strict=False)
    )


def find_parents(blocks: dict[str, dict]) -> Graph:
    """The stages that each stage reads from."""
    written = {name: list_paths(block, "outs", "metrics") for name, block in blocks.items()}
    return {
        name: {
            other
            for other, paths in written.items()
            if other != name and any(meet(read, path) for read in list_paths(block, "deps") for path in paths)
        }
        for name, block in blocks.items()
    }


def reduce(parents: Graph) -> Graph:
    """The graph without the arrows that follow from others."""

    @cache
    def above(name: str) -> frozenset[str]:
        return frozenset(parents[name]).union(*(above(one) for one in parents[name]))

    return {
        name: {one for one in direct if not any(one in above(other) for other in direct)}
        for name, direct in parents.items()
    }


def place(parents: Graph) -> dict[str, tuple[int, int]]:
    """Column and row of each stage: right of all it reads from, in the order of dvc.yaml."""

    @cache
    def depth(name: str) -> int:
        return 1 + max((depth(one) for one in parents[name]), default=-1)

    rows: dict[int, int] = {}
    found = {}
    for name in parents:
        column = depth(name)
        rows[column] = rows.get(column, -1) + 1
        found[name] = (column, rows[column])
    return found


def draw_box(name: str, block: dict, x: float, y: float) -> str:
    """One stage; a second frame behind it where it runs once a network."""
    fill = FILL.get(name.split("_")[0], PLAIN)
    truth = any(path.startswith("data/truth") for path in list_paths(block, "deps"))
    style = f'fill="{fill}" stroke="{TRUTH if truth else LINE}" rx="6" width="{WIDTH}" height="{HEIGHT}"'
    behind = f'<rect x="{x + 4}" y="{y - 4}" {style}/>' if block["foreach"] else ""
    label = (
        f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 4}" fill="{TEXT}" text-anchor="middle">{escape(name)}</text>'
    )
    return f'{behind}<rect x="{x}" y="{y}" {style}/>{label}'


def draw() -> str:
    """The whole picture as SVG."""
    blocks = read_blocks()
    parents = find_parents(blocks)
    cells = place(parents)
    columns, rows = (1 + max(cell[axis] for cell in cells.values()) for axis in (0, 1))
    count = {column: 1 + max(row for c, row in cells.values() if c == column) for column in range(columns)}
    at = {
        name: (
            MARGIN + column * (WIDTH + GAP_X),
            MARGIN + (row + (rows - count[column]) / 2) * (HEIGHT + GAP_Y),
        )
        for name, (column, row) in cells.items()
    }
    lines = []
    for name, direct in reduce(parents).items():
        if name == LAST:
            direct = {max(direct, key=lambda one: at[one])}  # it reads from every stage: one arrow is enough
        x1, y1 = at[name][0], at[name][1] + HEIGHT / 2
        for one in sorted(direct):
            x0, y0 = at[one][0] + WIDTH, at[one][1] + HEIGHT / 2
            bend = (x0 + x1) / 2
            lines.append(f'<path d="M{x0} {y0} C{bend} {y0} {bend} {y1} {x1} {y1}" fill="none" stroke="{LINE}"/>')
    boxes = [draw_box(name, block, *at[name]) for name, block in blocks.items()]
    width, height = 2 * MARGIN + columns * (WIDTH + GAP_X) - GAP_X, 2 * MARGIN + rows * (HEIGHT + GAP_Y) - GAP_Y
    font = 'font-family="sans-serif" font-size="13"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {font}>'
    ground = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([head, ground, *lines, *boxes, "</svg>", ""])


if __name__ == "__main__":
    OUT.write_text(draw())
