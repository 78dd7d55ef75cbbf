"""Text files that name the classes of a network's head, one a line, in the head's order."""

from __future__ import annotations

from pathlib import Path

from weakseg.errors import UserError


def load_class_list(path: Path) -> list[str]:
    """The names, spaces around them removed. UserError: no such file, no text, an empty line, a name given twice."""
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"class list {path} cannot be read ({type(error).__name__}): give a text file") from None
    if not all(names) or not names:
        line = names.index("") + 1 if names else 1
        raise UserError(f"class list {path} has an empty line {line}: write one name a line, in the head's order")
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise UserError(f"class list {path} names '{twice[0]}' twice: write each class once, in the head's order")
    return names
