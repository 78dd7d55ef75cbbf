"""Artifacts of an entry an image: images, masks and superpixels, each format's reader and writer side by side.

One uncompressed zip with fixed entry headers: random access, opens in any viewer, the same bytes at every run and
one hash for DVC. A writer is a context manager; its file appears under its name only when all went well.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from weakseg.artifacts.formats import image_files
from weakseg.errors import UserError
from weakseg.harness.files import existing, replacing, save_bytes

NOTHING = np.zeros((1, 1, 3), np.uint8)  # picture of a stage that has nothing to show
EPOCH = (1980, 1, 1, 0, 0, 0)
# What zipfile says of a flipped bit: in a checksum or a place, in the packing or encryption of an entry, in a name.
DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError, ValueError, struct.error)


def png_bytes(pixels: np.ndarray) -> bytes:
    """Encode (H,W) uint8 or uint16 or (H,W,3) uint8 as PNG without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H,W) uint8 or (H,W,3) uint8 as a PNG."""
    save_bytes(path, png_bytes(pixels))


class Archive:
    """Random-access reader of an uncompressed zip; picklable, one handle a process."""

    def __init__(self, path: Path) -> None:
        self.path = existing(Path(path))
        self._handle: tuple[int, zipfile.ZipFile] | None = None
        self._entries = {Path(name).with_suffix("").as_posix(): name for name in sorted(self._zip().namelist())}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": None}

    def __contains__(self, stem: str) -> bool:
        return stem in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    def _zip(self) -> zipfile.ZipFile:
        if self._handle is None or self._handle[0] != os.getpid():
            try:
                self._handle = (os.getpid(), zipfile.ZipFile(self.path))
            except DAMAGE:
                raise UserError(f"{self.path} is not a whole zip archive: rerun the stage that writes it") from None
        return self._handle[1]

    def names(self) -> list[str]:
        """Sorted entry names without their suffix."""
        return list(self._entries)

    def checksums(self) -> list[tuple[str, int, int]]:
        """Name, CRC-32 and size of every entry, sorted: what changes with any of them, read at no cost."""
        return sorted((info.filename, info.CRC, info.file_size) for info in self._zip().infolist())

    def read(self, stem: str) -> bytes:
        """Bytes of one entry; UserError when it is absent or damaged."""
        if stem not in self._entries:
            raise UserError(f"{self.path} has no entry '{stem}': rerun the stage that writes it")
        try:
            return self._zip().read(self._entries[stem])
        except DAMAGE:
            raise UserError(f"{self.path}: entry '{stem}' is damaged: rerun the stage that writes it") from None


Writer = TypeVar("Writer", bound="ArchiveWriter")


class ArchiveWriter:
    """Adds entries to a zip in ascending order with fixed headers; opened and closed by `with`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._last = ""

    def __enter__(self: Writer) -> Writer:
        with ExitStack() as opened:
            temporary = opened.enter_context(replacing(self.path))
            self._zip = opened.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add one entry; `name` carries the suffix and must sort after the one before."""
        stem = Path(name).with_suffix("").as_posix()
        if stem <= self._last:
            raise ValueError(f"entries must ascend: {stem!r} after {self._last!r}")
        self._last = stem
        header = zipfile.ZipInfo(name, EPOCH)
        header.external_attr = 0o644 << 16
        self._zip.writestr(header, content)


class Images(Archive):
    """data/images.zip: the original bytes of every image."""

    def image(self, image_id: str) -> np.ndarray:
        """One image as (H,W,3) uint8 RGB."""
        return image_files.decode_pixels(self.read(image_id), image_id)


def decode_ids(content: bytes, where: str) -> np.ndarray:
    """Decode a map of pixel ids (H,W); UserError names where it lies when it cannot be read."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise UserError(f"{where} cannot be read ({error}): rerun the stage that writes it") from None


class Segments(Archive):
    """data/superpixels.zip: superpixel ids, counted from 0 without gaps."""

    def segments(self, image_id: str) -> np.ndarray:
        """One map of superpixel ids as (H,W) uint16."""
        return decode_ids(self.read(image_id), f"{self.path}: segments '{image_id}'").astype(np.uint16)


class SegmentsWriter(ArchiveWriter):
    """Writes superpixel ids as 16-bit PNG."""

    def add(self, image_id: str, segments: np.ndarray) -> None:
        """Add one (H,W) map of ids below 65,536."""
        self.add_bytes(f"{image_id}.png", png_bytes(segments.astype(np.uint16)))
