"""Class lists: what is read, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from weakseg.errors import UserError
from weakseg.networks.weight_files.class_lists import load_class_list


def test_one_name_a_line_in_the_order_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes("b\r\n  ä c \na\n".encode())
    assert load_class_list(tmp_path / "names.txt") == ["b", "ä c", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n\nb\n", "has an empty line 2"),
        (b"", "has an empty line 1"),
        (b"a\nb\na\n", "names 'a' twice"),
        (b"\xff\xfe\x00", r"cannot be read \(UnicodeDecodeError\): give a text file"),
    ],
)
def test_messages(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_class_list(tmp_path / "names.txt")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(FileNotFoundError\)"):
        load_class_list(tmp_path / "names.txt")
