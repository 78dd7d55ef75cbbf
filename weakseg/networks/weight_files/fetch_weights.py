"""Weight files from outside, verified, read without running any code in them, and kept as safetensors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from weakseg.data.sources import downloads
from weakseg.data.sources.downloads import Official
from weakseg.errors import UserError
from weakseg.harness import files
from weakseg.networks.weight_files.class_lists import load_class_list

TORCHVISION_VGG19 = Official(
    "vgg19-dcbb9e9d.pth", "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "sha256:dcbb9e9d"
)


WITHOUT_FILE = ("none", "pretrained", "random")


def write_none(out: Path, kind: str, classes: list[str] | None = None) -> None:
    """Write a safetensors file that holds no tensor, and says what stands in its place: one of WITHOUT_FILE."""
    from safetensors.numpy import save

    files.save_bytes(out, save({}, metadata={"weakseg": json.dumps({"weights": kind} | name_given(classes))}))


def name_given(classes: list[str] | None) -> dict[str, object]:
    """What a header says of classes that a list beside the weight file names."""
    return {"classes": classes, "classes_given": True} if classes else {}


def bring_class_list(origin: str | None, folder: Path) -> list[str] | None:
    """The names in a text file at a path or address, None where none is named; UserError as `load_class_list`."""
    if origin is None:
        return None
    if not downloads.is_address(origin):
        return load_class_list(Path(origin))
    raw = downloads.staging(folder, origin) / "classes.txt"
    downloads.bring(origin, raw, None)
    names = load_class_list(raw)
    shutil.rmtree(raw.parent)
    return names


def read_source(path: Path) -> str:
    """What a backbone is built from: `pretrained` or `random` where `bring` wrote that, else the file's own path."""
    from weakseg.networks.loading import checkpoints

    kind = checkpoints.read_header(files.existing(path)).get("weights")
    return kind if kind in WITHOUT_FILE else str(path)


def bring_vgg19(origin: str, folder: Path, out: Path) -> int:
    """VGG-19's convolutions: `none`, `torchvision` for the official file, or as `bring`; the number of tensors."""
    if origin == "torchvision":
        origin = f"{TORCHVISION_VGG19.address}#{TORCHVISION_VGG19.checksum.replace(':', '=')}"
    return bring(origin, folder, out, prefix="features.")


def bring(origin: str, folder: Path, out: Path, *, prefix: str = "", classes: list[str] | None = None) -> int:
    """Bring a weight file to `out` as safetensors by way of `folder`; returns its number of tensors.

    `origin`: one of WITHOUT_FILE, a path or an address, `#sha256=<digits>` appended where its checksum is known; a
    SHA256SUMS beside it counts too. Only tensors whose name begins with `prefix` are kept. `classes` names those of the
    head; without them the file's own list, if any, is kept. UserError: absent, another checksum, no safe weight file,
    no tensor with that prefix.
    """
    if origin in WITHOUT_FILE:
        write_none(out, origin, classes)
        return 0
    from safetensors.torch import save

    from weakseg.networks.loading import checkpoints
    from weakseg.networks.weight_files import file_classes

    origin, _, digest = origin.partition("#sha256=")
    name = PurePosixPath(urlsplit(origin).path if downloads.is_address(origin) else origin).name
    sums = downloads.sums_of(origin.rpartition("/")[0] or ".")
    raw = downloads.staging(folder, origin) / name
    downloads.bring(origin, raw, f"sha256:{digest}" if digest else sums.get(name))
    state = {key: value for key, value in checkpoints.read(raw).items() if key.startswith(prefix)}
    if not state:
        raise UserError(f"{origin} has no weights whose names begin with '{prefix}': give another network's file")
    found = None if classes else file_classes.find(raw)
    facts = checkpoints.read_header(raw) | ({"classes": found} if found else {}) | name_given(classes)
    header = {"weakseg": json.dumps(facts, sort_keys=True)}
    files.save_bytes(out, save({key: value.contiguous().clone() for key, value in state.items()}, metadata=header))
    shutil.rmtree(raw.parent)
    return len(state)
