"""Bringing files: checksums, resumed transfers, folders and addresses, and each failure in a sentence."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from tests.raw_archives import served, sums
from weakseg.data.sources import downloads
from weakseg.data.sources.downloads import Official, bring, bring_all
from weakseg.errors import UserError
from weakseg.harness import files

CONTENT = bytes(range(256)) * 40
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


def test_download_verifies_and_renames(tmp_path: Path) -> None:
    with served({"/file": CONTENT}) as server:
        bring(f"{server.address}/file", tmp_path / "out", MD5)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": CONTENT}


def test_download_resumes_where_it_stopped(tmp_path: Path) -> None:
    (tmp_path / "out.part").write_bytes(CONTENT[:1000])
    with served({"/file": CONTENT}) as server:
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
        assert server.ranges == [("/file", "bytes=1000-")]
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_broken_transfers_resume_within_a_run_and_in_the_next(tmp_path: Path) -> None:
    with served({"/file": CONTENT}, cut=2000) as server:
        with pytest.raises(UserError, match=r"closed after 8000 of 10240 bytes.*run again, it resumes"):
            bring(f"{server.address}/file", tmp_path / "out", SHA256)
        assert [start for _, start in server.ranges] == [None, "bytes=2000-", "bytes=4000-", "bytes=6000-"]
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
        assert [start for _, start in server.ranges[4:]] == ["bytes=8000-", "bytes=10000-"]
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_server_that_cannot_resume_sends_all_again(tmp_path: Path) -> None:
    (tmp_path / "out.part").write_bytes(b"x" * 1000)
    with served({"/file": CONTENT}, resumes=False) as server:
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_without_a_checksum_an_old_part_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "out.part").write_bytes(b"of another file")
    with served({"/file": CONTENT}) as server:
        bring(f"{server.address}/file", tmp_path / "out", None)
        assert server.ranges == [("/file", None)]
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_part_that_is_whole_is_taken_and_a_file_that_is_right_stays(tmp_path: Path) -> None:
    (tmp_path / "out.part").write_bytes(CONTENT)
    with served({"/file": CONTENT}) as server:
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
        assert server.ranges == [("/file", f"bytes={len(CONTENT)}-")]


def test_wrong_checksum_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"before")
    with served({"/file": CONTENT[1:]}) as server, pytest.raises(UserError, match=f"has checksum md5:.*, not {MD5}"):
        bring(f"{server.address}/file", tmp_path / "out", MD5)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"out": b"before"}


def test_unreachable_and_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served({}) as server, pytest.raises(UserError, match="answers 404 Not Found: check the address"):
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
    with pytest.raises(UserError, match="cannot be downloaded"):
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
    with pytest.raises(UserError, match="cannot be reached"):
        bring_all([Official("file", "", SHA256)], server.address, tmp_path)
    with pytest.raises(UserError, match=r"nowhere/file does not exist: put the file there"):
        bring("nowhere/file", tmp_path / "out", SHA256)


def test_a_server_that_hangs_is_left_and_what_it_sent_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.2)
    with served({"/file": CONTENT}, cut=2000) as server:
        server.hangs = 0.5
        with pytest.raises(UserError, match=r"cannot be downloaded .*: check the connection and run again, it resumes"):
            bring(f"{server.address}/file", tmp_path / "out", SHA256)
        server.hangs, server.cut = 0.0, None
        bring(f"{server.address}/file", tmp_path / "out", SHA256)
        assert server.ranges[-1] == ("/file", "bytes=8000-")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_server_that_lies_about_the_length(tmp_path: Path) -> None:
    with served({"/file": CONTENT}) as server:
        server.lie = -100
        with pytest.raises(UserError, match="has checksum sha256"):
            bring(f"{server.address}/file", tmp_path / "less", SHA256)
        server.lie = 100
        bring(f"{server.address}/file", tmp_path / "more", SHA256)
        assert [start for _, start in server.ranges] == [None, None, "bytes=10240-"], (
            "asked again for what was promised"
        )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"more": CONTENT}


@pytest.mark.parametrize("expected", [MD5, SHA256, SHA256[:15]])
def test_checksum_may_be_cut_short(tmp_path: Path, expected: str) -> None:
    (tmp_path / "in").write_bytes(CONTENT)
    bring(str(tmp_path / "in"), tmp_path / "out", expected)
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_sums_beside_the_files_go_before_the_official_checksum(tmp_path: Path) -> None:
    source, file = tmp_path / "source", Official("file", "http://official.invalid/file", "md5:" + "0" * 32)
    source.mkdir()
    (source / "file").write_bytes(CONTENT)
    with pytest.raises(UserError, match=r"not md5:0+: .* SHA256SUMS"):
        bring_all([file], str(source), tmp_path / "out")
    sums(source)
    bring_all([file], str(source), tmp_path / "out")
    assert (tmp_path / "out" / "file").read_bytes() == CONTENT
    (source / "file").write_bytes(CONTENT[1:])
    with pytest.raises(UserError, match="has checksum sha256"):
        bring_all([file], str(source), tmp_path / "other")


def test_sums_of_an_address(tmp_path: Path) -> None:
    table = f"{SHA256.removeprefix('sha256:')}  file\n".encode()
    with served({"/data/file": CONTENT, "/data/SHA256SUMS": table}) as server:
        bring_all([Official("file", "", "md5:" + "0" * 32)], f"{server.address}/data/", tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_official_address_is_used(tmp_path: Path) -> None:
    with served({"/x/file": CONTENT}) as server:
        bring_all([Official("file", f"{server.address}/x/file", MD5)], "official", tmp_path)
        assert server.ranges == [("/x/file", None)]


def test_staging_folder_depends_on_what_is_brought(tmp_path: Path) -> None:
    folders = {downloads.staging(tmp_path, *what) for what in (("a", "b"), ("a", "c"), ("a", {"size": 1}))}
    assert len(folders) == 3 and all(folder.is_dir() and folder.parent == tmp_path for folder in folders)
    assert downloads.staging(tmp_path, "a", "b") in folders


def test_replace_folder(tmp_path: Path) -> None:
    for name in ("staged", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    files.replace_folder(tmp_path / "staged", tmp_path / "out")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "staged"]
