"""Folders of shards: borders are of the ids alone, an image more moves few of them, nothing is ever half there."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import pickle
import random
import shutil
import signal
import tracemalloc
import zipfile
from bisect import insort
from collections.abc import Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path

import pytest

from tests.contents import content
from weakseg.artifacts.formats import shards, zips
from weakseg.artifacts.formats.one_zip import Zip, ZipWriter
from weakseg.errors import UserError

NAMES = [f"n{number:06d}" for number in range(15_000)]


def entry(name: str) -> bytes:
    """Some bytes of its own for each name."""
    return hashlib.sha256(b"content" + name.encode()).digest()[: 1 + len(name) % 7]


def write(path: Path, names: Sequence[str]) -> Path:
    """An archive of small entries."""
    with zips.ArchiveWriter(path) as writer:
        for name in names:
            writer.add_bytes(f"{name}.png", entry(name))
    return path


def cut(names: Sequence[str]) -> list[list[str]]:
    """The names by shard, in memory."""
    found: list[list[str]] = [[]]
    for name in names:
        found[-1].append(name)
        if shards.ends(name, len(found[-1])):
            found.append([])
    return [one for one in found if one]


def hashed(count: int, seed: int) -> list[str]:
    """Sorted names without any order between neighbors."""
    return sorted(hashlib.sha256(f"{seed} {number}".encode()).hexdigest()[:12] for number in range(count))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of several shards."""
    return write(tmp_path_factory.mktemp("whole") / "images", NAMES)


def test_sizes_are_bounded_and_borders_are_those_of_the_ids(whole: Path, tmp_path: Path) -> None:
    """Other contents, another kind of file and other images behind them leave the first borders where they are."""
    expected = cut(NAMES)
    assert len(expected) > 2 and all(2048 <= len(one) <= 8192 for one in expected[:-1]) and sum(map(len, expected))
    for one in expected[:-1]:
        marks = [name for name in one if int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2048 == 0]
        assert len(one) == 8192 or (marks[-1] == one[-1] and all(name in one[:2047] for name in marks[:-1]))
    with zips.ArchiveWriter(tmp_path / "other") as writer:
        for name in [*NAMES, "z"]:
            writer.add_bytes(f"{name}.npz", b"other")
    for path in (whole, tmp_path / "other"):
        rows = shards.load_index(path)
        assert [row.first for row in rows] == [one[0] for one in expected]
        assert [row.name for row in rows] == [
            f"{hashlib.sha256(one[0].encode()).hexdigest()[:16]}.zip" for one in expected
        ]
        assert sorted(item.name for item in path.iterdir()) == sorted([shards.INDEX, *(row.name for row in rows)])


def test_a_shard_is_about_four_thousand_images_and_never_leaves_its_bounds() -> None:
    sizes = [len(one) for one in cut(hashed(400_000, 0))]
    assert min(sizes[:-1]) >= 2048 and max(sizes) <= 8192 and 3500 < 400_000 / len(sizes) < 4500
    assert cut(NAMES[:2047]) == [NAMES[:2047]] and cut([]) == []


