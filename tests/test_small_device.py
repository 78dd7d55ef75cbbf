"""Everything that runs on a device, on one that has no float64, in a process that knows that device from its start."""

from __future__ import annotations

import subprocess
import sys

from tests.closure import ROOT


def test_all_that_runs_on_a_device_runs_on_a_small_one() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/on_small_device.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
