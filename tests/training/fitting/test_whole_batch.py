"""One batch over several processes: the steps of one, to rounding, with norms, unequal shares, unused weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests import ranks
from weakseg.training.fitting import whole_batch

ROUNDING = 1e-12  # of float64, over eight steps


def run(folder: Path, many: int) -> dict[str, Any]:
    out = folder / f"{many}.json"
    ended = ranks.launch(folder, "tests.training.fitting.two_ranks", str(out), many)
    assert [code for code, _ in ended] == [0] * many, ended
    return json.loads(out.read_text())


def test_eight_steps_of_two_and_three_processes_are_those_of_one(tmp_path: Path) -> None:
    """Seven images are shares of 3 and 4, and of 2, 2 and 3, whose first has no pixel that counts."""
    one = tmp_path / "one.json"
    assert ranks.run(tmp_path, "tests.training.fitting.two_ranks", str(one)).returncode == 0
    expected = json.loads(one.read_text())
    for many in (2, 3):
        found = run(tmp_path, many)
        for row, other in zip(expected["rows"], found["rows"], strict=True):
            assert list(row.values()) == pytest.approx(list(other.values()), rel=ROUNDING)
        for name, value in expected["state"].items():
            np.testing.assert_allclose(found["state"][name], value, rtol=1e-9, atol=1e-11, err_msg=name)


def test_alone_nothing_is_touched() -> None:
    term, weight = torch.tensor(2.0), torch.nn.Parameter(torch.ones(1))
    assert whole_batch.mean(term, 3) is term
    whole_batch.add_gradients([weight])
    assert weight.grad is None
    with whole_batch.whole_norms():
        assert F.batch_norm is torch.nn.functional.batch_norm


@pytest.mark.parametrize("half", [False, True])
def test_the_norm_of_a_batch_is_torchs(half: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one process, whose sums are its own; in bfloat16 too, up to its rounding."""
    monkeypatch.setattr("weakseg.harness.processes.add_up", lambda values: values)
    torch.manual_seed(0)
    images = torch.randn(4, 3, 5, 5, dtype=torch.bfloat16 if half else torch.float64)
    dtype = torch.float32 if half else torch.float64
    weight, bias = (torch.randn(3, dtype=dtype) for _ in range(2))
    means, variances = ([torch.full((3,), start, dtype=dtype) for _ in range(2)] for start in (0.0, 1.0))
    ours = whole_batch.batch_norm(images, means[0], variances[0], weight, bias, True, 0.3)
    theirs = F.batch_norm(images, means[1], variances[1], weight, bias, True, 0.3)
    assert ours.dtype == theirs.dtype
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(means[0], means[1])
    torch.testing.assert_close(variances[0], variances[1])
    still = whole_batch.batch_norm(images, means[0], variances[0], weight, bias)
    assert torch.equal(still, F.batch_norm(images, means[0], variances[0], weight, bias))
