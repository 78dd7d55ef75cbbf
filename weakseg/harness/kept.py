"""Results of single items, kept by what they were made from: one more item costs one, and a killed run goes on.

One file that only grows. A record is written at once and carries its checksum, so that a kill, a full disk or a flipped
bit costs the records from there on, which are computed again, and nothing else.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from weakseg.harness import digests

MAGIC = b"weakseg kept items 1\n"
HEADER = struct.Struct(">16sQI")  # key, bytes of the content, CRC-32 of key and content


@dataclass(frozen=True)
class Record:
    """Small facts about an item, as JSON knows them, and its bytes, in parts."""

    facts: dict[str, Any]
    parts: tuple[bytes, ...] = ()

    def pack(self) -> bytes:
        """All of it as bytes."""
        head = json.dumps([self.facts, [len(part) for part in self.parts]]).encode()
        return len(head).to_bytes(4, "big") + head + b"".join(self.parts)

    @staticmethod
    def unpack(content: bytes) -> Record:
        """What `pack` gave."""
        start = 4 + int.from_bytes(content[:4], "big")
        facts, sizes = json.loads(content[4:start])
        parts = []
        for size in sizes:
            parts.append(content[start : start + size])
            start += size
        return Record(facts, tuple(parts))


class Kept:
    """The records of a file, by key of 16 bytes; one process writes at a time (`resume.folder` sees to it)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[bytes, tuple[int, int]] = {}  # where a key's content stands, and how long it is

    def __enter__(self) -> Kept:
        self._file: BinaryIO = self.path.open("a+b", buffering=0)
        self._end = self._scan()
        self._file.truncate(self._end)
        if self._end == 0:
            self._end = self._file.write(MAGIC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _scan(self) -> int:
        """Find the records; the number of bytes up to the first that is cut short or damaged."""
        with self.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return 0
            end = file.tell()
            while len(header := file.read(HEADER.size)) == HEADER.size:
                key, size, checksum = HEADER.unpack(header)
                # A flipped bit in the size must not ask for more memory than the file has bytes.
                content = file.read(min(size, self.path.stat().st_size))
                if len(content) < size or zlib.crc32(content, zlib.crc32(key)) != checksum:
                    break
                self.places[key] = end + HEADER.size, size
                end = file.tell()
        return end

    def __contains__(self, key: bytes) -> bool:
        return key in self.places

    def __len__(self) -> int:
        return len(self.places)

    def find(self, key: bytes) -> Record:
        """The record of a key that is there."""
        start, size = self.places[key]
        self._file.seek(start)
        return Record.unpack(self._file.read(size))

    def add(self, key: bytes, record: Record) -> None:
        """Keep a record, unless there is one of this key; it is on its way to the disk when this returns."""
        if key in self.places:
            return
        content = record.pack()
        entry = HEADER.pack(key, len(content), zlib.crc32(content, zlib.crc32(key))) + content
        written = self._file.write(entry)
        if written < len(entry):  # the disk is full: the next write says so
            self._file.write(entry[written:])
        self.places[key] = self._end + HEADER.size, len(content)
        self._end += len(entry)


def complete(
    kept: Kept, keys: Sequence[bytes], compute: Callable[[list[int]], Iterable[Record]], batch: int = 1
) -> Iterator[Record]:
    """The records of all items, in order; `compute` gets the places of those that are not kept, and gives theirs.

    Where items are computed in batches, in listing order, a batch is computed whole as soon as one of its items is not
    kept: so a network sees the batches that it would see in a run that was never killed. A batch of another size is
    another computation, to the last bit, so its size is part of what is looked for.
    """
    salted = [digests.of_parts(key, bytes([0])) for key in keys]
    if batch > 1:
        last = len(keys) - len(keys) % batch
        sizes = [batch if place < last else len(keys) % batch for place in range(len(keys))]
        salted = [digests.of_parts(key, str(size).encode()) for key, size in zip(keys, sizes, strict=True)]
    absent = {place // batch for place, key in enumerate(salted) if key not in kept}
    fresh = iter(compute([place for place in range(len(keys)) if place // batch in absent]))
    for place, key in enumerate(salted):
        if place // batch in absent:
            kept.add(key, next(fresh))
        yield kept.find(key)
