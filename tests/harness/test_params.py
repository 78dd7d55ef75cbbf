"""params.yaml as it is read: absent, broken, or with a name given twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from weakseg.errors import UserError
from weakseg.harness import params


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: 1\nseed: 2\n", "'seed' is given twice"),
        ("networks:\n  a: {backbone: resnet}\n  a: {backbone: slak}\n", "in line 2: 'a' is given twice"),
        ("seed: [1\n", "is not valid YAML in line"),
        ("- 1\n", "must hold one section per stage"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=problem):
        params.read(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: run from the project's root"):
        params.read(tmp_path / "absent.yaml")


def test_a_number_as_dvc_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("train_classifier:\n  learning_rate: 1.0e-2\n  variant: e5\n  name: '5e-05'\n")
    apply_overrides(str(path), ["train_classifier.learning_rate=0.00005"])
    assert "5e-05" in path.read_text()
    assert params.read(path)["train_classifier"] == {"learning_rate": 5e-5, "variant": "e5", "name": "5e-05"}
