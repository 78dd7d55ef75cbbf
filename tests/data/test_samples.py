"""Batches of a training: the order of a seed, whoever reads them, and bytes until they are on the device."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from weakseg.data import samples


class Numbers(Dataset):
    """Ten of them, each with its place."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.tensor([index]), index


def by_torch(seed: int) -> Iterator[list[int]]:
    """The batches of a DataLoader that shuffles by itself."""
    generator = torch.Generator().manual_seed(seed)
    for _, places in DataLoader(Numbers(), 4, shuffle=True, generator=generator):
        yield places.tolist()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_epochs_have_the_order_of_their_seed_whoever_reads_and_however_far(
    monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", workers)
    reading, before = samples.Shuffled(Numbers(), 4, drop_last=False), torch.get_rng_state()
    next(iter(reading.epoch(3)))  # an epoch that is cut short leaves nothing to the next
    for seed in (0, 1, 0):
        found = [(places.tolist(), rows.tolist()) for (_, places), rows in reading.epoch(seed)]
        assert found == [(places, places) for places in by_torch(seed)]
    assert torch.equal(torch.get_rng_state(), before), "the program's own draws stay as they are"
    assert len(reading) == 3 and len(samples.Shuffled(Numbers(), 4, drop_last=True)) == 2


class Counted(Numbers):
    """The same, which tell how often each was read."""

    def __init__(self) -> None:
        self.reads = [0] * 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        self.reads[index] += 1
        return super().__getitem__(index)


@pytest.mark.parametrize(("kept", "again"), [(80, 0), (24, 7), (7, 10)])
def test_what_fits_into_memory_is_read_once_where_no_process_reads_ahead(
    monkeypatch: pytest.MonkeyPatch, kept: int, again: int
) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "0")
    monkeypatch.setattr(samples, "KEPT", kept)  # bytes; a sample has eight
    dataset = Counted()
    reading = samples.Shuffled(dataset, 4, drop_last=False)
    first, second = ([places.tolist() for (_, places), _ in reading.epoch(seed)] for seed in (0, 0))
    assert first == second == list(by_torch(0))
    assert sum(dataset.reads) == 10 + again and max(dataset.reads) <= 2


def test_processes_that_read_stay_for_all_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_WORKERS", "1")
    reading = samples.Shuffled(Numbers(), 4, drop_last=False)
    list(reading.epoch(0))
    first = reading.loader._iterator
    list(reading.epoch(1))
    assert first is not None and reading.loader._iterator is first


def test_batches_lie_in_pinned_memory_for_cuda_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEAKSEG_DEVICE", "cpu")
    assert not samples.Shuffled(Numbers(), 4, drop_last=False).loader.pin_memory
    monkeypatch.setattr(samples.hardware, "pick", lambda: torch.device("cuda"))
    assert samples.Shuffled(Numbers(), 4, drop_last=False).loader.pin_memory
