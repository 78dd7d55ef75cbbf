"""The house stands: stages, parameters, dependencies, rooms."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import stages
import weakseg
from tests import closure
from weakseg.harness import checked_params, choices, device, params, source_code, stage

ROOT = closure.ROOT
BLOCKS = closure.stage_blocks()
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
MODELS = stage.all_params(stages)
ROOMS = re.findall(r"^(\w+)  +\S", weakseg.__doc__ or "", re.MULTILINE)
FORBIDDEN_NAMES = {"utils", "misc", "common", "helpers", "base", "core"}
OUTCOME = {"metrics": Path, "scores": Path, "curves": Path}  # flags of the harness
LIBRARY = sorted(closure.rel(path) for path in (ROOT / "weakseg").rglob("*.py") if path.name != "__init__.py")
# Rooms that compute: they touch no disk, choose no device, print nothing and hold no random state.
PURE = ("weakseg/cams/", "weakseg/masks/", "weakseg/networks/", "weakseg/training/losses/")
IMPURE = (  # what saves, loads and brings networks, or keeps what a frozen one gave, is about files
    "weakseg/networks/frozen/",
    "weakseg/networks/loading/",
    "weakseg/networks/reconstruction/saved_reconstructor.py",
    "weakseg/networks/segmentation/saved_segmenter.py",
    "weakseg/networks/weight_files/",
)
DISK = {"pathlib", "os", "zipfile", "tempfile", "shutil", "safetensors", "io"}
STATE = {"random", "torch.manual_seed", "numpy.random.seed"}
EXCEPTIONS = {  # what each may do that its room may not, and why
    "weakseg/masks/distillation/feature_grids.py": {"pathlib"},  # features of all images are mapped from the disk
}


def paths(block: dict, field: str) -> list[str]:
    """Paths of one field of a block, options stripped."""
    return [next(iter(item)) if isinstance(item, dict) else item for item in block.get(field, [])]


def outputs(block: dict) -> list[str]:
    """Everything a block writes."""
    return [path for field in ("outs", "metrics") for path in paths(block, field)]


def artifacts(block: dict) -> list[str]:
    """Dependencies that are no source files."""
    return [path for path in paths(block, "deps") if not closure.is_code(path)]


def flags(block: dict) -> dict[str, str]:
    """Flags of the command and their values."""
    return {name.replace("-", "_"): value for name, value in re.findall(r"--([\w-]+)[= ](\S+)", block["cmd"])}


def main_of(block: dict) -> Callable[..., Any]:
    """The `main` a block runs."""
    return importlib.import_module(closure.stage_file(block)[:-3].replace("/", ".")).main


def section_of(block: dict) -> str:
    """Name of the stage file, and of its section."""
    return Path(closure.stage_file(block)).stem


@pytest.mark.parametrize("name", BLOCKS)
def test_field_order_and_stage_name(name: str) -> None:
    whole = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][name]
    order = ["desc", "cmd", "deps", "params", "outs", "metrics"]
    assert list(whole) in (["foreach", "do"], list(BLOCKS[name]))
    assert list(BLOCKS[name]) == [field for field in order if field in BLOCKS[name]] and BLOCKS[name]["desc"]
    assert name == section_of(BLOCKS[name]) or (name, section_of(BLOCKS[name])) == ("train_control", "train_segmenter")


def test_every_stage_file_is_drawn_and_params_has_no_other_section() -> None:
    assert set(MODELS) == {section_of(block) for block in BLOCKS.values()}
    own = {name for name, model in MODELS.items() if set(model.model_fields) - {*params.SHARED, "network"}}
    assert set(PARAMS) == own | {*params.SHARED, *params.WITH_OPTIONS}


def test_the_default_parameters_are_legal() -> None:
    assert checked_params.check_all(PARAMS, MODELS) == []


@pytest.mark.parametrize("name", [name for name in BLOCKS if name != "hash_code"])
def test_code_is_a_list_of_files_and_the_choices_that_are_made(name: str) -> None:
    program = closure.stage_file(BLOCKS[name])
    listed, *chosen = [path for path in paths(BLOCKS[name], "deps") if closure.is_code(path)]
    assert listed == closure.code_list(program) and all("${" in path for path in chosen)
    folders = {Path(path).parent.relative_to("weakseg").as_posix() for path in chosen}
    expected = {choices.FOLDERS[folder] for folder in closure.templates(program)}
    assert folders == expected, "every choice folder the stage loads needs its templated dependency"


def test_every_program_has_its_list_and_every_file_in_one_is_watched() -> None:
    programs = {closure.rel(path) for path in source_code.programs()} - {"stages/hash_code.py"}
    drawn = [block for path in (closure.DVC_YAML, *closure.STUDIES) for block in closure.stage_blocks(path).values()]
    assert programs == {closure.stage_file(block) for block in drawn} - {"stages/hash_code.py"}
    assert set(outputs(BLOCKS["hash_code"])) == {closure.code_list(program) for program in programs}
    watched = set(paths(BLOCKS["hash_code"], "deps"))
    used = set.union(*(closure.closure(program) for program in (*programs, "stages/hash_code.py")))
    assert {path for path in used if not {path, *map(str, Path(path).parents)} & watched} == set()
    assert {closure.rel(Path(source_code.__file__)), closure.rel(Path(device.__file__))} <= watched
    assert not [path for path in watched if not (ROOT / path).exists()]


@pytest.mark.parametrize("name", BLOCKS)
def test_artifacts_stand_before_code(name: str) -> None:
    kinds = [closure.is_code(path) for path in paths(BLOCKS[name], "deps")]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize("name", BLOCKS)
def test_flags_are_the_arguments_of_main(name: str) -> None:
    block = BLOCKS[name]
    expected = set(stage.flags(main_of(block)))
    if issubclass(MODELS[section_of(block)], params.NetworkParams):
        expected.add("network")
    assert set(flags(block)) - set(OUTCOME) == expected


@pytest.mark.parametrize("name", BLOCKS)
def test_paths_in_the_command_are_the_paths_of_the_block(name: str) -> None:
    block = BLOCKS[name]
    kinds = stage.flags(main_of(block)) | OUTCOME | {"network": str}
    used = [value for flag, value in flags(block).items() if kinds[flag] is Path]
    lists = [path for path in outputs(block) if path.startswith(f"{closure.LISTS}/")]
    assert sorted(used) == sorted(set(artifacts(block) + outputs(block)) - set(lists)) + (
        [closure.LISTS] if lists else []
    )


@pytest.mark.parametrize("name", BLOCKS)
def test_a_stage_that_several_processes_share_names_all_that_it_writes(name: str) -> None:
    """Only the first process writes it: one that is left out would be written by all of them."""
    block = BLOCKS[name]
    calls = [node for node in ast.walk(closure.tree(closure.stage_file(block))) if isinstance(node, ast.Call)]
    named = [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "Shared"]
    written = [flag for flag, value in flags(block).items() if value in outputs(block) and flag not in OUTCOME]
    assert named in ([], [written])


@pytest.mark.parametrize("name", BLOCKS)
def test_params_listed_are_what_is_read(name: str) -> None:
    block = BLOCKS[name]
    section, model = section_of(block), MODELS[section_of(block)]
    listed = block.get("params") or []
    whole = {field for field in model.model_fields if field in params.SHARED}
    own = set(model.model_fields) - whole - {"network"}
    expected = sorted(whole) + ([section] if own else [])
    assert sorted(item for item in listed if "${" not in item) == sorted(expected)
    marks = {field: of.folder for field, of in params.choice_fields(model).items()}
    options = {
        f"{folder}.${{{field if field in params.SHARED else f'{section}.{field}'}}}"
        for field, folder in marks.items()
        if params.WITH_OPTIONS.get(folder) == params.choice_fields(model)[field].symbol
    }
    assert {item for item in listed if "${" in item and not item.startswith("networks.")} == options
    part = getattr(model, "part", "")
    entry = {item.rpartition(".")[2] for item in listed if item.startswith("networks.")}
    built = {"backbone", "variant"} if section in closure.BUILDERS else set()
    assert entry == built | ({part} if part else set())


@pytest.mark.parametrize("name", BLOCKS)
def test_only_evaluations_have_metrics(name: str) -> None:
    assert bool(paths(BLOCKS[name], "metrics")) == name.startswith(("evaluate_", "measure_", "compare_"))


def room(path: str) -> str:
    """Room of a library file."""
    return Path(path).parts[1].removesuffix(".py")


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


def for_types(tree: ast.AST) -> set[ast.AST]:
    """What stands under `if TYPE_CHECKING`."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {inner for block in blocks for node in block.body for inner in ast.walk(node)}


