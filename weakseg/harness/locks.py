"""Who is at work where: a lock on a file that its process holds, and that goes with the process however it ends."""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None  # type: ignore[assignment]

MOST = 1000  # tries to make a folder that others remove
UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)  # a file system without locks


def _take(handle: int) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in UNSUPPORTED
    return True


def _same(handle: int, path: Path) -> bool:
    """Whether `path` is still the file that was opened: another process may have removed it meanwhile."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """Hold the lock file `path`, which holds the process's number; False where another process does.

    A lock is the kernel's: it ends with its process, so that none is ever stale, whatever the clock says.
    """
    for tries in itertools.count(1):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, FileNotFoundError):  # a folder on the way that another process removes just now
            if tries == MOST:
                raise
            continue
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            taken = _take(handle)
            if not taken or _same(handle, path):
                break
            os.close(handle)
    try:
        if taken:
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        yield taken
    finally:
        os.close(handle)


def owner(path: Path) -> str:
    """Number of the process that holds, or last held, a lock file."""
    return path.read_text(encoding="ascii", errors="replace") or "unknown"
