"""Presets, alone and in the stacks that the documents give, are legal and run through on a few drawn images."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import stages
from tests import closure, documented, few_images
from tests.documented import PRESETS, Command
from weakseg.errors import UserError
from weakseg.harness import checked_params, stage

NAMES = sorted(path.name for path in PRESETS.iterdir())
STACKS = documented.stacks()
TASKS = ("cub", "imagenette", "oxford_pets")
MACHINE_AND_TASK = 2  # presets
SCORING = ("train_control", "evaluate_masks")  # left to the stacks that a preset is documented in
REGARDLESS = ("evaluate_classifier", "evaluate_boxes", "measure_erf", "compare_erf", "write_report")  # of the recipe


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> few_images.Runner:
    """What ran for one stack is there for the others."""
    return few_images.Runner(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where drawn archives and random weights lie."""
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_what_the_shell_passes_on(name: str) -> None:
    """The shell splits it at white space and takes no quotes off: `-S key=value` on each line, or a target."""
    targets = set(closure.stage_blocks())
    for line in (PRESETS / name).read_text().splitlines():
        words = line.split()
        assert (len(words) == 2 and words[0] == "-S") or set(words) <= targets, line
        assert not set("'`$;|&<>*?") & set(line), line


def test_every_preset_is_documented_and_every_documented_one_exists() -> None:
    named = documented.named()
    assert set(NAMES) - set(named) == set(), "no document gives a command with these presets"
    assert {name: where for name, where in named.items() if name not in NAMES} == {}, "there are no such presets"


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_a_stack_is_legal(stack: Command, tmp_path: Path) -> None:
    models = stage.all_params(stages)
    assert set(stack.targets) <= set(closure.stage_blocks())
    for point in documented.points(stack.overrides):
        assert checked_params.check_all(few_images.override(tmp_path / "params.yaml", point), models) == []


def targets(stack: Command) -> tuple[str, ...]:
    """The stack's own, or every stage but those that are the same work whatever the recipe and that it never names."""
    recipe = stack.presets[MACHINE_AND_TASK:] or stack.presets
    spoken = {value.lstrip("+~").partition(".")[0] for name in recipe for value in documented.lines(name)[0]}
    same = set(REGARDLESS) - spoken if len(stack.presets) != MACHINE_AND_TASK else set()
    same |= set(SCORING) if stack.alone else set()
    return stack.targets or tuple(name for name in closure.stage_blocks() if name not in same)


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_a_stack_runs_through(
    stack: Command, runner: few_images.Runner, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first point of a sweep stands for all of them: they differ in numbers that are cut here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEAKSEG_WORKERS", "0")
    whole = few_images.override(Path("params.yaml"), documented.points(stack.overrides)[0])
    if stack.alone:
        few_images.leave_out(whole, " ".join(stack.overrides))
    few_images.write(whole, files)
    try:
        runner.run(targets(stack))
    except UserError as error:  # a legal end: predictions of one class alone are nothing to train on again
        assert whole["train_segmenter"]["rounds"] and "no mask with both object and background" in str(error)
        whole["train_segmenter"]["rounds"] = 0
        few_images.write(whole, files)
        runner.run(targets(stack))


def test_a_command_is_read_as_the_shell_reads_it() -> None:
    own = "-S seed=1 -S '+networks.a={backbone: timm}' measure_erf  # why"
    command = documented.parse(f"dvc exp run $(cat presets/two_cores presets/cub) {own}", "README.md")
    assert command.presets == ("two_cores", "cub") and command.targets == ("measure_erf",)
    assert command.overrides[-3:] == ("data=cub", "seed=1", "+networks.a={backbone: timm}")


def test_parameters_are_cut_and_nothing_else_changes(tmp_path: Path) -> None:
    whole = few_images.override(tmp_path / "params.yaml", ["train_classifier.epochs=60", "train_segmenter.rounds=2"])
    small = few_images.cut(whole)
    assert small["train_classifier"]["epochs"] == 1 and small["train_segmenter"]["rounds"] == 1
    assert small["train_classifier"]["learning_rate"] == whole["train_classifier"]["learning_rate"]
    assert yaml.safe_dump(few_images.cut(small)) == yaml.safe_dump(small)


def test_no_preset_for_cpus_asks_for_bf16() -> None:
    for name in NAMES:
        assert name == "one_gpu" or "bf16" not in (PRESETS / name).read_text()


def test_tasks_hold_no_number_of_a_network() -> None:
    """Pets, CUB and Imagenette share every constant of classifier, maps and distillation: those of the machine."""
    for name in TASKS:
        text = (PRESETS / name).read_text()
        assert not any(section in text for section in ("train_classifier", "generate_cams", "distill_cams", "networks"))