def uses(path: str) -> set[str]:
    """Full names of what a file imports to run, and of what it takes from its imports or calls without one."""
    tree = closure.tree(path)
    nodes = set(ast.walk(tree)) - for_types(tree)
    names: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    dotted = [ast.unparse(node) for node in nodes if isinstance(node, ast.Attribute)]
    taken = {f"{names[head]}.{rest}" for head, _, rest in (name.partition(".") for name in dotted) if head in names}
    return set(names.values()) | taken | (called - set(names))


def forbidden(path: str) -> set[str]:
    """What of it a room that computes may not use."""
    shared = {"print", "open", "weakseg.harness.device.pick", *STATE}
    found = uses(path)
    return {name for name in found if name in shared} | {name.split(".")[0] for name in found} & (DISK | {"random"})


@pytest.mark.parametrize("path", [path for path in LIBRARY if path.startswith(PURE) and not path.startswith(IMPURE)])
def test_rooms_that_compute_touch_no_disk_print_nothing_choose_no_device_and_hold_no_random_state(path: str) -> None:
    assert forbidden(path) == EXCEPTIONS.get(path, set())


def test_what_is_forbidden_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
from __future__ import annotations
import random, numpy as np
from typing import TYPE_CHECKING
from weakseg.harness import device as hardware
from weakseg.harness.device import autocast
if TYPE_CHECKING:
    from pathlib import Path
