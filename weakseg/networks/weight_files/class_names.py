"""Classes of a file and classes of the data, matched by name, never by position."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence

SHOWN = 3
NUMBER = re.compile(r"^\d+\.")  # CUB's, as in 001.Black_footed_Albatross
BETWEEN = re.compile(r"[\s_-]+")


def normalize(name: str) -> str:
    """Lower case, `_` and `-` as spaces, without CUB's number in front."""
    return BETWEEN.sub(" ", NUMBER.sub("", name)).strip().lower()


def match(wanted: Sequence[str], offered: Sequence[str]) -> list[int | None]:
    """Position in `offered` of each of `wanted`, both without repetition; None where there is none.

    The same name goes first; a name that is alike when normalized counts where it is the only one on either side.
    """
    exact = {name: position for position, name in enumerate(offered)}
    times = [Counter(map(normalize, names)) for names in (wanted, offered)]
    alike = {normalize(name): position for position, name in enumerate(offered)}
    only = {name for name in alike if all(count[name] == 1 for count in times)}
    return [exact.get(name, alike[normalize(name)] if normalize(name) in only else None) for name in wanted]


def phrase_missing(wanted: Sequence[str], offered: Sequence[str]) -> str:
    """Which of `wanted` are not offered: how many, the first few, each with the name nearest to it, if any is near."""
    found = match(wanted, offered)
    missing = [name for name, position in zip(wanted, found, strict=True) if position is None]
    nearest = {normalize(name): name for name in offered}
    phrases = []
    for name in missing[:SHOWN]:
        near = difflib.get_close_matches(normalize(name), list(nearest), 1, 0.6)
        phrases.append(f"'{name}'" + (f" (nearest: '{nearest[near[0]]}')" if near else ""))
    return f"{len(missing)} of {len(wanted)}: {', '.join(phrases)}{', ...' if len(missing) > SHOWN else ''}"
