"""Tar and zip archives from outside, read as one stream; no entry ever becomes a path on this machine."""

from __future__ import annotations

import gzip
import re
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from weakseg.errors import UserError

ENTRY_LIMIT = 1 << 28  # bytes; a larger entry is no image and would fill the memory
BLOCK = 1 << 20  # bytes read at once
TAR_BLOCK = 512  # bytes; a whole tar ends with a block of zeros
GZIP_MAGIC = b"\x1f\x8b"

DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class _Tail:
    """A stream that remembers its last block, to tell a whole tar from one cut between two entries."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.last = b""

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self.last = (self.last + content)[-TAR_BLOCK:]
        return content

    def drain(self) -> None:
        """Read to the end, so that the checksum of a compressed stream is verified."""
        while self.read(BLOCK):
            pass


def safe_name(name: str, path: Path) -> str:
    """An entry's name in its simplest form; UserError when it is absolute or climbs out of its folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts or "\0" in name or re.match(r"[A-Za-z]:", name):
        raise UserError(f"{path}: entry '{name}' escapes its folder: get the archive from a source you trust")
    return "/".join(part for part in parts if part != ".")


def _check_entry(name: str, size: int, regular: bool, path: Path, limit: int) -> None:
    if not regular:
        raise UserError(f"{path}: entry '{name}' is a link or a device: pack plain files only")
    if size > limit:
        raise UserError(f"{path}: entry '{name}' has {size} bytes, over the limit of {limit}: remove it")


def _tar_entries(path: Path, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, bytes]]:
    with path.open("rb") as file:
        packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        content_stream: Any = gzip.GzipFile(fileobj=file) if packed else file
        stream: Any = _Tail(content_stream)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                name = safe_name(member.name, path)
                if member.isdir():
                    continue
                _check_entry(name, member.size, member.isreg(), path, limit)
                content = tar.extractfile(member) if wanted(name) else None
                if content is not None:
                    yield name, content.read()
        stream.drain()
        if len(stream.last) < TAR_BLOCK or any(stream.last):
            raise EOFError("it does not end with an empty block")


def _zip_entries(path: Path, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = safe_name(entry.filename, path)
            if entry.is_dir():
                continue
            kind = stat.S_IFMT(entry.external_attr >> 16)
            _check_entry(name, entry.file_size, kind in (0, stat.S_IFREG), path, limit)
            if wanted(name):
                # No further than its header says: an entry that lies about its size would fill the memory.
                with archive.open(entry) as stream:
                    yield name, stream.read(entry.file_size)


def entries(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, limit: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of each wanted file of a tar, tar.gz or zip, in archive order, reading it once.

    UserError: no such archive, damaged or cut short, an entry that escapes its folder, a link or device, an
    entry over `limit` bytes (None: ENTRY_LIMIT).
    """
    if not path.is_file():
        raise UserError(f"archive {path} does not exist: run the download stage")
    try:
        yield from (_zip_entries if zipfile.is_zipfile(path) else _tar_entries)(path, wanted, limit or ENTRY_LIMIT)
    except DAMAGE as error:
        raise UserError(f"archive {path} is damaged or cut short ({error}): bring it again") from None


class Spool:
    """Wanted entries of one archive, read once into a nameless temporary file for random access.

    A compressed tar cannot be read in another order than its own; memory stays flat in the number of entries.
    The file lies in `folder` and goes when the spool is closed.
    """

    def __init__(
        self, path: Path, folder: Path, wanted: Callable[[str], bool] = lambda name: True, limit: int | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, closed by __exit__
        self._places: dict[str, tuple[int, int]] = {}
        for name, content in entries(path, wanted, limit):
            if name in self._places:
                raise UserError(f"{path} holds the entry '{name}' twice: remove one")
            self._places[name] = (self._file.tell(), len(content))
            self._file.write(content)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def names(self) -> list[str]:
        """Sorted names of the entries."""
        return sorted(self._places)

    def read(self, name: str) -> bytes:
        """Bytes of one entry; UserError when the archive lacks it."""
        if name not in self._places:
            raise UserError(f"{self.path} lacks the entry '{name}': bring a whole archive")
        start, size = self._places[name]
        self._file.seek(start)
        return self._file.read(size)
