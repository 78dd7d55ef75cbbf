"""Artifacts of an entry an image: images, masks and superpixels, each format's reader and writer side by side.

A folder of uncompressed zips of bounded size (shards.py): random access, opens in any viewer, the same bytes at every
run; an image that changes changes one of them, which DVC hashes and sends alone. A writer is a context manager; its
folder appears under its name only when all went well, and takes the place of whatever was there.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from weakseg.artifacts.formats import image_files, shards
from weakseg.artifacts.formats.one_zip import Handle, Zip, ZipWriter, stem_of
from weakseg.artifacts.formats.shards import Shard
from weakseg.errors import UserError
from weakseg.harness.files import existing, replacing_folder, save_bytes

NOTHING = np.zeros((1, 1, 3), np.uint8)  # picture of a stage that has nothing to show
HANDLES = 16  # files of an archive that are open at most


def png_bytes(pixels: np.ndarray) -> bytes:
    """Encode (H,W) uint8 or uint16 or (H,W,3) uint8 as PNG without metadata."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def save_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H,W) uint8 or (H,W,3) uint8 as a PNG."""
    save_bytes(path, png_bytes(pixels))


class Archive:
    """Random-access reader of a folder of shards; picklable, a few handles a process, some 45 bytes an entry."""

    def __init__(self, path: Path) -> None:
        self.path = existing(Path(path))
        self._shards = shards.load_index(self.path)
        self._firsts = [shard.first for shard in self._shards]
        self._zips: dict[int, Zip] = {}
        self._handles: dict[int, tuple[int, Handle]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_zips": {}, "_handles": {}}

    def __contains__(self, stem: str) -> bool:
        return self._find(stem) is not None

    def __len__(self) -> int:
        return sum(shard.entries for shard in self._shards)

    def _zip(self, number: int) -> Zip:
        """A shard, whose directory is read once."""
        if number not in self._zips:
            shard = self._shards[number]
            found = Zip(self.path / shard.name)
            if found.seal != shard.seal:
                raise UserError(f"{found.path} is damaged: rerun the stage that writes it")
            self._zips[number] = found
        return self._zips[number]

    def _handle(self, number: int) -> Handle:
        """A shard's file; one that stays open has its slot until another shard takes it."""
        slot = number % HANDLES
        held = self._handles.get(slot)
        if held is None or held[0] != number:
            held = self._handles[slot] = number, self._zip(number).open()
        return held[1]

    def _find(self, stem: str) -> tuple[int, int] | None:
        """Shard and place of an entry; None where there is none of this name."""
        number = bisect_right(self._firsts, stem) - 1
        place = self._zip(number).find(stem) if number >= 0 else None
        return None if place is None else (number, place)

    def names(self) -> list[str]:
        """Sorted entry names without their suffix."""
        zips = map(self._zip, range(len(self._shards)))
        return [one.stem(place) for one in zips for place in range(len(one))]

    def checksums(self) -> list[tuple[str, int, int]]:
        """Name, CRC-32 and size of every entry, sorted: what changes with any of them, read at no cost."""
        return sorted(facts for number in range(len(self._shards)) for facts in self._zip(number).facts())

    def read(self, stem: str) -> bytes:
        """Bytes of one entry; UserError when it is absent or damaged."""
        found = self._find(stem)
        if found is None:
            raise UserError(f"{self.path} has no entry '{stem}': rerun the stage that writes it")
        number, place = found
        return self._zip(number).read_at(place, self._handle(number))


Writer = TypeVar("Writer", bound="ArchiveWriter")


class ArchiveWriter:
    """Adds entries to a folder of shards in ascending order, one shard open at a time; opened and closed by `with`."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._last = ""

    def __enter__(self: Writer) -> Writer:
        with ExitStack() as opened:
            self._folder = opened.enter_context(replacing_folder(self.path))
            self._shards: list[Shard] = []
            self._zip: ZipWriter | None = None
            opened.push(self._end)
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.__exit__(kind, error, trace)

    def add_bytes(self, name: str, content: bytes) -> None:
        """Add one entry; `name` carries the suffix and must sort after the one before."""
        stem = stem_of(name)
        if stem <= self._last:
            raise ValueError(f"entries must ascend: {stem!r} after {self._last!r}")
        self._last = stem
        if self._zip is None:
            self._first, self._zip = stem, ZipWriter(self._folder / shards.file_name(stem)).__enter__()
        self._zip.add(name, content)
        if shards.ends(stem, self._zip.entries):
            self._close(self._zip)

    def _close(self, shard: ZipWriter) -> None:
        """Complete the open shard."""
        self._zip = None
        shard.__exit__(None, None, None)
        size = shard.path.stat().st_size
        self._shards.append(Shard(shard.path.name, self._first, shard.entries, size, shard.seal))

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Complete the last shard and write the index; on an error close what is open."""
        if kind is None:
            if self._zip is not None:
                self._close(self._zip)
            shards.save_index(self._folder, self._shards)
        elif self._zip is not None:
            self._zip.__exit__(kind, error, trace)


class Images(Archive):
    """data/images: the original bytes of every image."""

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
    """data/superpixels: superpixel ids, counted from 0 without gaps."""

    def segments(self, image_id: str) -> np.ndarray:
        """One map of superpixel ids as (H,W) uint16."""
        return decode_ids(self.read(image_id), f"{self.path}: segments '{image_id}'").astype(np.uint16)


class SegmentsWriter(ArchiveWriter):
    """Writes superpixel ids as 16-bit PNG."""

    def add(self, image_id: str, segments: np.ndarray) -> None:
        """Add one (H,W) map of ids below 65,536."""
        self.add_bytes(f"{image_id}.png", png_bytes(segments.astype(np.uint16)))
