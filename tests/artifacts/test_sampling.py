"""Evenly spaced items, by hand."""

from __future__ import annotations

import pytest

from weakseg.artifacts.sampling import evenly


def test_evenly_by_hand() -> None:
    assert evenly(list("abcdefgh"), 3) == ["a", "e", "h"]
    assert evenly("abc", 1) == ["a"]
    assert evenly("abc", 9) == ["a", "b", "c"] and evenly("", 3) == []


@pytest.mark.parametrize("count", range(1, 60))
def test_evenly_gives_as_many_as_asked_in_order_with_both_ends(count: int) -> None:
    for most in range(2, count + 1):
        found = evenly(range(count), most)
        assert len(set(found)) == most and found == sorted(found)
        assert (found[0], found[-1]) == (0, count - 1)
