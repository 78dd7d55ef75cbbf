"""What a result depends on, as digests: the bytes of files, the code that a file imports, versions of libraries."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from weakseg.harness import choices, device, files, source_code

PACKAGE = Path(__file__).parent.parent
LIBRARIES = ("numpy", "opencv-python-headless", "pillow", "scikit-image", "scipy", "timm", "torch", "torchvision")
BLOCK = 1 << 20  # bytes read at once
SETTLED = 2.0  # seconds after its last change from which a file's time tells one content from the next
CHOICE = {"folder", "symbol", "name", "options"}  # fields of a `choices.Choice`, as pydantic writes it


def of_parts(*parts: bytes) -> bytes:
    """Sixteen bytes that change with any part, or with where one ends and the next begins."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()[:16]


def of_file(path: Path, memory: Path) -> str:
    """SHA-256 of a file's bytes; kept in the folder `memory` for as long as its size and times stay.

    A file of the last seconds is not kept: a second change could leave size and time as they are. So a clock that
    jumps costs another look, and never a wrong digest.
    """
    facts = path.stat()
    seen = [facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
    note = memory / f"{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:16]}.json"
    known: Any = {}
    with suppress(ValueError, FileNotFoundError):
        known = json.loads(note.read_text(encoding="utf-8"))
    if isinstance(known, dict) and known.get("seen") == seen:
        return known["digest"]
    digest = read_through(path)
    if abs(time.time() - facts.st_mtime) > SETTLED:
        with suppress(FileNotFoundError):  # another process has just written the same note
            files.save_json(note, {"seen": seen, "digest": digest})
    return digest


def read_through(path: Path) -> str:
    """SHA-256 of a file's bytes, read now."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def of_input(path: Path, memory: Path) -> list[Any]:
    """Names and digests of a file, or of every file below a folder; empty where there is nothing."""
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    root = path if path.is_dir() else path.parent
    return [(file.relative_to(root).as_posix(), of_file(file, memory)) for file in found if file.is_file()]


def chosen_files(settings: Any) -> list[Path]:
    """Files of the choices that stand anywhere in settings, as pydantic writes them."""
    if isinstance(settings, dict):
        own = []
        if set(settings) == CHOICE:
            own = [PACKAGE / choices.FOLDERS[settings["folder"]] / f"{settings['name']}.py"]
        return own + [path for value in settings.values() for path in chosen_files(value)]
    if isinstance(settings, list | tuple):
        return [path for value in settings for path in chosen_files(value)]
    return []


def of_code(paths: Iterable[Path]) -> str:
    """Digest of source files and their names."""
    parts = [part for path in paths for part in (path.name.encode(), path.read_bytes())]
    return of_parts(*parts).hex()


def versions(names: Iterable[str] = LIBRARIES) -> list[str]:
    """Names and versions of libraries, those that are there; by default those that compute."""
    found = []
    for name in names:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def machine() -> list[Any]:
    """What of a machine changes the last bits that a network gives: kind of device, units of the processor as torch,
    oneDNN and numpy's OpenBLAS use them, threads, and whether a GPU may choose its fastest kernels.

    Part of the settings of whatever keeps results of a network, since several machines may share what is kept.
    """
    import torch

    told = (os.environ.get(name, "") for name in ("ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE"))
    units = torch.backends.cpu.get_cpu_capability(), *told
    return [device.pick().type, *units, torch.get_num_threads(), *(["fast"] if device.is_fast() else [])]


def key(settings: Any, inputs: Iterable[Path], code: Iterable[Path], memory: Path) -> str:
    """Sixteen hex digits that change with the settings, an input's bytes, the code that is used, or a library."""
    dumped = json.dumps(settings, sort_keys=True, default=str)
    used = source_code.imported([*code, *chosen_files(settings)])
    given = [of_input(path, memory) for path in inputs]
    return of_parts(dumped.encode(), of_code(used).encode(), json.dumps([given, versions()]).encode()).hex()[:16]
