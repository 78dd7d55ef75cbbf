"""The report: every figure and picture that the stages left, arranged from labels to masks on one page."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import PIL.Image

from weakseg.figures.curves import draw_curves
from weakseg.figures.headline import Card, list_cards, list_networks
from weakseg.figures.material import Material
from weakseg.figures.tables import Table, compare_boxes, compare_items, list_chain, list_protocols, list_rows
from weakseg.figures.topics import TOPICS, Topic, name_item
from weakseg.figures.words import name_key

TEMPLATE = "report.html"
SMALL = 100_000  # bytes, a picture below stays lossless
QUALITY = 88  # of 100, of the larger ones
SPLITS = {"test": "Test images", "train": "Training images (only the control saw their masks)"}
SUBTITLE = "From image-level labels to segmentation masks and boxes."


@dataclass(frozen=True)
class Image:
    """A picture or chart: its title and its bytes as a data URI."""

    title: str
    address: str


@dataclass(frozen=True)
class Section:
    """A part of the page; name is its anchor."""

    name: str
    title: str
    text: str
    tables: list[Table] = field(default_factory=list)
    charts: list[Image] = field(default_factory=list)
    pictures: list[Image] = field(default_factory=list)

    def __bool__(self) -> bool:
        """Whether there is anything below the heading."""
        return bool(self.tables or self.charts or self.pictures)


@dataclass(frozen=True)
class Page:
    """All that the template reads."""

    title: str
    subtitle: str
    cards: list[Card]
    networks: list[Table]
    sections: list[Section]


def render(material: Material, title: str) -> str:
    """The whole page as HTML that needs no other file; the same material gives the same text."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(page=compose(material, title))


def compose(material: Material, title: str) -> Page:
    """The sections that have something to show, the stages of no topic together in the last."""
    sections = [*(build_section(material, stage, topic) for stage, topic in TOPICS.items()), gather_others(material)]
    return Page(title, SUBTITLE, list_cards(material), list_networks(material), [one for one in sections if one])


def build_section(material: Material, stage: str, topic: Topic) -> Section:
    """The section of one stage: its tables, its curves and its pictures."""
    found = material.tables.get(stage, {})
    names = [item for name in topic.listed for item in found if item == name or item.endswith(f"/{name}")]
    listed = [list_rows(found[name], name_item(stage, name)) for name in names]
    special = list(list_special(material, stage))
    shown = [*special, *list_numbers(material, stage, folded=bool(special)), *listed]
    curves = draw_curves(found, topic.axis, topic.curves) if topic.axis else {}
    images = [embed(title, "svg+xml", svg) for title, svg in curves.items()]
    several = topic.several and any("foreground_miou" in frame for frame in found.values())
    text = topic.several if several else topic.text
    return Section(stage, topic.title, text, shown, images, list_pictures(material, stage))


def gather_others(material: Material) -> Section:
    """One section for the stages that have none."""
    section = Section("others", "All other stages", "As they wrote it.")
    for stage in [stage for stage in material.stages() if stage not in TOPICS]:
        section.tables.extend(compare_items(material.figures.get(stage, {}), name_key(stage).capitalize()))
        section.pictures.extend(list_pictures(material, stage))
    return section


def list_special(material: Material, stage: str) -> Iterable[Table]:
    """The tables that only this stage has."""
    if stage == "evaluate_boxes":
        return compare_boxes(material.figures.get(stage, {}))
    return list_masks(material) if stage == "evaluate_masks" else []


def list_numbers(material: Material, stage: str, folded: bool) -> list[Table]:
    """All that a stage scored, folded where its own table has shown the best of it."""
    return compare_items(material.figures.get(stage, {}), "All other figures" if folded else "", folded=folded)


def list_masks(material: Material) -> Iterable[Table]:
    """The chain of masks on test and training images, and every protocol."""
    found = material.tables.get("evaluate_masks", {})
    if "steps" in found:
        chain = found["steps"]
        for split, title in SPLITS.items():
            if (chain["split"] == split).any():
                yield list_chain(chain[chain["split"] == split], title)
    if "protocols" in found:
        yield list_protocols(found["protocols"], "The same masks under every protocol")


def list_pictures(material: Material, stage: str) -> list[Image]:
    """Every picture of a stage."""
    return [embed(name_item(stage, item), *pack(png)) for item, png in material.pictures.get(stage, {}).items()]


def pack(png: bytes) -> tuple[str, bytes]:
    """A picture as WebP, a quarter of the bytes, so that a phone can load the page; a small one stays as it is."""
    if len(png) < SMALL:
        return "png", png
    buffer = io.BytesIO()
    PIL.Image.open(io.BytesIO(png)).convert("RGB").save(buffer, "WEBP", quality=QUALITY)
    return "webp", buffer.getvalue()


def embed(title: str, kind: str, data: bytes) -> Image:
    """An image with its bytes in its address."""
    return Image(title, f"data:image/{kind};base64,{base64.b64encode(data).decode()}")
