"""The benchmarks' own arithmetic, and the page that `make bench` writes."""

from __future__ import annotations

import argparse
import copy
import importlib.util
import platform
from pathlib import Path

import pandas as pd
import pytest
import torch

from benchmarks import __main__ as bench
from benchmarks import evaluation, refiners, system3, timing, training
from tests import closure
from weakseg.harness import choices


def test_contenders_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    ticks = iter(range(100))
    work = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = timing.measure(work, 2, lambda: float(next(ticks)))
    assert calls == ["a", "b"] * 3 and times == {"a": [1.0, 1.0], "b": [1.0, 1.0]}


def test_ratios_are_taken_within_a_round() -> None:
    assert timing.ratio([2.0, 40.0, 6.0], [1.0, 10.0, 3.0]) == 2.0
    assert timing.quartiles([5.0]) == (5.0, 5.0, 5.0)
    table = timing.tabulate({"slow": [4.0, 4.0, 4.0], "fast": [2.0, 2.0, 2.0]}, "slow")
    assert table.splitlines()[-1] == "| fast | 2.000 | 2.000-2.000 | 2.00 |"


@pytest.mark.parametrize("name", bench.RUNS)
def test_every_run_names_a_benchmark_that_is_there(name: str) -> None:
    assert importlib.util.find_spec(f"benchmarks.{bench.RUNS[name].split()[0]}")


@pytest.mark.parametrize("name", refiners.OPTIONS)
def test_refiners_are_given_all_their_options(name: str) -> None:
    refiner, options = refiners.OPTIONS[name]
    assert set(options) == set(choices.option_types("refiners", refiner, "refine", ("threshold", "decide_all")))


def test_sections_are_found_again_by_name() -> None:
    sections = {"a": "## a\n\none\n", "b-c": "## b-c\n\n| two |\n"}
    assert bench.split_sections(f"{bench.HEAD}\n" + "\n".join(sections.values())) == sections
    assert bench.lay_out("first\n\n| a |\n|---|\n") == "- first\n\n| a |\n|---|"


def test_results_name_the_processor_and_no_machine() -> None:
    found = bench.describe_machine()
    assert "torch" in found and "Python" in found and (not platform.node() or platform.node() not in found.split())


def test_a_benchmark_without_its_data_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    assert bench.run("refiners") is None
    assert "refiners: left out, there is no data/distilled/mobilenet" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [1, 3])
def test_masks_that_are_scored_have_the_mean_iou_of_their_counts(classes: int) -> None:
    (_, one), (_, other) = (evaluation.measure(work, 6, classes) for work in (evaluation.score, evaluation.count))
    assert one == pytest.approx(other) and 0.5 < one < 1


def test_the_plain_loop_trains_what_ours_trains() -> None:
    torch.manual_seed(0)
    network = choices.load("backbones", "resnet").build("small", training.CLASSES, "random")
    recipe = training.Recipe.model_construct(**training.OBJECTIVE)
    batches = [(torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3]))] * 2
    plain = training.train_plainly(training.Plain(network), batches)
    assert training.train_here(copy.deepcopy(network), batches, recipe) == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("recipe", [*system3.MASKS, system3.SUPERVISED])
@pytest.mark.parametrize("network", system3.NETWORKS)
def test_presets_of_system_3_lie_over_the_parameters_of_a_run(recipe: str, network: str, tmp_path: Path) -> None:
    project = system3.Project(tmp_path, closure.ROOT / "params.yaml", "mobilenet", tmp_path)
    names = [*([system3.MASKS[recipe]] if recipe in system3.MASKS else []), *system3.NETWORKS[network]]
    lines = [line for name in names for line in system3.overrides(name)]
    path = project.write_params(*lines, "train_segmenter.epochs=5", "train_segmenter.weights=random")
    found = project.params(system3.train_segmenter, path)
    assert (found.segmenter.name, found.variant, found.epochs) == (network, "mobilenetv2_100_same", 5)
    assert len(lines) > 8 and project.params(system3.refine_masks, path)


def test_a_table_of_system_3_shows_means_over_the_seeds(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rows = [("slic", "unet", 5, seed, 2, miou, 0.5) for seed, miou in enumerate((0.6, 0.7))]
    table = pd.DataFrame(rows, columns=["recipe", "network", "epochs", "seed", "images", "miou", "published"])
    table.to_csv(tmp_path / "table.csv", index=False)
    system3.show(argparse.Namespace(table=tmp_path / "table.csv"))
    assert "| slic | unet | 65.0 / 50.0 (± 0.0, 2 seeds) |\n" in capsys.readouterr().out
