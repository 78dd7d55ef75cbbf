"""One uncompressed zip with fixed entry headers: opens in any viewer, the same bytes at every run.

The reader takes some 45 bytes of memory an entry, compares every header with the one that the writer gives it, and the
content with its checksum: a flipped bit is an error, wherever it lies.
"""

from __future__ import annotations

import os
import posixpath
import struct
import zipfile
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np

from weakseg.errors import UserError
from weakseg.harness.files import existing, replacing

EPOCH = (1980, 1, 1, 0, 0, 0)
HEADER = struct.Struct("<4s5H3L2H")  # of an entry: APPNOTE.TXT of the zip format, 4.3.7
VERSION, UTF_8, STORED, NO_TIME, FIRST_DAY = 20, 0x800, 0, 0, 33  # fields of every header
LARGEST = 2_000_000_000  # bytes of an entry: beyond, zipfile gives it a header of another form
# What zipfile says of a flipped bit: in a checksum or a place, in the packing or encryption of an entry, in a name.
DAMAGE = (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, ArithmeticError, struct.error)


def stem_of(name: str) -> str:
    """An entry's name without its suffix."""
    return posixpath.splitext(name)[0]


def header(name: bytes, checksum: int, size: int) -> bytes:
    """What stands before an entry's content."""
    flags = 0 if name.isascii() else UTF_8
    numbers = VERSION, flags, STORED, NO_TIME, FIRST_DAY, checksum, size, size, len(name), 0
    return HEADER.pack(b"PK\3\4", *numbers) + name


def seal_of(file: BinaryIO, start: int) -> int:
    """Checksum of a zip's directory of entries, which begins at byte `start` and goes on to the end of the file."""
    file.seek(start)
    return zlib.crc32(file.read())


class ZipWriter:
    """Adds entries to a zip in ascending order with fixed headers; opened and closed by `with`.

    The file appears under its name only when all went well.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.entries, self._last = Path(path), 0, ""

    def __enter__(self) -> ZipWriter:
        with ExitStack() as opened:
            temporary = opened.enter_context(replacing(self.path))
            self._zip = opened.enter_context(zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True))
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        start = self._zip.start_dir
        self._opened.__exit__(kind, error, trace)
        if kind is None:
            with self.path.open("rb") as file:
                self.seal = seal_of(file, start)

    def add(self, name: str, content: bytes) -> None:
        """Add one entry; `name` carries the suffix and must sort after the one before. UserError: too large."""
        stem = stem_of(name)
        if stem <= self._last:
            raise ValueError(f"entries must ascend: {stem!r} after {self._last!r}")
        if len(content) > LARGEST:
            raise UserError(f"'{name}' has {len(content):,} bytes, more than {LARGEST:,}: make it smaller or remove it")
        self._last = stem
        self.entries += 1
        information = zipfile.ZipInfo(name, EPOCH)
        information.external_attr = 0o644 << 16
        self._zip.writestr(information, content)


class Handle:
    """A file that is open for as long as somebody holds this: threads that read at places need no lock."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class Zip:
    """Random-access reader of what `ZipWriter` wrote."""

    def __init__(self, path: Path) -> None:
        self.path = existing(Path(path))
        try:
            with self.path.open("rb") as file, zipfile.ZipFile(file) as opened:
                found = opened.infolist()
                self.seal = seal_of(file, opened.start_dir)
            names = [entry.filename.encode() for entry in found]
            self._starts = np.array([entry.header_offset for entry in found], np.uint64)
            self._sizes = np.array([entry.file_size for entry in found], np.uint32)
            self._checksums = np.array([entry.CRC for entry in found], np.uint32)
        except DAMAGE:
            raise UserError(f"{self.path} is not a whole zip archive: rerun the stage that writes it") from None
        self._names = b"".join(names)
        self._ends = np.cumsum([len(name) for name in names], dtype=np.uint32)

    def __len__(self) -> int:
        return len(self._ends)

    def _name(self, place: int) -> bytes:
        return self._names[self._ends[place - 1] if place else 0 : self._ends[place]]

    def stem(self, place: int) -> str:
        """The name of one entry without its suffix."""
        return stem_of(self._name(place).decode())

    def find(self, stem: str) -> int | None:
        """The place of an entry; None where there is none of this name."""
        place = bisect_left(range(len(self)), stem, key=self.stem)
        return place if place < len(self) and self.stem(place) == stem else None

    def facts(self) -> Iterator[tuple[str, int, int]]:
        """Name with suffix, CRC-32 and size of every entry."""
        for place in range(len(self)):
            yield self._name(place).decode(), int(self._checksums[place]), int(self._sizes[place])

    def open(self) -> Handle:
        """The file, open for `read_at`."""
        return Handle(existing(self.path))

    def read_at(self, place: int, handle: Handle) -> bytes:
        """Bytes of one entry; UserError where it is damaged."""
        name, checksum, size = self._name(place), int(self._checksums[place]), int(self._sizes[place])
        expected = header(name, checksum, size)
        found = os.pread(handle.number, len(expected) + size, int(self._starts[place]))
        content = found[len(expected) :]
        if not found.startswith(expected) or len(content) != size or zlib.crc32(content) != checksum:
            damaged = stem_of(name.decode())
            raise UserError(f"{self.path}: entry '{damaged}' is damaged: rerun the stage that writes it")
        return content

    def read(self, stem: str) -> bytes:
        """Bytes of one entry by its name; UserError where it is absent or damaged."""
        place = self.find(stem)
        if place is None:
            raise UserError(f"{self.path} has no entry '{stem}': rerun the stage that writes it")
        return self.read_at(place, self.open())
