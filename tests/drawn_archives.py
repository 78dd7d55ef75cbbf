"""Data sets of a few drawn images in the official layout of their archives, and weight files of random numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.raw_archives import mask, sums, tar_gz
from weakseg.data.datasets import voc2012 as voc

TRAIN, TEST = 4, 2  # images of each class
WIDTH, HEIGHT = 64, 48  # pixels
COLORS = ((220, 60, 40), (60, 200, 60), (70, 90, 230))
BREEDS = ("Abyssinian", "Bengal", "beagle")
BIRDS = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "003.Sooty_Albatross")
THINGS = ("bird", "dog", "person")
SYNSETS = ("n01440764", "n02102040", "n02979186")


def images(kind: int) -> Iterator[tuple[int, str, bytes, np.ndarray]]:
    """Number, split, JPEG and object (H,W) of the images of a class: an ellipse in its color on noise."""
    rows, columns = np.indices((HEIGHT, WIDTH))
    for number in range(1, TRAIN + TEST + 1):
        random = np.random.default_rng([kind, number])
        y, x = random.uniform((16, 20), (32, 44))
        inside = ((rows - y) / 12) ** 2 + ((columns - x) / 16) ** 2 < 1
        pixels = random.integers(0, 90, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        pixels[inside] = COLORS[kind]
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG")
        yield number, "train" if number <= TRAIN else "test", buffer.getvalue(), inside


def trimap(inside: np.ndarray) -> bytes:
    """1 inside, 2 outside, 3 on the border."""
    padded = np.pad(inside, 1)
    core = padded[2:, 1:-1] & padded[:-2, 1:-1] & padded[1:-1, 2:] & padded[1:-1, :-2] & inside
    return mask(np.where(core, 1, np.where(inside, 3, 2)))


def bounds(inside: np.ndarray) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of an object."""
    rows, columns = np.nonzero(inside)
    return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def oxford_pets(folder: Path) -> Path:
    """The archives of Oxford-IIIT Pet: every image with a trimap and a head box."""
    pictures, truths, lists = {}, {}, {"train": [], "test": []}
    for kind, breed in enumerate(BREEDS):
        for number, split, content, inside in images(kind):
            name, (x0, y0, x1, y1) = f"{breed}_{number}", bounds(inside)
            sides = zip(("xmin", "ymin", "xmax", "ymax"), (x0 + 1, y0 + 1, x1, (y0 + y1) // 2), strict=True)
            box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
            pictures[f"images/{name}.jpg"] = content
            truths[f"annotations/trimaps/{name}.png"] = trimap(inside)
            truths[f"annotations/xmls/{name}.xml"] = f"<annotation><bndbox>{box}</bndbox></annotation>".encode()
            lists[split].append(f"{name} {kind + 1} 1 1\n")
    texts = {"trainval": lists["train"], "test": lists["test"]}
    truths |= {f"annotations/{name}.txt": "".join(lines).encode() for name, lines in texts.items()}
    tar_gz(folder / "images.tar.gz", pictures)
    tar_gz(folder / "annotations.tar.gz", truths)
    sums(folder)
    return folder


def cub(folder: Path) -> Path:
    """The archive of CUB-200-2011: every image with a box."""
    entries: dict[str, bytes] = {}
    names = ("images", "image_class_labels", "train_test_split", "bounding_boxes")
    tables: dict[str, list[str]] = {name: [] for name in names}
    for kind, bird in enumerate(BIRDS):
        for number, split, content, inside in images(kind):
            x0, y0, x1, y1 = bounds(inside)
            place, row = f"{bird}/{bird[4:]}_{number}.jpg", len(tables["images"]) + 1
            entries[f"CUB_200_2011/images/{place}"] = content
            fields = (place, str(kind + 1), str(int(split == "train")), f"{x0}.0 {y0}.0 {x1 - x0}.0 {y1 - y0}.0")
            for name, value in zip(names, fields, strict=True):
                tables[name].append(f"{row} {value}\n")
    tables["classes"] = [f"{kind + 1} {bird}\n" for kind, bird in enumerate(BIRDS)]
    entries |= {f"CUB_200_2011/{name}.txt": "".join(lines).encode() for name, lines in tables.items()}
    tar_gz(folder / "CUB_200_2011.tgz", entries)
    sums(folder)
    return folder


def imagenette(folder: Path) -> Path:
    """The archive of Imagenette."""
    entries = {
        f"imagenette2-160/{'train' if split == 'train' else 'val'}/{synset}/{synset}_{number}.JPEG": content
        for kind, synset in enumerate(SYNSETS)
        for number, split, content, _ in images(kind)
    }
    tar_gz(folder / "imagenette2-160.tgz", entries)
    sums(folder)
    return folder


def voc2012(folder: Path) -> Path:
    """The archive of PASCAL VOC 2012: pictures of one class, and of two side by side, with masks and boxes."""
    entries: dict[str, bytes] = {}
    listed: dict[str, list[str]] = {"train": [], "test": []}
    drawn = [list(images(kind)) for kind in range(len(THINGS))]
    for kind, number in np.ndindex(len(THINGS), TRAIN + TEST):
        _, split, content, inside = drawn[kind][number]
        name, kinds, truth = f"2007_{kind}{number:05d}", {kind}, inside * (1 + voc.CLASSES.index(THINGS[kind]))
        if number % 2:  # the next class to the right of it
            other = (kind + 1) % len(THINGS)
            _, _, beside, second = drawn[other][number]
            content, kinds = join(content, beside), {kind, other}
            truth = np.hstack([truth, second * (1 + voc.CLASSES.index(THINGS[other]))])
        listed[split].append(name)
        entries[f"{voc.ROOT}/JPEGImages/{name}.jpg"] = content
        entries[f"{voc.ROOT}/SegmentationClass/{name}.png"] = mask(truth)
        entries[f"{voc.ROOT}/Annotations/{name}.xml"] = annotation(truth, kinds)
    for split, name in (("train", "Segmentation/train"), ("test", "Segmentation/val")):
        entries[f"{voc.LISTS}/{name}.txt"] = "".join(f"{line}\n" for line in listed[split]).encode()
    entries[f"{voc.LISTS}/Strata/core_val.txt"] = "".join(f"{line}\n" for line in listed["test"]).encode()
    tar_gz(folder / voc.ARCHIVE.name, entries)
    sums(folder)
    return folder


def join(left: bytes, right: bytes) -> bytes:
    """Two JPEG images side by side as one."""
    pixels = np.hstack([np.asarray(Image.open(io.BytesIO(content))) for content in (left, right)])
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def annotation(truth: np.ndarray, kinds: set[int]) -> bytes:
    """The objects of some classes in a mask (H,W) of VOC's class ids, a box each."""
    found = []
    for name in (THINGS[kind] for kind in sorted(kinds)):
        x0, y0, x1, y1 = bounds(truth == 1 + voc.CLASSES.index(name))
        sides = zip(voc.SIDES, (x0 + 1, y0 + 1, x1, y1), strict=True)
        box = "".join(f"<{side}>{value}</{side}>" for side, value in sides)
        found.append(f"<object><name>{name}</name><bndbox>{box}</bndbox></object>")
    return f"<annotation>{''.join(found)}</annotation>".encode()
