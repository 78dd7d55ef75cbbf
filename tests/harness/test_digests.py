"""What results depend on: the machine, and libraries that need not be there."""

from __future__ import annotations

import pytest
import torch

from weakseg.harness import digests


def test_results_of_networks_belong_to_the_units_and_threads_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setenv("WEAKSEG_DEVICE", "cpu")
    threads, found = torch.get_num_threads(), [digests.machine()]
    torch.set_num_threads(threads + 1)
    found.append(digests.machine())
    torch.set_num_threads(threads)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found.append(digests.machine())
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    found.append(digests.machine())
    monkeypatch.setenv("WEAKSEG_DEVICE", "meta")
    found.append(digests.machine())
    assert len({str(one) for one in found}) == len(found)


def test_libraries_that_are_not_there_are_left_out() -> None:
    assert digests.versions(["torch", "no-such-library"]) == [f"torch {torch.__version__.partition('+')[0]}"]
