"""How every command ends: well, or with one sentence a user can act on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from weakseg.errors import UserError
from weakseg.harness import faults


def attempt(name: str, work: Callable[[], object]) -> int:
    """Do the work; the exit code is 0, or 1 after a UserError, told as one line on stderr that begins with `name`.

    So it is after a fault of the machine that a user can mend; any other error keeps its traceback.
    """
    try:
        work()
    except (UserError, OSError, EOFError, MemoryError, RuntimeError) as error:
        sentence = str(error) if isinstance(error, UserError) else faults.explain(error)
        if sentence is None:
            raise
        print(f"{name}: {sentence}", file=sys.stderr)
        return 1
    return 0
