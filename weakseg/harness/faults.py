"""Faults of the machine that a user can mend, in a sentence: a full disk, a read-only folder, a dead worker.

Everything else is a bug and keeps its traceback.
"""

from __future__ import annotations

import errno

from weakseg.harness import memory, workers

KEPT = "and run again, what is finished is kept"
REMEDIES = {
    errno.ENOSPC: f"the disk is full: free some room (make clean-cache, dvc gc) {KEPT}",
    errno.EDQUOT: f"your quota of disk space is used up: free some room (make clean-cache, dvc gc) {KEPT}",
    errno.EFBIG: f"the file system or a limit (ulimit -f) allows no larger file: raise it {KEPT}",
    errno.EROFS: "it lies on a file system that can only be read: work in a folder that can be written",
    errno.EACCES: "it may not be read or written: change its owner or permissions, or work in another folder",
    errno.EPERM: "it may not be changed: change its owner or permissions, or work in another folder",
    errno.EMFILE: f"too many files are open: raise the limit (ulimit -n) or lower WEAKSEG_WORKERS {KEPT}",
    errno.EIO: f"the disk gives an error: look after it, move the project {KEPT}",
}
LOADER = "DataLoader worker"  # begins what torch says of a data loading process that is gone
# The same, where its last batch was on the way: the process that shares its memory does not answer. What is downloaded
# has sentences of its own.
GONE = (ConnectionResetError, ConnectionRefusedError, EOFError)


def is_of_worker(error: BaseException) -> bool:
    """Whether an error is that of the connection to a process that is gone; an EOFError may be a damaged file's too."""
    if isinstance(error, RuntimeError):
        return LOADER in str(error)
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return isinstance(error, GONE) and place is not None and "multiprocessing" in place.tb_frame.f_code.co_filename


def explain(error: BaseException) -> str | None:
    """A sentence for what a user can mend, None for a bug."""
    try:
        return _explain(error)
    except RuntimeError as late:  # torch tells of a dead process by a signal, which may come at any moment
        return _explain(late)


def _explain(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in REMEDIES:
        return f"{error.filename or 'a file that is written'}: {REMEDIES[error.errno]}"
    if is_of_worker(error):
        return workers.DIED
    if memory.is_out_of_memory(error):
        return "memory does not suffice: lower batch_size, image_size or WEAKSEG_WORKERS"
    return None
