"""Which files can change what a program computes, read from their imports."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from weakseg.harness import source_code

STAGES = source_code.ROOT / "stages"


def names(stage: str) -> set[str]:
    """Files that count for a stage."""
    return set(map(source_code.relative, source_code.closure(STAGES / f"{stage}.py")[0]))


def test_what_counts_is_what_is_imported_and_not_the_harness() -> None:
    used = names("refine_masks")
    assert {"stages/refine_masks.py", "weakseg/masks/refinement.py", source_code.NUMBERS} <= used
    assert not [name for name in used if name.startswith(("weakseg/training/", "weakseg/figures/report"))]
    assert not [name for name in used if name.startswith("weakseg/harness/") and name != source_code.NUMBERS]
    assert "weakseg/errors.py" not in used


def test_what_a_choice_imports_counts_and_the_choice_does_not() -> None:
    files, folders = source_code.closure(STAGES / "generate_cams.py")
    assert folders >= {"methods"} and source_code.ROOT / "weakseg/cams/gradients.py" in files
    assert not [path for path in files if path.parent.name == "methods"]


def test_the_template_of_the_report_counts() -> None:
    assert "weakseg/figures/report.html" in names("write_report")


def test_an_import_inside_a_function_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_code, "ROOT", tmp_path)
    (tmp_path / "stages").mkdir()
    texts = {"a": "def f():\n    from stages import b", "b": "import stages.c, numpy", "c": "", "d": ""}
    for name, text in texts.items():
        (tmp_path / f"stages/{name}.py").write_text(text)
    assert {path.stem for path in source_code.closure(tmp_path / "stages/a.py")[0]} == {"a", "b", "c"}
    assert [path.stem for path in source_code.imported([tmp_path / "stages/b.py"])] == ["b", "c"]


def test_a_list_is_what_sha256sum_checks(tmp_path: Path) -> None:
    listed = tmp_path / "list.txt"
    listed.write_text(source_code.listing(STAGES / "train_segmenter.py"))
    command = ["sha256sum", "--check", "--strict", "--quiet", str(listed)]
    assert subprocess.run(command, cwd=source_code.ROOT, check=False).returncode == 0
    lines = listed.read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line.split()[1])


def test_programs_are_what_is_run() -> None:
    found = set(map(source_code.relative, source_code.programs()))
    assert {"stages/hash_code.py", "stages/train_crm.py", "studies/kernels/measure.py"} <= found
    assert "studies/kernels/figure.py" not in found
