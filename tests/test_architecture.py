"""The house stands: stages, parameters, dependencies, rooms, and no ground truth above a weak model."""

from __future__ import annotations

import importlib
import re
import typing
from pathlib import Path

import pytest
import yaml

import weakseg
from tests import closure
from weakseg.harness import choices, params, stage

ROOT = closure.ROOT
BLOCKS = closure.stage_blocks()
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
ROOMS = re.findall(r"^(\w+)  +\S", weakseg.__doc__, re.MULTILINE)
TRUTH = "weakseg/artifacts/truth.py"
FORBIDDEN_NAMES = {"utils", "misc", "common", "helpers", "base", "core"}
UPSTREAM = {"${generate_cams.source}": ("classifier", "crm"), "${refine_masks.source}": ("cams", "distilled")}
UPSTREAM["${evaluate_boxes.source}"] = UPSTREAM["${refine_masks.source}"]
WEAK = ("train_classifier", "train_crm", "generate_cams", "distill_cams", "refine_masks", "train_segmenter")
TRUTH_READERS = {"train_control", "evaluate_masks", "evaluate_boxes"}


def paths(block: dict, field: str) -> list[str]:
    """Paths of one field of a block, options stripped."""
    return [next(iter(item)) if isinstance(item, dict) else item for item in block.get(field, [])]


def outputs(block: dict) -> list[str]:
    """Everything a block writes."""
    return [path for field in ("outs", "metrics", "plots") for path in paths(block, field)]


def artifacts(block: dict) -> list[str]:
    """Dependencies that are no source files."""
    return [path for path in paths(block, "deps") if not closure.is_code(path)]


def flags(block: dict) -> dict[str, str]:
    """Flags of the command and their values."""
    return {name.replace("-", "_"): value for name, value in re.findall(r"--([\w-]+)[= ](\S+)", block["cmd"])}


def main_of(block: dict):
    """The `main` a block runs."""
    return importlib.import_module(closure.stage_file(block)[:-3].replace("/", ".")).main


@pytest.mark.parametrize("name", BLOCKS)
def test_field_order_and_stage_name(name: str) -> None:
    block = BLOCKS[name]
    order = ["desc", "matrix", "cmd", "deps", "params", "outs", "metrics", "plots"]
    assert list(block) == [field for field in order if field in block]
    stem = Path(closure.stage_file(block)).stem
    assert name == stem or (name, stem) == ("train_control", "train_segmenter")


def test_every_stage_file_is_drawn_and_has_a_section() -> None:
    files = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert files == {Path(closure.stage_file(block)).stem for block in BLOCKS.values()}
    assert files - set(PARAMS) == set()
    assert set(PARAMS) - files == set(closure.SHARED)


@pytest.mark.parametrize("name", BLOCKS)
def test_code_dependencies_are_the_import_closure(name: str) -> None:
    block = BLOCKS[name]
    files, folders = closure.closure(closure.stage_file(block))
    listed = [path for path in paths(block, "deps") if closure.is_code(path)]
    assert sorted(path for path in listed if "${" not in path) == sorted(files), "run `make deps`"
    templated = {Path(path).parent.relative_to("weakseg").as_posix() for path in listed if "${" in path}
    expected = {choices.FOLDERS[folder] for folder in folders}
    assert templated == expected, "every choice folder the stage loads needs its templated dependency"


@pytest.mark.parametrize("name", BLOCKS)
def test_flags_are_the_arguments_of_main(name: str) -> None:
    block = BLOCKS[name]
    assert set(flags(block)) - {"metrics", "curves"} == set(stage.flags(main_of(block)))


@pytest.mark.parametrize("name", BLOCKS)
def test_paths_in_the_command_are_the_paths_of_the_block(name: str) -> None:
    block = BLOCKS[name]
    kinds = stage.flags(main_of(block)) | {"metrics": Path, "curves": Path}
    used = [value for flag, value in flags(block).items() if kinds[flag] is Path]
    assert sorted(used) == sorted(artifacts(block) + outputs(block))


@pytest.mark.parametrize("name", BLOCKS)
def test_params_listed_are_the_fields_read(name: str) -> None:
    block = BLOCKS[name]
    model = typing.get_type_hints(main_of(block))["params"]
    listed = block.get("params") or []
    assert sorted(item for item in listed if "${" not in item) == sorted(closure.fields(block)), "run `make deps`"
    options = [item for item in listed if "${" in item]
    assert len(options) >= len(set(model.choices) & set(model.model_fields)), "options of each choice are listed"


