"""Undeclared folders for resuming: `<cache>/<stage>/<key>`; DVC deletes declared outputs before a rerun.

A key is made of contents (parameters, the bytes of inputs, the code that a stage uses, versions of libraries), never of
times or paths, so that an experiment in a temporary folder or in a queue goes on where another was killed.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from weakseg.errors import UserError
from weakseg.harness import digests, locks, processes
from weakseg.harness.kept import Kept, is_kept

LOCK = ".lock"  # in a folder that is in use
EXPERIMENTS = (".dvc", "tmp", "exps")  # below it lie the copies that `dvc exp run --temp` and queues work in
GIGABYTE = 1 << 30


def root() -> Path:
    """`weakseg` below `WEAKSEG_CACHE`, else `.cache` of the project, that of the main one in DVC's temporary copies."""
    named = os.environ.get("WEAKSEG_CACHE")
    if named:
        return Path(named).expanduser().absolute() / "weakseg"  # a folder of our own, which can be removed
    here = Path.cwd()
    for folder in here.parents:
        if folder.parts[-len(EXPERIMENTS) :] == EXPERIMENTS:
            return folder.parents[len(EXPERIMENTS) - 1] / ".cache"
    return here / ".cache"


def limit() -> int:
    """Bytes that the cache may hold: `WEAKSEG_CACHE_GB`, else 20 GB. UserError where that is no number."""
    given = os.environ.get("WEAKSEG_CACHE_GB", "20")
    try:
        return int(float(given) * GIGABYTE)
    except (ValueError, OverflowError):
        raise UserError(f"WEAKSEG_CACHE_GB is '{given}': set it to a number of gigabytes, such as 20") from None


def key(settings: Any, inputs: Iterable[Path], code: Path = digests.PACKAGE) -> str:
    """Sixteen hex digits of the settings, the inputs' bytes and the code: a file and what it imports, or all below."""
    files = sorted(code.rglob("*.py")) if code.is_dir() else [code]
    return digests.key(settings, inputs, files, root() / "digests")


@contextmanager
def folder(stage: str, settings: Any, inputs: Iterable[Path], *, keep: bool = False) -> Iterator[Path]:
    """Give this run's own folder; it survives a kill or an error.

    stage: the `__file__` of what runs, whose imports are the code of the key. When all is done the folder goes, unless
    it is to `keep` what another run can use. Where another process is at work with the same key, this one gets a
    folder beside it, and neither waits. Of processes that work together the first has this folder, and each other a
    copy, without what is kept of single items, that goes. UserError where they have not the same key.
    """
    source = Path(stage)
    home, name = root() / source.stem, key(settings, inputs, source)
    processes.agree("parameters, inputs, code or libraries", name)
    if not processes.is_first():
        with _copy(f"{source.stem}.{name}") as path:
            yield path
        return
    prune(limit())
    with ExitStack() as held:
        for number in itertools.count():
            path = home / (f"{name}.{number}" if number else name)
            if held.enter_context(locks.attempt(path / LOCK)):
                break
        processes.broadcast(path.absolute())
        processes.barrier()
        yield path
        if not keep:
            # Another process may look just now whether this folder is free, and leave an empty lock file there.
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder for what a process other than the first writes; it goes, and after a kill it is pruned."""
    home = root() / "shares"
    with ExitStack() as held:
        for number in itertools.count():
            path = home / f"{name}.{processes.place().rank}.{number}"
            if held.enter_context(locks.attempt(path / LOCK)):
                break
        for entry in path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != LOCK:
                entry.unlink()
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _copy(name: str) -> Iterator[Path]:
    """What the first process's folder holds, but for its kept items, in a folder of this process's own."""
    source = processes.broadcast(Path())
    with scratch(name) as path:
        for file in source.rglob("*") if source.exists() else ():
            target = path / file.relative_to(source)
            if file.is_file() and file.name != LOCK and not is_kept(file):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        processes.barrier()
        yield path


@contextmanager
def kept(stage: str, settings: Any, inputs: Iterable[Path] = ()) -> Iterator[Kept]:
    """What was computed for single items under these settings, by this run or one before it; it stays."""
    with folder(stage, settings, inputs, keep=True) as path, Kept(path / "items") as items:
        yield items


def _size(path: Path) -> int:
    """Bytes below a folder; 0 where another process removes it meanwhile."""
    with suppress(FileNotFoundError):
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return 0


def _last_used(path: Path) -> int:
    with suppress(FileNotFoundError):
        return (path / LOCK).stat().st_mtime_ns
    return 0


def prune(most: int) -> None:
    """Remove the folders that were used longest ago until the cache holds at most that many bytes; never one in use."""
    folders = sorted((path for path in root().glob("*/*") if (path / LOCK).is_file()), key=_last_used)
    sizes = [_size(path) for path in folders]
    total = sum(sizes)
    for path, size in zip(folders, sizes, strict=True):
        if total <= most:
            break
        with locks.attempt(path / LOCK) as free:
            if free:
                shutil.rmtree(path, ignore_errors=True)
                total -= size


def clean() -> None:
    """Remove the whole cache: what killed runs left, and what was kept of single items."""
    shutil.rmtree(root(), ignore_errors=True)


if __name__ == "__main__":
    clean()
