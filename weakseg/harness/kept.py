"""Results of single items, kept by what they were made from: one more item costs one, and a killed run goes on.

One file that only grows. A record is written at once and carries its checksum, so that a kill, a full disk or a flipped
bit costs the records from there on, which are computed again, and nothing else.
"""

from __future__ import annotations

import glob
import json
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from weakseg.harness import digests, processes

MAGIC = b"weakseg kept items 1\n"
HEADER = struct.Struct(">16sQI")  # key, bytes of the content, CRC-32 of key and content


Compute = Callable[[list[int]], Iterable["Record"]]  # of the items at some places


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


def is_kept(path: Path) -> bool:
    """Whether a file holds records."""
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class Kept:
    """The records of a file, by key of 16 bytes; one process writes at a time (`resume.folder` sees to it).

    Processes that work together write to parts, files beside it named after it and their rank; the first takes what is
    in them, also what a killed run has left there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.places: dict[bytes, int] = {}  # where a key's record begins: a number, since there are many

    def __enter__(self) -> Kept:
        self._file: BinaryIO = self.path.open("a+b", buffering=0)
        self._end = self._scan()
        self._file.truncate(self._end)
        if self._end == 0:
            self._end = self._file.write(MAGIC)
        self.take_parts()
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
                self.places[key] = end
                end = file.tell()
        return end

    def part(self, rank: int) -> Path:
        """The file that the process of that rank writes to."""
        return self.path.with_name(f"{self.path.name}.part{rank}")

    def take_parts(self) -> None:
        """Keep the records of all parts, and remove these."""
        for path in sorted(self.path.parent.glob(f"{glob.escape(self.path.name)}.part*")):
            with Kept(path) as part:
                for key in part.places:
                    self.add(key, part.find(key))
            path.unlink()

    def read_from(self, path: Path) -> None:
        """Have the records of another file, that of the first process, from now on; nothing can be added to it."""
        self._file.close()
        self.path, self.places = path, {}
        self._file = path.open("rb", buffering=0)
        self._scan()

    def __contains__(self, key: bytes) -> bool:
        return key in self.places

    def __len__(self) -> int:
        return len(self.places)

    def find(self, key: bytes) -> Record:
        """The record of a key that is there."""
        self._file.seek(self.places[key])
        _, size, _ = HEADER.unpack(self._file.read(HEADER.size))
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
        self.places[key] = self._end
        self._end += len(entry)


def complete(
    kept: Kept, keys: Sequence[bytes], compute: Compute, batch: int = 1, last: bool = False
) -> Iterator[Record]:
    """The records of all items, in order; `compute` gets the places of those that are not kept, and gives theirs.

    Where items are computed in batches, in listing order, a batch is computed whole as soon as one of its items is not
    kept: so a network sees the batches that it would see in a run that was never killed. A batch of another size is
    another computation, to the last bit, so its size is part of what is looked for.

    Processes that work together compute a share of the batches each; then each of them has all records or, where they
    are the `last` that it has to help with, all but the first end.
    """
    salted = [digests.of_parts(key, bytes([0])) for key in keys]
    if batch > 1:
        even = len(keys) - len(keys) % batch
        sizes = [batch if place < even else len(keys) % batch for place in range(len(keys))]
        salted = [digests.of_parts(key, str(size).encode()) for key, size in zip(keys, sizes, strict=True)]
    absent = {place // batch for place, key in enumerate(salted) if key not in kept}
    if processes.count() > 1:
        _fill(kept, salted, Missing(sorted(absent), batch), compute)
        if last:
            processes.finish()
        absent = set()
    fresh = iter(compute([place for place in range(len(keys)) if place // batch in absent]))
    for place, key in enumerate(salted):
        if place // batch in absent:
            kept.add(key, next(fresh))
        yield kept.find(key)


@dataclass(frozen=True)
class Missing:
    """Numbers of the batches that are to be computed, and the items in each."""

    batches: Sequence[int]
    size: int

    def places(self, count: int) -> list[int]:
        """Places of their items, of so many in all."""
        return [place for one in self.batches for place in range(self.size * one, min(self.size * (one + 1), count))]


def _fill(kept: Kept, keys: Sequence[bytes], missing: Missing, compute: Compute) -> None:
    """Compute this process's share of what the first process misses; then all records are in its file."""
    processes.agree("images, labels or maps", digests.of_parts(*keys))
    path, missing = processes.broadcast((kept.path.absolute(), missing))
    mine = Missing(missing.batches[processes.share(len(missing.batches))], missing.size).places(len(keys))
    with ExitStack() as held:
        own = kept if processes.is_first() else held.enter_context(Kept(Kept(path).part(processes.place().rank)))
        for place, record in zip(mine, compute(mine) if mine else (), strict=True):
            own.add(keys[place], record)
    processes.barrier()
    if processes.is_first():
        kept.take_parts()
    processes.barrier()
    if not processes.is_first():
        kept.read_from(path)
