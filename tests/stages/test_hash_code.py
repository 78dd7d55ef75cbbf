"""hash_code writes a list for every program, the same bytes each time."""

from __future__ import annotations

from pathlib import Path

from stages import hash_code
from tests import closure
from weakseg.harness import source_code


def test_every_program_has_its_list(tmp_path: Path) -> None:
    hash_code.main(hash_code.Params(), out=tmp_path)
    written = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.txt")}
    expected = {closure.rel(path.with_suffix(".txt")) for path in source_code.programs()} - {"stages/hash_code.txt"}
    assert set(written) == expected
    for name, text in written.items():
        listed = {line.partition("  ")[2] for line in text.splitlines()}
        assert listed == closure.closure(name.replace(".txt", ".py")), name
    hash_code.main(hash_code.Params(), out=tmp_path)
    assert written == {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*.txt")}


def test_a_change_of_one_file_changes_the_lists_that_hold_it(tmp_path: Path) -> None:
    hash_code.main(hash_code.Params(), out=tmp_path)
    name = "weakseg/training/losses/dice.py"
    holders = {path.stem for path in (tmp_path / "stages").iterdir() if name in path.read_text()}
    assert holders == {"train_classifier"}