def test_a_small_archive_is_the_one_zip_of_before(tmp_path: Path) -> None:
    """As zipfile writes it with fixed headers, byte for byte."""
    names = NAMES[:100]
    with zipfile.ZipFile(tmp_path / "before.zip", "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for name in names:
            header = zipfile.ZipInfo(f"{name}.png", (1980, 1, 1, 0, 0, 0))
            header.external_attr = 0o644 << 16
            archive.writestr(header, entry(name))
    found = content(write(tmp_path / "images", names))
    assert len(found) == 2 and (tmp_path / "before.zip").read_bytes() in found.values()


def test_order_and_content_are_those_of_one_zip(whole: Path, tmp_path: Path) -> None:
    with ZipWriter(tmp_path / "one.zip") as writer:
        for name in NAMES:
            writer.add(f"{name}.png", entry(name))
    archive, chance = zips.Archive(whole), random.Random(0)
    with zipfile.ZipFile(tmp_path / "one.zip") as one:
        assert archive.names() == [name.removesuffix(".png") for name in one.namelist()] == NAMES
        assert archive.checksums() == [(info.filename, info.CRC, info.file_size) for info in one.infolist()]
        assert len(archive) == len(NAMES)
        for name in [*chance.choices(NAMES, k=2000), NAMES[0], NAMES[-1]]:
            assert archive.read(name) == one.read(f"{name}.png") == entry(name) and name in archive
    for absent in ("", "a", "n000000.png", "n0000001", "n015000", "z", NAMES[0] + " "):
        assert absent not in archive
        with pytest.raises(UserError, match="has no entry"):
            archive.read(absent)


def test_each_shard_opens_in_any_viewer(whole: Path) -> None:
    for row in shards.load_index(whole):
        with zipfile.ZipFile(whole / row.name) as opened:
            assert opened.testzip() is None and len(opened.namelist()) == row.entries


def test_names_of_other_alphabets_with_dots_and_folders(tmp_path: Path) -> None:
    names = sorted(["a", "a b", "a.b", "a/b", "größe", "猫/１", "𝒳", "a-1", ".hidden"])
    archive = zips.Archive(write(tmp_path / "images", names))
    assert archive.names() == names and [archive.read(name) for name in names] == [entry(name) for name in names]


@pytest.mark.parametrize("place", [0, 1, 777, 4096, 9000, 14_999])
def test_one_image_more_changes_one_or_two_shards_and_no_other_byte(whole: Path, tmp_path: Path, place: int) -> None:
    names = sorted([*NAMES, f"{NAMES[place]}b"])
    before, after = content(whole), content(write(tmp_path / "more", names))
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert shards.INDEX in changed and 1 <= len({name for name in after if name in changed} - {shards.INDEX}) <= 2
    assert zips.Archive(tmp_path / "more").names() == names


def test_one_image_more_among_many_moves_the_borders_around_it() -> None:
    """Of 40 places in 50,000 ids: nearly always one shard, seldom two, rarely a few more."""
    names, changed = hashed(50_000, 1), []
    before = {tuple(one) for one in cut(names)}
    for new in hashed(40, 2):
        more = list(names)
        insort(more, new)
        changed.append(len({tuple(one) for one in cut(more)} - before))
    assert min(changed) == 1 and changed.count(1) > 32 and max(changed) <= 4


def test_one_image_less_too() -> None:
    names = hashed(20_000, 3)
    before = {tuple(one) for one in cut(names)}
    for place in range(0, 20_000, 1000):
        assert len({tuple(one) for one in cut(names[:place] + names[place + 1 :])} - before) <= 3


def test_files_of_an_earlier_version_go(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "images"))
    (path / "stray.zip").write_bytes(b"stray")
    write(path, NAMES[:10])
    assert len(list(path.iterdir())) == 2 and [item.name for item in tmp_path.iterdir()] == ["images"]
    (tmp_path / "file").write_bytes(b"one zip of an earlier version")
    write(tmp_path / "file", NAMES[:10])
    assert content(tmp_path / "file") == content(path)


def test_an_archive_without_entries(tmp_path: Path) -> None:
    archive = zips.Archive(write(tmp_path / "none", []))
    assert len(archive) == 0 and archive.names() == archive.checksums() == [] and "a" not in archive


def write_and_die(path: Path, at: int) -> None:
    """Write other entries, and be killed before the one at a place, or as the folder is put in place."""
    with zips.ArchiveWriter(path) as writer:
        for name in NAMES[:at]:
            writer.add_bytes(f"{name}.png", b"new")
        if at < len(NAMES):
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("at", [0, 10, 5000, 14_000])
def test_a_kill_in_the_middle_leaves_the_old_folder_whole(whole: Path, tmp_path: Path, at: int) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "images"))
    process = multiprocessing.get_context("spawn").Process(target=write_and_die, args=(path, at))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and (tmp_path / ".images.partial").is_dir()
    assert content(path) == content(whole) and zips.Archive(path).read(NAMES[7]) == entry(NAMES[7])
    write(path, NAMES[:20])
    assert [item.name for item in tmp_path.iterdir()] == ["images"], "what the killed one left is gone"
    assert zips.Archive(path).names() == NAMES[:20]


def test_an_error_in_the_middle_leaves_nothing_of_the_new_one(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "images"))
    with pytest.raises(RuntimeError), zips.ArchiveWriter(path) as writer:
        for name in NAMES[:5000]:
            writer.add_bytes(f"{name}.png", b"new")
        raise RuntimeError
    assert content(path) == content(whole) and [item.name for item in tmp_path.iterdir()] == ["images"]


def test_entries_must_ascend_from_shard_to_shard(tmp_path: Path) -> None:
    names = cut(NAMES)[0]
    with pytest.raises(ValueError, match="ascend"), zips.ArchiveWriter(tmp_path / "images") as writer:
        for name in [*names, names[-1]]:
            writer.add_bytes(f"{name}.png", b"")
    assert list(tmp_path.iterdir()) == []


