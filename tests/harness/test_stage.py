"""The harness: flags from the signature, metrics and curves, one line and exit code 1 for what a user can mend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from weakseg.harness import stage

SOURCE = '''"""Double a number.

reads   a text file
writes  another one
"""
from pathlib import Path
import random
from weakseg.errors import UserError
from weakseg.harness.params import StageParams
from weakseg.harness.stage import Outcome, run

class Params(StageParams):
    seed: int
    factor: int

def main(params: Params, *, numbers: Path, backbone: str, out: Path) -> Outcome:
    if not numbers.exists():
        raise UserError(f"{numbers} does not exist: write one")
    out.write_text(str(params.factor * int(numbers.read_text())))
    return Outcome({"draw": random.random()}, {"images": 3, "kind": "x"}, [{"step": 1, "name": backbone}])

if __name__ == "__main__":
    run(main, torch=False)
'''


def call(
    folder: Path, *arguments: str, params: str = "seed: 1\ndouble: {factor: 2}\n", source: str = SOURCE
) -> subprocess.CompletedProcess:
    (folder / "double.py").write_text(source)
    (folder / "params.yaml").write_text(params)
    root = Path(__file__).resolve().parents[2]
    environment = {"PYTHONPATH": f"{root}", "PATH": ""}
    command = [sys.executable, "-m", "double", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, check=False)


GOOD = (
    "--numbers",
    "n.txt",
    "--backbone",
    "resnet",
    "--out",
    "o.txt",
    "--metrics",
    "m/x.json",
    "--scores",
    "s.csv",
    "--curves",
    "c.csv",
)


def test_a_run_writes_output_and_outcome_and_is_seeded(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("21")
    first = call(tmp_path, *GOOD)
    assert first.returncode == 0, first.stderr
    draw = json.loads((tmp_path / "m/x.json").read_text())["draw"]
    assert (tmp_path / "o.txt").read_text() == "42"
    assert draw == round(draw, 4)
    assert (tmp_path / "s.csv").read_text() == "name,value\nimages,3\nkind,x\n"
    assert (tmp_path / "c.csv").read_text() == "step,name\n1,resnet\n"
    call(tmp_path, *GOOD)
    assert json.loads((tmp_path / "m/x.json").read_text())["draw"] == draw


def test_a_user_error_is_one_line_and_exit_code_one(tmp_path: Path) -> None:
    result = call(tmp_path, *GOOD)
    assert result.returncode == 1
    assert result.stderr == "double: n.txt does not exist: write one\n"
    assert not (tmp_path / "o.txt").exists() and not (tmp_path / "m").exists()


def test_bad_params_stop_before_anything_runs(tmp_path: Path) -> None:
    result = call(tmp_path, *GOOD, params="seed: 1\ndouble: {factr: 2}\n")
    assert result.returncode == 1
    assert "double.factor is missing" in result.stderr and "double.factr is unknown" in result.stderr


def test_help_shows_the_docstring_and_every_flag(tmp_path: Path) -> None:
    text = call(tmp_path, "--help").stdout
    assert "Double a number." in text and "reads   a text file" in text
    assert all(flag in text for flag in ("--numbers PATH", "--backbone NAME", "--metrics", "--scores", "--curves"))


def test_flags_follow_the_signature() -> None:
    def main(params: int, *, images: Path, name: str) -> None: ...

    assert stage.flags(main) == {"images": Path, "name": str}


def test_exit_handlers_run_at_the_end_of_a_stage(tmp_path: Path) -> None:
    (tmp_path / "n.txt").write_text("21")
    source = SOURCE.replace("import random", "import atexit, random\natexit.register(print, 'bye')")
    assert call(tmp_path, *GOOD, source=source).stdout == "bye\n"


def test_openmp_spins_briefly_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    stage.spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == stage.SPINS
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    stage.spin_briefly()
    assert os.environ["GOMP_SPINCOUNT"] == "7"
    monkeypatch.delenv("GOMP_SPINCOUNT")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    stage.spin_briefly()
    assert "GOMP_SPINCOUNT" not in os.environ


def test_stages_are_read_without_torch() -> None:
    """So that what is set for torch's libraries is set before they are loaded, and help and errors come at once."""
    code = (
        "import sys, stages; from weakseg.harness import stage; stage.all_params(stages); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"False\n"
