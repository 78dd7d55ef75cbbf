"""A user's own images: class folders or a table of labels, with masks and boxes for evaluation where there are any.

The source is a folder, or one tar, tar.gz or zip (path or address), that holds

    images/                 the images; when there is no such folder, the source itself
      <label>/.../x.jpg     class folders, or train/<label>/..., val/<label>/..., test/<label>/...; images without a
                            label directly in unlabeled/ or test/
    labels.csv              optional, instead of class folders: image,label[,split]; image is a path below images/,
                            several labels are joined by |; without any the image shows none of the classes (target
                            multi), or nobody knows what (split unlabeled, or test): those are predicted
    masks/.../x.png         optional, same path as the image: 0 background, k for the k-th label in sorted order,
                            255 ignore
    boxes.csv               optional: image,x0,y0,x1,y1 in pixels, half-open; without it boxes come from the masks

The id of an image is its path with _ for /, without the suffix, in Unicode's composed form. Other files, hidden ones,
and images that labels.csv does not list, are left alone. weakseg/artifacts/formats/image_files.py says what becomes of
images of uncommon kinds.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path, PurePosixPath

import numpy as np

from weakseg.artifacts.formats import image_files
from weakseg.artifacts.formats.labels import SPLITS, UNLABELED, class_names, load_labels
from weakseg.artifacts.formats.one_zip import ZipWriter
from weakseg.artifacts.truth import Annotation, Box, decode_mask, mask_box, write
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.data.sources.own_files import check_names, composed, id_of, rows_of
from weakseg.errors import UserError

SUFFIXES = {
    ".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2", ".tga",
}  # fmt: skip
PACKED = "folder.zip"
LABELS, BOXES = "labels.csv", "boxes.csv"


def fetch(source: str, out: Path) -> None:
    """Pack a folder into one archive in `out`, or bring a ready one."""
    if source == "official":
        raise UserError("data 'folder' has no official source: set download.source to your folder or archive")
    if downloads.is_address(source) or Path(source).is_file():
        sums = downloads.sums_of(source.rpartition("/")[0])
        name = PurePosixPath(source).name
        downloads.bring(source, out / name, sums.get(name))
    elif Path(source).is_dir():
        pack(Path(source), out / PACKED)
    else:
        raise UserError(f"download.source '{source}' is neither a folder nor an archive nor an address")


def is_wanted(entry: str) -> bool:
    """Whether a file belongs to the dataset: an image, a mask or one of the two tables; nothing hidden does."""
    path = PurePosixPath(entry)
    hidden = any(part[0] == "." or part == "__MACOSX" for part in path.parts)
    return entry in (LABELS, BOXES) or (path.suffix.lower() in SUFFIXES and not hidden)


def pack(source: Path, out: Path) -> None:
    """Write the dataset's files of a folder to an uncompressed zip; UserError for a class folder without images."""
    files = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
    folders = [path for path in source.rglob("*") if path.is_dir()]
    empty = sorted(path.name for path in folders if not any(path.rglob("*")))
    if empty:
        raise UserError(f"folder '{empty[0]}' of {source} holds no images: add some or remove it")
    wanted = sorted(filter(is_wanted, files), key=lambda name: (PurePosixPath(name).with_suffix("").as_posix(), name))
    check_names(wanted, source)
    for first, second in pairwise(wanted):
        if PurePosixPath(first).with_suffix("") == PurePosixPath(second).with_suffix(""):
            raise UserError(f"{source}: '{first}' and '{second}' would be the same image: rename one")
    with ZipWriter(out) as writer:
        for name in wanted:
            writer.add(name, files[name].read_bytes())


def opened(raw: Path, folder: Path) -> Spool:
    """The one archive in `raw`; UserError when there is none."""
    found = sorted(path for path in raw.glob("*") if path.is_file())
    if len(found) != 1:
        raise UserError(f"{raw} holds {len(found)} archives, not one: run the download stage")
    files = Spool(found[0], folder, is_wanted)
    check_names(files.names(), found[0])
    return files


def image_entries(files: Spool) -> dict[str, str]:
    """Entry of every image by its path below images/, or below the source when there is no such folder."""
    root = "images/" if any(name.startswith("images/") for name in files.names()) else ""
    inside = [name for name in files.names() if name.startswith(root) and not name.startswith("masks/")]
    return {composed(name.removeprefix(root)): name for name in inside if name not in (LABELS, BOXES)}


