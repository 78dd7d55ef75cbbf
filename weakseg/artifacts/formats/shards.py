"""Which entries of an archive lie in one file, decided by their ids alone, and the index of these files.

A. Muthitacharoen, B. Chen, D. Mazieres, "A Low-bandwidth Network File System", SOSP 2001: where a part ends is decided
by what lies there, so that one entry more moves the borders around it and no other.
Differs from the paper: it is ids that are cut, not bytes. Among a million images one more changes one file in 90 of
100 places and two in the others, but for one in 10,000: there three or more borders in a row were forced or passed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

from weakseg.errors import UserError
from weakseg.harness.files import save_bytes

LEAST, MOST = 2048, 8192  # entries of a shard, but for the last one
BORDERS = 2048  # one id in so many ends a shard that has enough
INDEX = "index.jsonl"  # a line a shard in order, then the digest of these lines


@dataclass(frozen=True)
class Shard:
    """What the index knows of one file."""

    name: str  # of the file
    first: str  # id of its first entry
    entries: int
    size: int  # bytes of the file
    seal: int  # checksum of its directory of entries


def digest(stem: str) -> bytes:
    """What an id decides by."""
    return hashlib.sha256(stem.encode()).digest()


def file_name(first: str) -> str:
    """Name of the shard that begins with an id: the same however others are cut."""
    return f"{digest(first).hex()[:16]}.zip"


def ends(stem: str, count: int) -> bool:
    """Whether a shard closes behind this id, its `count`-th."""
    return count >= MOST or (count >= LEAST and int.from_bytes(digest(stem)[-2:], "big") % BORDERS == 0)


def sealed(lines: bytes) -> bytes:
    """The content of an index: its lines, and their digest."""
    return lines + json.dumps(hashlib.sha256(lines).hexdigest()).encode() + b"\n"


def save_index(folder: Path, shards: Sequence[Shard]) -> None:
    """Write the index of a folder of shards."""
    save_bytes(folder / INDEX, sealed(b"".join(json.dumps(astuple(shard)).encode() + b"\n" for shard in shards)))


def load_index(folder: Path) -> list[Shard]:
    """The shards of a folder in order; UserError where the index is damaged, or a file absent or cut short."""
    path = folder / INDEX
    if not path.is_file():
        raise UserError(f"{folder} has no {INDEX}: rerun the stage that writes it")
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)[:-1]
    if sealed(b"".join(lines)) != content:
        raise UserError(f"{path} is damaged: rerun the stage that writes it")
    shards = [Shard(*json.loads(line)) for line in lines]
    for shard in shards:
        file = folder / shard.name
        if not file.is_file():
            raise UserError(f"{file} does not exist: rerun the stage that writes it")
        if file.stat().st_size != shard.size:
            raise UserError(f"{file} is not a whole zip archive: rerun the stage that writes it")
    return shards
