"""Names matched by hand: exactly first, then alike, never where two could be meant."""

from __future__ import annotations

import pytest

from weakseg.networks.weight_files import class_names


@pytest.mark.parametrize(
    ("wanted", "offered", "expected"),
    [
        (["a", "b"], ["b", "c", "a"], [2, 0]),
        (["Black footed Albatross"], ["002.Laysan_Albatross", "001.Black_footed_Albatross"], [1]),
        (["great-pyrenees"], ["Great Pyrenees"], [0]),
        (["a b"], ["A_B", "a-b"], [None]),  # both alike
        (["a b"], ["A_B", "a b"], [1]),  # the same goes first
        (["a b", "A-B"], ["a_b"], [None, None]),  # one row for two classes
        (["a b", "A-B"], ["a b"], [0, None]),
        (["1"], ["1.", "10"], [None]),
    ],
)
def test_matches(wanted: list[str], offered: list[str], expected: list[int | None]) -> None:
    assert class_names.match(wanted, offered) == expected


def test_what_is_missing_comes_with_the_nearest_names() -> None:
    phrase = class_names.phrase_missing(["beagle", "Persian", "xyz"], ["Beagel", "persian"])
    assert phrase == "2 of 3: 'beagle' (nearest: 'Beagel'), 'xyz'"
    many = class_names.phrase_missing(list("abcde"), ["z"])
    assert many == "5 of 5: 'a', 'b', 'c', ..."
