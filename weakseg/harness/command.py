"""How every command ends: well, or with one sentence a user can act on."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

from weakseg.errors import UserError
from weakseg.harness import compiler, faults


def _heed_no_more_children() -> None:
    """Let the end of a child pass: torch raises at each that dies, wherever it is, also while the first one is told."""
    if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def attempt(name: str, work: Callable[[], object]) -> int:
    """Do the work; the exit code is 0, or 1 after a UserError, told as one line on stderr that begins with `name`.

    So it is after a fault of the machine that a user can mend; any other error keeps its traceback.
    """
    compiler.put_off()
    try:
        work()
    except (UserError, OSError, EOFError, MemoryError, RuntimeError) as error:
        try:
            _heed_no_more_children()
        except RuntimeError:  # another child's end, which had come before the call took effect
            _heed_no_more_children()
        sentence = str(error) if isinstance(error, UserError) else faults.explain(error)
        if sentence is None:
            raise
        print(f"{name}: {sentence}", file=sys.stderr)
        return 1
    return 0