else:
    from safetensors.torch import load_file
def f(path: Path) -> None:
    print(hardware.pick(), open(path), autocast("bf16"), np.random.seed(3))
"""
    (tmp_path / "guilty.py").write_text(source)
    monkeypatch.setattr(closure, "ROOT", tmp_path)
    expected = {"print", "open", "random", "safetensors", "weakseg.harness.device.pick", "numpy.random.seed"}
    assert forbidden("guilty.py") == expected


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_tests_import_no_tests(path: Path) -> None:
    imported = {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    names = {part for module in imported if module for part in module.split(".")}
    assert not [name for name in names if name.startswith("test_") or name == "conftest"]


def test_names() -> None:
    stems = {Path(path).stem for path in LIBRARY} | {Path(path).parts[1] for path in LIBRARY}
    assert not stems & FORBIDDEN_NAMES
    assert not stems & {"models", "metrics"}
    initial = set((ROOT / "weakseg").rglob("__init__.py")) - {ROOT / "weakseg/__init__.py"}
    assert all(not path.read_text() for path in initial)


def test_stages_never_import_stages() -> None:
    for path in (ROOT / "stages").glob("*.py"):
        assert not [file for file in closure.imports(closure.rel(path)) if file.startswith("stages/")]


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("*.py")), ids=lambda path: path.stem)
def test_a_stage_fits_a_screen(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60


def test_every_choice_offers_its_function() -> None:
    offers = {
        "backbones": ["build"],
        "methods": ["maps"],
        "datasets": ["fetch", "prepare", "prepare_truth"],
        "refiners": ["refine"],
        "segmenters": ["build"],
        "thresholds": ["pick"],
    }
    assert set(offers) == set(choices.FOLDERS)
    for folder, symbols in offers.items():
        for name in choices.names(folder):
            module = choices.load(folder, name)
            assert all(callable(getattr(module, symbol, None)) for symbol in symbols), f"{folder}/{name}"
