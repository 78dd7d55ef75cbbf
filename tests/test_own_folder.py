"""A folder as people have it through the whole graph: odd files, unlabeled images, classes that are background."""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import drawn_archives, few_images
from tests.raw_archives import mask
from weakseg.artifacts import activations
from weakseg.artifacts.formats.labels import load_labels
from weakseg.artifacts.formats.masks import Masks

NORMAL = "all well"  # a class that has nothing to segment
KINDS = ("red spot", "grün", NORMAL)
CHANGES = (
    "data=folder", "compare_erf.fit=images", "~networks.convnext", "~networks.replknet",
    "distill_cams.rules=classes",
)  # fmt: skip


def gray(image: Image.Image) -> np.ndarray:
    """The image's gray values."""
    return np.asarray(image.convert("L"))


def see_through(image: Image.Image) -> Image.Image:
    """The image half transparent."""
    image.putalpha(128)
    return image


def flagged(orientation: int) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def frames(image: Image.Image) -> dict:
    """What makes an image the first of two."""
    return {"save_all": True, "append_images": [Image.new("RGB", image.size)]}


# Suffix of a file, the image in it, and what Pillow is told when it is saved.
ODD: tuple[tuple[str, Callable[[Image.Image], Image.Image], Callable[[Image.Image], dict]], ...] = (
    ("png", lambda image: Image.fromarray(gray(image) * np.uint16(200)), lambda image: {}),
    ("tif", lambda image: Image.fromarray(gray(image) / np.float32(7)), lambda image: {}),
    ("webp", lambda image: see_through(image), lambda image: {"lossless": True}),
    ("gif", lambda image: image.convert("P"), frames),
    ("jpg", lambda image: image.convert("CMYK"), lambda image: {}),
    ("jpeg", lambda image: image.transpose(Image.Transpose.ROTATE_90), lambda image: {"exif": flagged(6)}),
    ("tiff", lambda image: image, frames),
    ("bmp", lambda image: image.convert("1"), lambda image: {}),
)


def draw(folder: Path, table: Callable[[int, int, str], str], classes: Collection[str] = KINDS) -> None:
    """Write 18 images of three kinds in turn as the odd files, their masks, and labels.csv.

    table: kind, number and split to "label,split"; an image of the background has an empty mask.
    """
    ids = {name: 1 + place for place, name in enumerate(sorted(classes)) if name != NORMAL}
    lines = ["image,label,split\n"]
    for kind, number, split, content, inside in listed():
        suffix, convert, options = ODD[(3 * number + kind) % len(ODD)]
        image = Image.open(io.BytesIO(content))
        name = f"{'ä b' if number % 2 else 'c,d'}/{kind} {number}"
        path = folder / "images" / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        convert(image).save(path, **options(image))
        row = table(kind, number, split)
        lines.append(f'"{name}.{suffix}",{row}\n')
        drawn = ids.get(KINDS[kind], 0) if KINDS[kind] in row else 0
        (folder / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "masks" / f"{name}.png").write_bytes(mask(inside * drawn))
    Image.new("RGB", (1, 1), "red").save(folder / "images" / "dot.png")
    (folder / "labels.csv").write_text("".join(lines) + f"dot.png,{KINDS[0]},train\n", encoding="utf-8")


def listed() -> Iterator[tuple[int, int, str, bytes, np.ndarray]]:
    """Kind, number, split, JPEG and object of the drawn images."""
    for kind in range(len(KINDS)):
        for number, split, content, inside in drawn_archives.images(kind):
            yield kind, number, split, content, inside


def run(tmp_path: Path, source: Path, *changes: str) -> None:
    """Every stage on the folder, in the working folder."""
    overrides = [*CHANGES, f"download.source={source}", *changes]
    few_images.write(few_images.override(Path("params.yaml"), overrides), tmp_path)
    few_images.Runner(tmp_path / "kept").run(())


def shares(path: str) -> dict[str, bool]:
    """Whether each image's mask has any foreground."""
    masks = Masks(Path(path))
    return {name: bool(((masks.mask(name) > 0) & (masks.mask(name) < 255)).any()) for name in masks.names()}


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the folder is drawn; the test works beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("WEAKSEG_WORKERS", "0")
    return tmp_path / "mine"


def test_one_label_a_background_class_and_unlabeled_images(tmp_path: Path, source: Path) -> None:
    unlabeled = drawn_archives.TRAIN + drawn_archives.TEST
    draw(source, lambda kind, number, split: ",unlabeled" if number == unlabeled else f"{KINDS[kind]},{split}")
    run(tmp_path, source, f"background_classes=['{NORMAL}']", "prepare_data.val_share=0.2")
    frame, found = load_labels(Path("data/labels.csv")), shares("data/refined")
    assert len(frame) == len(found) == 19 and (frame["split"] == "unlabeled").sum() == 3
    cams = activations.Cams(Path("data/cams/mobilenet"))
    for name, row in frame.iterrows():
        if row["split"] in ("train", "val"):
            normal = row["labels"] == (NORMAL,)
            assert len(cams.cams(str(name)).classes) == (0 if normal else 1)
            assert not (normal and found[str(name)]), "the mask of a background image is empty"


def test_several_labels_and_images_that_show_no_class(tmp_path: Path, source: Path) -> None:
    def table(kind: int, number: int, split: str) -> str:
        label = "|".join(KINDS[:2]) if number == 1 else KINDS[kind]
        return f"{'' if kind == 2 else label},{split}"

    draw(source, table, KINDS[:2])
    run(
        tmp_path, source, "train_classifier.target=multi", "generate_cams.predicted=above",
        "train_segmenter.mask_ids=classes",
    )  # fmt: skip
    frame, found = load_labels(Path("data/labels.csv")), shares("data/refined")
    bare = frame.index[(frame["labels"].map(len) == 0) & (frame["split"] != "test")]
    assert len(bare) == 4 and not any(found[name] for name in bare)
