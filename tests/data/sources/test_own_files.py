"""Names of a user's files and rows of a table, as people spell and write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.raw_archives import zipped
from weakseg.data.sources import own_files
from weakseg.data.sources.archives import Spool
from weakseg.errors import UserError


def test_ids_by_hand() -> None:
    names = {"a/b c.tar.jpg": "a_b c.tar", "a\\b.png": "a_b", "e\u0301.tif": "\u00e9", "ö/ü": "ö_ü"}
    assert {name: own_files.id_of(name) for name in names} == names


@pytest.mark.parametrize("name", ["a\n.jpg", "a\x00.jpg", "a\udcff.jpg"])
def test_names_that_no_table_holds(name: str) -> None:
    with pytest.raises(UserError, match=r"here: the name '.*' holds characters that no table can: rename the file"):
        own_files.check_names(["fine 猫.jpg", name], Path("here"))


def test_rows_of_a_table(tmp_path: Path) -> None:
    tables = {
        "a.csv": b'\xef\xbb\xbfimage,label\r\n"x,y.jpg",cat\r\nz.jpg\r\n',
        "b.csv": b"image\n1\n",
        "c.csv": b"\xff",
    }
    with Spool(zipped(tmp_path / "t.zip", tables), tmp_path) as files:
        rows = own_files.rows_of(files, "a.csv", {"image", "label"})
        assert rows == [{"image": "x,y.jpg", "label": "cat"}, {"image": "z.jpg", "label": None}]
        with pytest.raises(UserError, match=r"b\.csv lacks the column 'label': its columns must be image, label"):
            own_files.rows_of(files, "b.csv", {"image", "label"})
        with pytest.raises(UserError, match=r"c\.csv cannot be read .*: save it as CSV in UTF-8"):
            own_files.rows_of(files, "c.csv", {"image"})