@pytest.mark.parametrize("name", BLOCKS)
def test_default_params_are_complete(name: str) -> None:
    model = typing.get_type_hints(main_of(BLOCKS[name]))["params"]
    params.load(model, Path(closure.stage_file(BLOCKS[name])).stem, ROOT / "params.yaml")


def readings(path: str) -> list[str]:
    """The paths a templated path can stand for: every value of an up-stream choice, `*` for any other name."""
    paths = [path]
    for name, values in UPSTREAM.items():
        paths = [one.replace(name, value) for one in paths for value in (values if name in one else [""])]
    return [re.sub(r"\$\{[^}]*\}", "*", one) for one in paths]


def same(first: str, second: str) -> bool:
    """Whether two paths can be the same file, or one a folder that holds the other."""
    pairs = zip(first.split("/"), second.split("/"), strict=False)
    return all("*" in one + other or one == other for one, other in pairs)


def made_from(path: str, seen: set[str]) -> set[str]:
    """Everything `path` was made from, through all stages, whatever the parameters choose."""
    if path in seen:
        return seen
    seen.add(path)
    for block in BLOCKS.values():
        if any(same(one, other) for out in outputs(block) for one in readings(path) for other in readings(out)):
            for dependency in artifacts(block):
                made_from(dependency, seen)
    return seen


def test_no_ground_truth_above_a_weak_artifact() -> None:
    for name in WEAK:
        for out in outputs(BLOCKS[name]):
            guilty = {path for path in made_from(out, set()) if path.startswith("data/truth")}
            assert not guilty, f"{out} of {name} was made from {guilty}"


def test_only_control_and_evaluations_read_ground_truth() -> None:
    readers = {
        name for name, block in BLOCKS.items() if any(path.startswith("data/truth") for path in artifacts(block))
    }
    assert readers <= TRUTH_READERS | {"write_report"}


def room(path: str) -> str:
    """Room of a library file."""
    return Path(path).parts[1].removesuffix(".py")


LIBRARY = sorted(closure.rel(path) for path in (ROOT / "weakseg").rglob("*.py") if path.name != "__init__.py")


def test_there_are_ten_rooms_and_every_file_lies_in_one() -> None:
    assert len(ROOMS) == 10
    assert {room(path) for path in LIBRARY} == {*ROOMS, "errors"}


@pytest.mark.parametrize("path", [path for path in LIBRARY if room(path) != "errors"])
def test_imports_go_down_and_choices_stay_apart(path: str) -> None:
    below = [*ROOMS[ROOMS.index(room(path)) :], "errors"]
    for target in closure.imports(path):
        assert room(target) in below, f"{path} imports {target}: imports go down the rooms of weakseg/__init__.py"
        assert (room(path), room(target)) != ("masks", "cams"), f"{path} imports {target}: they meet in data/cams alone"
        folder = Path(path).parent.relative_to("weakseg").as_posix()
        if folder in choices.FOLDERS.values():
            assert Path(target).parent != Path(path).parent, f"{path} imports its sibling {target}"


def test_names() -> None:
    stems = {Path(path).stem for path in LIBRARY} | {Path(path).parts[1] for path in LIBRARY}
    assert not stems & FORBIDDEN_NAMES
    assert not stems & {"models", "metrics"}
    initial = set((ROOT / "weakseg").rglob("__init__.py")) - {ROOT / "weakseg/__init__.py"}
    assert all(not path.read_text() for path in initial)


def test_stages_never_import_stages() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert not [file for file in closure.imports(closure.rel(path)) if file.startswith("stages/")]


def test_every_choice_offers_its_function() -> None:
    offers = {
        "backbones": ["build"],
        "methods": ["maps"],
        "datasets": ["fetch", "prepare"],
        "refiners": ["refine"],
        "segmenters": ["build"],
        "thresholds": ["pick"],
    }
    for folder, symbols in offers.items():
        for name in choices.names(folder):
            module = choices.load(folder, name)
            assert all(callable(getattr(module, symbol, None)) for symbol in symbols), f"{folder}/{name}"
