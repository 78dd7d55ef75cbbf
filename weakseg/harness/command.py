"""How every command ends: well, or with one sentence a user can act on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from weakseg.errors import UserError


def attempt(name: str, work: Callable[[], object]) -> int:
    """Do the work; the exit code is 0, or 1 after a UserError, told as one line on stderr that begins with `name`."""
    try:
        work()
    except UserError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    return 0
