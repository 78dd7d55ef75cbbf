"""Where memory is short: halves of a batch, in order; a sentence for a single image; other errors as they are."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.closure import ROOT
from weakseg.errors import UserError
from weakseg.harness import memory


def room_for(most: int):
    """What computes rows, and has memory for so many at once."""

    def compute(rows: slice) -> list[int]:
        if rows.stop - rows.start > most:
            raise RuntimeError("CUDA out of memory. Tried to allocate 9 GiB")
        return list(range(rows.start, rows.stop))

    return compute


@pytest.mark.parametrize(("most", "parts"), [(16, 1), (10, 1), (5, 2), (4, 4), (1, 10)])
def test_halves_come_back_in_order(most: int, parts: int) -> None:
    found = memory.in_parts(room_for(most), 10)
    assert [row for part in found for row in part] == list(range(10)) and len(found) == parts


def test_one_image_that_does_not_fit_is_a_sentence_and_other_errors_stay() -> None:
    with pytest.raises(UserError, match="memory does not suffice for one image: lower image_size"):
        memory.in_parts(room_for(0), 10)
    with pytest.raises(RuntimeError, match="shapes"):
        memory.in_parts(lambda rows: (_ for _ in ()).throw(RuntimeError("shapes differ")), 10)


SHORT = """
import resource, torch
from weakseg.harness import memory
torch.set_num_threads(1)
with open("/proc/self/statm") as file:
    taken = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + (300 << 20), taken + (300 << 20)))
def compute(rows):
    return int(torch.ones(rows.stop - rows.start, 100 << 20, dtype=torch.uint8)[:, 0].sum())
parts = memory.in_parts(compute, 8)
print(sum(parts), max(parts))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space")
def test_a_machine_whose_memory_is_short() -> None:
    """The allocator's own error: eight images of 100 MB each in 300."""
    found = subprocess.run([sys.executable, "-c", SHORT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.stdout.split() in (["8", "1"], ["8", "2"]), found.stderr
    assert "memory does not suffice for 8 images at once: going on with 4" in found.stderr
