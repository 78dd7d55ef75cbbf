"""Results of single items: what is kept is not computed again, damage costs items and never a wrong one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from weakseg.harness import digests, kept
from weakseg.harness.kept import Kept, Record

ITEMS = [f"item {number}".encode() for number in range(10)]


def work(path: Path, items: Sequence[bytes], batch: int = 1, stop: int = 99) -> tuple[list[Record], list[int]]:
    """The records of items, and the places that were computed; interrupted after `stop` of them."""
    computed: list[int] = []

    def compute(places: list[int]) -> Iterator[Record]:
        for place in places:
            if len(computed) == stop:
                raise KeyboardInterrupt
            computed.append(place)
            yield Record({"length": len(items[place])}, (items[place], b"", items[place][::-1]))

    keys = [digests.of_parts(item) for item in items]
    try:
        with Kept(path) as found:
            return list(kept.complete(found, keys, compute, batch)), computed
    except KeyboardInterrupt:
        return [], computed


def test_records_come_back_whole_and_are_computed_once(tmp_path: Path) -> None:
    records, computed = work(tmp_path / "items", ITEMS)
    assert computed == list(range(10))
    assert [record.parts for record in records] == [(item, b"", item[::-1]) for item in ITEMS]
    assert work(tmp_path / "items", ITEMS) == (records, [])


def test_one_item_more_costs_one_wherever_it_stands_and_a_double_costs_nothing_wrong(tmp_path: Path) -> None:
    work(tmp_path / "items", ITEMS)
    more = [*ITEMS[:3], b"new", *ITEMS[3:], ITEMS[0]]
    records, computed = work(tmp_path / "items", more)
    assert computed == [3] and [record.parts[0] for record in records] == more
    twice, _ = work(tmp_path / "others", [b"a", b"a", b"b"])
    assert [record.parts[0] for record in twice] == [b"a", b"a", b"b"]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    assert work(tmp_path / "items", ITEMS, stop=4)[1] == [0, 1, 2, 3]
    assert work(tmp_path / "items", ITEMS)[1] == [4, 5, 6, 7, 8, 9]


def test_batches_are_those_of_a_run_that_was_never_interrupted(tmp_path: Path) -> None:
    work(tmp_path / "items", ITEMS, batch=4, stop=6)
    assert work(tmp_path / "items", ITEMS, batch=4)[1] == [4, 5, 6, 7, 8, 9]
    # One more: its batch, and the last, which has another size; all others stay.
    assert work(tmp_path / "items", [b"new", *ITEMS], batch=4)[1] == [0, 1, 2, 3, 8, 9, 10]


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_or_flipped_file_loses_items_and_gives_none_wrong(tmp_path: Path, seed: int) -> None:
    path, chance = tmp_path / "items", random.Random(seed)
    expected, _ = work(path, ITEMS)
    content = bytearray(path.read_bytes())
    place = chance.randrange(len(content))
    if seed % 2:
        content[place] ^= 1 << chance.randrange(8)
    path.write_bytes(content if seed % 2 else content[:place])
    records, computed = work(path, ITEMS)
    assert records == expected and 0 < len(computed) <= 10
    assert work(path, ITEMS) == (expected, [])


def test_a_digest_tells_where_parts_end() -> None:
    assert digests.of_parts(b"ab", b"c") != digests.of_parts(b"a", b"bc")