def listed_by_table(files: Spool) -> list[Listed]:
    """Images as labels.csv lists them; UserError for one that is absent, or for a split that does not suit."""
    entries, result = image_entries(files), []
    for row in rows_of(files, LABELS, {"image", "label"}):
        image, split = composed(row["image"] or ""), row.get("split") or "train"
        if image not in entries:
            raise UserError(
                f"{LABELS} lists '{image}', which is not there: add the image ({' '.join(sorted(SUFFIXES))}) or remove"
                " the line"
            )
        if split not in SPLITS:
            raise UserError(f"{LABELS}: split '{split}' of '{image}' is unknown: use {', '.join(SPLITS)}")
        labels = tuple(sorted({label.strip() for label in (row["label"] or "").split("|") if label.strip()}))
        if labels and split == UNLABELED:
            raise UserError(f"{LABELS}: '{image}' has a label and split {UNLABELED}: clear one of the two")
        result.append(Listed(id_of(image), split, labels, entries[image]))
    return result


def listed_by_folder(files: Spool) -> list[Listed]:
    """Images as their class folders say; UserError for one that lies in none."""
    result = []
    for path, entry in image_entries(files).items():
        folders = PurePosixPath(path).parts[:-1]
        split, *rest = folders if folders and folders[0] in SPLITS else ("train", *folders)
        if split != UNLABELED and not rest and split != "test":
            raise UserError(f"image '{path}' lies in no class folder: move it into one or write a {LABELS}")
        result.append(Listed(id_of(path), split, () if split == UNLABELED else tuple(rest[:1]), entry))
    return result


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images and labels."""
    with opened(raw, images.parent) as files:
        rows = listed_by_table(files) if LABELS in files else listed_by_folder(files)
        normal_form.write_images(normal_form.select(rows, selection), files.read, images, labels)


def boxes_of(files: Spool, known: Collection[str]) -> dict[str, list[Box]]:
    """Boxes by image id from boxes.csv; UserError for an image there is not, or a side that is no number."""
    result: dict[str, list[Box]] = {}
    for row in rows_of(files, BOXES, {"image", "x0", "y0", "x1", "y1"}) if BOXES in files else []:
        try:
            box = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"]))
        except (TypeError, ValueError):
            raise UserError(f"{BOXES}: a side of the box of '{row['image']}' is no number: mend it") from None
        image_id = id_of(row["image"] or "")
        if image_id not in known:
            raise UserError(f"{BOXES} lists '{row['image']}', which is not there: mend or remove the line")
        result.setdefault(image_id, []).append(box)
    return result


def masks_of(files: Spool, known: Collection[str]) -> dict[str, str]:
    """Entry of every mask by image id; UserError for a mask without an image."""
    result = {id_of(name.removeprefix("masks/")): name for name in files.names() if name.startswith("masks/")}
    orphans = sorted(set(result) - set(known))
    if orphans:
        raise UserError(f"mask '{result[orphans[0]]}' belongs to no image: give it the path of its image")
    return result


def check_values(mask: np.ndarray, own: set[int], image_id: str) -> None:
    """UserError when a mask names a class its image is not labeled with, or ignores all that is no background."""
    values = np.unique(mask).tolist()
    classes = set(values) - {0, 255}
    if classes - own or (not classes and 255 in values):
        allowed = ", ".join(map(str, sorted(own)))
        raise UserError(
            f"mask of image '{image_id}' holds {values}: use 0, 255 (ignore) and, for its labels, {allowed}"
        )


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write masks and boxes where the source has them; a mask may only name labels of its image, if they are known."""
    frame = load_labels(labels)
    names = class_names(frame)
    with opened(raw, masks.parent) as files:
        known = {id_of(path): entry for path, entry in image_entries(files).items()}
        mask_entries, listed = masks_of(files, known), boxes_of(files, known)

        def truth(image_id: str) -> Annotation:
            given = listed.get(image_id, [])
            if given:  # in the pixels of an image that is reduced where it is read
                factor = image_files.reduction_of(files.read(known[image_id]), f"image '{image_id}'")
                given = [(x0 / factor, y0 / factor, x1 / factor, y1 / factor) for x0, y0, x1, y1 in given]
            if image_id not in mask_entries:
                return Annotation(boxes=given)
            mask = decode_mask(files.read(mask_entries[image_id]), image_id)
            unknown = not frame["labels"][image_id] and frame["split"][image_id] in ("test", UNLABELED)
            own = {1 + names.index(label) for label in (names if unknown else frame["labels"][image_id])}
            check_values(mask, own, image_id)
            return Annotation(mask, given or mask_box((mask > 0) & (mask < 255)))

        write(labels, truth, masks, boxes, parts)
