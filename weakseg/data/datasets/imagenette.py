"""Imagenette: ten easily told classes of ImageNet, without masks and boxes.

J. Howard, "Imagenette", 2019, https://github.com/fastai/imagenette.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Literal

from weakseg.artifacts import truth
from weakseg.artifacts.truth import Annotation
from weakseg.data.sources import downloads, normal_form
from weakseg.data.sources.archives import Spool
from weakseg.data.sources.downloads import Official
from weakseg.data.sources.normal_form import Listed, Selection
from weakseg.errors import UserError

ADDRESS = "https://s3.amazonaws.com/fast-ai-imageclas"
ARCHIVES = {
    "160": Official("imagenette2-160.tgz", f"{ADDRESS}/imagenette2-160.tgz", "md5:e793b78cc4c9e9a4ccc0c1155377a412"),
    "320": Official("imagenette2-320.tgz", f"{ADDRESS}/imagenette2-320.tgz", "md5:3df6f0d01a2c9592104656642f5e78a3"),
    "full": Official("imagenette2.tgz", f"{ADDRESS}/imagenette2.tgz", "md5:fe2fc210e6bb7c5664d602c3cd71e612"),
}
LABELS = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
SPLITS = {"train": "train", "val": "test"}


def fetch(source: str, out: Path, *, size: Literal["160", "320", "full"]) -> None:
    """Bring one archive into `out`; `size` is its images' shorter side; `source` 'official', a folder or an address."""
    downloads.bring_all([ARCHIVES[size]], source, out)


def archive_in(raw: Path) -> Path:
    """The one archive that was brought; UserError when there is none."""
    found = [raw / archive.name for archive in ARCHIVES.values() if (raw / archive.name).is_file()]
    if len(found) != 1:
        raise UserError(f"{raw} holds {len(found)} Imagenette archives, not one: run the download stage")
    return found[0]


def listed(entry: str) -> Listed:
    """One image from its place in the archive: root/split/class/name."""
    path = PurePosixPath(entry)
    if len(path.parts) != 4 or path.parts[1] not in SPLITS or path.parts[2] not in LABELS:
        raise UserError(f"entry '{entry}' is not laid out as Imagenette's split/class/image: bring the archive again")
    return Listed(path.stem, SPLITS[path.parts[1]], (LABELS[path.parts[2]],), entry)


def prepare(raw: Path, images: Path, labels: Path, selection: Selection) -> None:
    """Write images with readable class names; the official validation images are the test split."""
    with Spool(archive_in(raw), images.parent, lambda entry: entry.endswith(".JPEG")) as files:
        rows = normal_form.select([listed(entry) for entry in files.names()], selection)
        normal_form.write_images(rows, files.read, images, labels)


def prepare_truth(raw: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> None:
    """Write empty ground truth: Imagenette has none."""
    truth.write(labels, lambda image_id: Annotation(), masks, boxes, parts)