def read_all(path: Path) -> None:
    archive = zips.Archive(path)
    assert [archive.read(name) for name in archive.names()] == [entry(name) for name in NAMES[:3]]


def test_every_flipped_bit_of_every_file_is_a_sentence(tmp_path: Path) -> None:
    """In the header of an entry, its content, the directory, the end, or the index: nothing is let through."""
    path = write(tmp_path / "images", NAMES[:3])
    for file in sorted(path.iterdir()):
        before = file.read_bytes()
        for place in range(len(before)):
            for bit in range(8):
                damaged = bytearray(before)
                damaged[place] ^= 1 << bit
                file.write_bytes(damaged)
                with pytest.raises(UserError, match="rerun the stage that writes it") as error:
                    read_all(path)
                assert str(file) in str(error.value), (file.name, place, bit)
        file.write_bytes(before)
    read_all(path)


def test_every_cut_and_every_byte_too_many_is_a_sentence(tmp_path: Path) -> None:
    path = write(tmp_path / "images", NAMES[:3])
    for file in sorted(path.iterdir()):
        before = file.read_bytes()
        for damaged in [*(before[:length] for length in range(len(before))), before + b"\0", before + before]:
            file.write_bytes(damaged)
            with pytest.raises(UserError, match="rerun the stage that writes it") as error:
                zips.Archive(path)
            assert str(file) in str(error.value)
        file.write_bytes(before)


def test_a_missing_or_foreign_file_is_a_sentence(whole: Path, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole, tmp_path / "images"))
    second, third = (path / row.name for row in shards.load_index(path)[1:3])
    second.rename(tmp_path / "aside")
    with pytest.raises(UserError, match=rf"{second.name} does not exist: rerun the stage that writes it"):
        zips.Archive(path)
    shutil.copyfile(third, second)
    with pytest.raises(UserError, match="rerun the stage that writes it"):
        zips.Archive(path)
    (path / shards.INDEX).unlink()
    with pytest.raises(UserError, match=rf"images has no {shards.INDEX}: rerun the stage that writes it"):
        zips.Archive(path)
    with pytest.raises(UserError, match="does not exist"):
        zips.Archive(tmp_path / "none")


def test_a_file_that_goes_while_it_is_read_is_a_sentence(whole: Path, tmp_path: Path) -> None:
    archive = zips.Archive(shutil.copytree(whole, tmp_path / "images"))
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match="does not exist"):
        archive.read(NAMES[0])


def read_some(archive: zips.Archive, name: str) -> bytes:
    return archive.read(name)


def test_it_is_sent_to_processes_without_what_it_has_read(whole: Path) -> None:
    archive = zips.Archive(whole)
    assert archive.read(NAMES[0]) == entry(NAMES[0])
    assert len(pickle.dumps(archive)) < 2000
    for kind in ("spawn", "fork"):
        with multiprocessing.get_context(kind).Pool(2) as pool:
            found = pool.starmap(read_some, [(archive, name) for name in NAMES[::3000]])
        assert found == [entry(name) for name in NAMES[::3000]]


def test_threads_read_at_the_same_time(whole: Path) -> None:
    archive, names = zips.Archive(whole), random.Random(1).choices(NAMES, k=3000)
    with ThreadPool(8) as pool:
        assert pool.map(archive.read, names) == [entry(name) for name in names]


def count_open_files() -> int:
    """Files that this process has open; 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return sum(1 for _ in folder.iterdir()) if folder.exists() else 0


def test_few_files_are_open_and_few_bytes_are_held(tmp_path: Path) -> None:
    names = [f"{number:07d}" for number in range(70_000)]
    path = write(tmp_path / "images", names)
    archive, chance = zips.Archive(path), random.Random(2)
    assert len(shards.load_index(path)) > zips.HANDLES
    before = count_open_files()
    tracemalloc.start()
    for name in chance.choices(names, k=5000):
        archive.read(name)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50 * len(names)
    assert count_open_files() - before <= zips.HANDLES


def test_one_zip_alone_tells_damage_too(tmp_path: Path) -> None:
    path = tmp_path / "one.zip"
    with ZipWriter(path) as writer:
        writer.add("a.png", b"content")
    before = path.read_bytes()
    assert Zip(path).read("a") == b"content"
    for place in range(len(before)):
        for bit in range(8):
            damaged = bytearray(before)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                assert Zip(path).read("a") == b"content"
            except UserError as error:
                assert str(path) in str(error)
