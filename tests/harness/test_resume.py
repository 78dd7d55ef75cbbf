"""Resuming: keys are contents, folders survive errors alone, two runs never share one, the cache has a bound."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.closure import ROOT
from weakseg.errors import UserError
from weakseg.harness import digests, resume, source_code
from weakseg.masks import superpixels

STAGE = str(ROOT / "stages/compute_superpixels.py")


def test_keys_are_contents_and_never_times_or_paths(workplace: Path) -> None:
    Path("one.txt").write_text("a")
    first = resume.key({"x": 1}, [Path("one.txt")], Path(STAGE))
    os.utime("one.txt", (1, 1))
    assert resume.key({"x": 1}, [Path("one.txt")], Path(STAGE)) == first
    Path("elsewhere").mkdir()
    shutil.copy("one.txt", "elsewhere/one.txt")
    assert resume.key({"x": 1}, [Path("elsewhere/one.txt")], Path(STAGE)) == first
    Path("one.txt").write_text("b")
    assert resume.key({"x": 1}, [Path("one.txt")], Path(STAGE)) != first
    assert resume.key({"x": 2}, [Path("elsewhere/one.txt")], Path(STAGE)) != first
    assert resume.key({"x": 1}, [Path("elsewhere/one.txt")], ROOT / "stages/refine_masks.py") != first


def test_a_digest_is_remembered_and_a_change_is_seen_though_size_and_time_stay(workplace: Path) -> None:
    path, memory = Path("big"), Path("memory")
    path.write_bytes(b"abc")
    os.utime(path, (1000, 1000))
    before = digests.of_file(path, memory)
    assert len(list(memory.iterdir())) == 1 and digests.of_file(path, memory) == before
    path.write_bytes(b"abd")
    os.utime(path, (1000, 1000))
    assert digests.of_file(path, memory) != before
    next(memory.iterdir()).write_text("cut sho")
    assert digests.of_file(path, memory) != before


def test_a_clock_that_jumps_costs_another_look_and_no_wrong_digest(workplace: Path) -> None:
    path, memory = Path("from_the_future"), Path("memory")
    for content in (b"abc", b"abd"):
        path.write_bytes(content)
        os.utime(path, (4e9, 4e9))
        assert digests.of_file(path, memory) == digests.of_file(path, Path("never_used"))


def test_the_code_of_a_key_is_what_a_stage_uses_and_the_choices_that_are_made() -> None:
    used = source_code.imported([Path(STAGE)])
    assert Path(superpixels.__file__) in used and Path(STAGE) in used
    assert not [path for path in used if "training" in path.parts]
    made = {"refiner": {"folder": "refiners", "symbol": "refine", "name": "ridge", "options": {}}}
    assert [path.name for path in digests.chosen_files([made, 3])] == ["ridge.py"]


def test_a_folder_survives_an_error_and_goes_when_all_is_done(workplace: Path) -> None:
    with pytest.raises(KeyboardInterrupt), resume.folder(STAGE, {}, []) as path:
        (path / "half").write_text("x")
        raise KeyboardInterrupt
    with resume.folder(STAGE, {}, []) as again:
        assert again == path and (again / "half").exists()
    assert not path.exists()
    with resume.folder(STAGE, {}, [], keep=True) as path:
        (path / "whole").write_text("x")
    assert (path / "whole").exists()


def test_two_runs_with_one_key_get_a_folder_each(workplace: Path) -> None:
    with resume.folder(STAGE, {}, []) as one, resume.folder(STAGE, {}, []) as two:
        assert one != two and one.exists() and two.exists()
        with pytest.raises(ZeroDivisionError), resume.folder(STAGE, {}, []):
            1 / 0  # noqa: B018


def test_what_was_used_longest_ago_goes_first_and_never_what_is_in_use(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for number in range(3):
        with resume.folder(STAGE, number, [], keep=True) as path:
            (path / "content").write_bytes(bytes(1000))
        os.utime(path / resume.LOCK, (number, number))
        made.append(path)
    resume.prune(2500)
    assert [path.exists() for path in made] == [False, True, True]
    with resume.folder(STAGE, 1, [], keep=True):
        os.utime(made[1] / resume.LOCK, (1, 1))
        resume.prune(0)
        assert [path.exists() for path in made] == [False, True, False]
    monkeypatch.setenv("WEAKSEG_CACHE_GB", "much")
    with pytest.raises(UserError, match="WEAKSEG_CACHE_GB is 'much': set it to a number of gigabytes"):
        resume.limit()
    monkeypatch.setenv("WEAKSEG_CACHE_GB", "0")
    with resume.folder(STAGE, 9, [], keep=True):
        assert not made[1].exists()
    beside = resume.root().parent / "of somebody else"
    beside.touch()
    resume.clean()
    assert not resume.root().exists() and beside.exists()


def test_folders_that_come_and_go_meanwhile_disturb_nobody(workplace: Path) -> None:
    def come_and_go() -> None:
        for number in range(60):
            with resume.folder(STAGE, number % 3, []) as path:
                (path / "content").write_bytes(bytes(100))

    with ThreadPoolExecutor(2) as pool, resume.folder(STAGE, "in use", []) as path:
        (path / "content").write_bytes(bytes(100))
        others = [pool.submit(come_and_go) for _ in range(2)]
        while not all(other.done() for other in others):
            resume.prune(0)
        for other in others:
            other.result()
        assert (path / "content").exists()


def test_experiments_in_temporary_folders_share_the_cache_of_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert resume.root() == tmp_path / ".cache" / "weakseg"
    monkeypatch.setenv("WEAKSEG_CACHE", "")
    inside = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert resume.root() == tmp_path / ".cache"
    monkeypatch.chdir(tmp_path)
    assert resume.root() == tmp_path / ".cache"


def test_a_folder_of_another_version_is_left_alone(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt), resume.folder(STAGE, {}, []) as old:
        (old / "items").write_bytes(b"of a library before this one")
        raise KeyboardInterrupt
    monkeypatch.setattr(digests, "versions", lambda: ["torch 99"])
    with resume.folder(STAGE, {}, []) as new:
        assert new != old and not list(new.glob("items"))


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import os, signal\nfrom weakseg.harness import resume\n"
        f"with resume.folder({STAGE!r}, {{}}, []) as path:\n"
        "    print(path, flush=True)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert killed.returncode == -9
    with resume.folder(STAGE, {}, []) as path:
        assert str(path) == killed.stdout.strip()


def test_a_cache_that_leads_nowhere_is_an_error(workplace: Path) -> None:
    Path(".cache").symlink_to("nowhere")
    with pytest.raises(FileExistsError), resume.folder(STAGE, 1, []):
        pass
