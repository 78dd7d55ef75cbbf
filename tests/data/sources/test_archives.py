"""Archives from outside: what is read, and every hostile or damaged one in a sentence."""

from __future__ import annotations

import gzip
import stat
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from tests.raw_archives import link, tar_gz, zipped
from weakseg.data.sources import archives
from weakseg.data.sources.archives import ENTRY_LIMIT, Spool, entries
from weakseg.errors import UserError

FILES = {"a/one.txt": b"1", "a/two.bin": bytes(3000), "three.txt": b""}
BUILDERS = (tar_gz, zipped)


@pytest.mark.parametrize("build", BUILDERS)
def test_entries_and_spool_give_every_wanted_file(tmp_path: Path, build) -> None:
    path = build(tmp_path / "archive", FILES)
    assert dict(entries(path)) == FILES
    assert [name for name, _ in entries(path, lambda name: name.endswith(".txt"))] == ["a/one.txt", "three.txt"]
    with Spool(path, tmp_path) as spool:
        assert spool.names() == sorted(FILES)
        assert [spool.read(name) for name in reversed(FILES)] == [b"", bytes(3000), b"1"]
        assert "a/one.txt" in spool and "absent" not in spool
        with pytest.raises(UserError, match="lacks the entry 'absent'"):
            spool.read("absent")
    assert list(tmp_path.iterdir()) == [path]


def test_plain_tar_folders_and_dotted_names(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        folder = tarfile.TarInfo("./a")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        tar.addfile(tarfile.TarInfo("./a/./empty"))
    assert list(entries(tmp_path / "plain.tar")) == [("a/empty", b"")]


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "a\\..\\..\\out.txt", "C:out.txt"])
def test_entry_that_escapes_is_refused_even_when_unwanted(tmp_path: Path, build, name: str) -> None:
    path = build(tmp_path / "archive", {"good.txt": b"1", name: b"2"})
    with pytest.raises(UserError, match="escapes its folder"):
        list(entries(path, lambda name: name == "good.txt"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_link_or_device_in_tar(tmp_path: Path, kind: bytes) -> None:
    path = tar_gz(tmp_path / "archive", FILES, (link("a/passwd", "/etc/passwd", kind),))
    with pytest.raises(UserError, match="entry 'a/passwd' is a link or a device"):
        list(entries(path))


def test_link_in_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "archive", "w") as archive:
        header = zipfile.ZipInfo("a/passwd")
        header.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(header, "/etc/passwd")
    with pytest.raises(UserError, match="is a link or a device"):
        list(entries(tmp_path / "archive"))


@pytest.mark.parametrize("build", BUILDERS)
def test_entry_too_large_for_memory(tmp_path: Path, build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "ENTRY_LIMIT", 2999)
    with pytest.raises(UserError, match=r"'a/two.bin' has 3000 bytes, over the limit of 2999"):
        list(entries(build(tmp_path / "archive", FILES)))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """One kilobyte a megabyte, said by the header; nothing of it is read."""
    path = tar_gz(tmp_path / "bomb", {"a/bomb": bytes(ENTRY_LIMIT + 1)})
    assert path.stat().st_size < ENTRY_LIMIT / 500
    tracemalloc.start()
    with pytest.raises(UserError, match="'a/bomb' has 268435457 bytes, over the limit"):
        list(entries(path))
    assert tracemalloc.get_traced_memory()[1] < ENTRY_LIMIT / 50
    tracemalloc.stop()


def test_a_zip_that_lies_about_the_size_of_an_entry(tmp_path: Path) -> None:
    """It is read no further than it says."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(1 << 24))
    path.write_bytes(path.read_bytes().replace((1 << 24).to_bytes(4, "little"), (9).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(UserError, match="damaged or cut short"):
        list(entries(path))
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("build", BUILDERS)
def test_archive_cut_short(tmp_path: Path, build, share: float) -> None:
    path = build(tmp_path / "archive", {f"{n}": bytes(range(256)) * 9 for n in range(9)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(UserError, match="damaged or cut short"):
        list(entries(path))


def test_plain_tar_cut_between_entries(tmp_path: Path) -> None:
    plain = gzip.decompress(tar_gz(tmp_path / "archive", {"a": bytes([1]) * 512, "b": bytes([2]) * 512}).read_bytes())
    (tmp_path / "cut.tar").write_bytes(plain[:1024])
    with pytest.raises(UserError, match="damaged or cut short"):
        list(entries(tmp_path / "cut.tar"))


@pytest.mark.parametrize("build", BUILDERS)
def test_flipped_byte(tmp_path: Path, build) -> None:
    path = build(tmp_path / "archive", {"a": bytes(range(256)) * 9})
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged or cut short"):
        list(entries(path))


def test_no_archive_and_entry_twice(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist: run the download stage"):
        list(entries(tmp_path / "absent"))
    (tmp_path / "text").write_text("no archive " * 99)
    with pytest.raises(UserError, match="damaged or cut short"):
        list(entries(tmp_path / "text"))
    twice = tar_gz(tmp_path / "twice", {"a": b"1", "./a": b"2"})
    with pytest.raises(UserError, match="holds the entry 'a' twice"):
        Spool(twice, tmp_path)
