"""check_params: every wrong parameter in one sentence, all of them at once, and the same bytes whenever all is well."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import stages
from stages import check_params
from tests.closure import ROOT
from tests.parameters import Exactly, changed, entries
from weakseg.errors import UserError
from weakseg.harness import checked_params, choices, stage

PARAMETERS, OUT = Path("params.yaml"), Path("data/params.checked")
ENTRY = {"backbone": "slak", "variant": "small", "weights": "random", "train": {}, "cams": {}, "distill": {}}
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"networks": {"mine": ENTRY | {"backbone": "slack"}}}, "networks.mine.backbone: unknown choice 'slack' for backb"),
    ({"networks": {"mine": {**ENTRY, "depth": 3}}}, "networks.mine.depth is unknown"),
    ({"networks": {"mine": {**ENTRY, "distill": None}}}, "networks.mine.distill is missing"),
    ({"networks": {"mine": {**ENTRY, "variant": 3}}}, "networks.mine.variant is 3: Input should be a valid string"),
    ({"networks": {"mine": ENTRY | {"train": {"epoch": 3}}}}, "networks.mine.train.epoch is unknown"),
    (
        {"networks": {"mine": ENTRY | {"cams": {"levels": 0}}}},
        "generate_cams.levels is 0: Input should be a valid",
    ),
    ({"networks": {"a/b": ENTRY}}, "networks.a/b becomes the name of files: use letters, digits, _ . and - alone"),
    (
        {"networks": {"mine": ENTRY | {"train": "frozen"}}},
        "networks.mine.train is 'frozen': write a mapping of what training wants different, or none",
    ),
    (
        {"networks": {"mine": ENTRY | {"train": "none"}}},
        "networks.mine.train is none, but weights is random: give a weight file with its head",
    ),
    (
        {"networks": {"mine": ENTRY | {"classes": "names.txt"}}},
        "networks.mine.classes names those of a weight file, but weights is random: give a weight file with its head",
    ),
    (
        {"networks": {"mine": ENTRY | {"train": "none", "weights": "pretrained"}}},
        "networks.mine.train is none, but nothing names the classes of the pretrained weights: give classes, a text",
    ),
    ({"networks": {"mine": ENTRY | {"cams": "none"}}}, "networks.mine.cams is 'none': write a mapping"),
    (
        {"networks": {"mine": ENTRY | {"weights": "a.pth", "classes": 3}}},
        "networks.mine.classes is 3: Input should be a valid string",
    ),
    ({"mask_network": "slack"}, "mask_network is 'slack': choose one of mobilenet, convnext, replknet"),
    ({"weights_from": "crn"}, "weights_from is 'crn'"),
    ({"seed": "zero"}, "seed is 'zero': Input should be a valid integer"),
    ({"data": "pets"}, "data: unknown choice 'pets' for datasets: choose one of coco, cub, folder, imagenette,"),
    ({"generate_cams": {"method": "gradcamq"}}, "generate_cams.method: unknown choice 'gradcamq' for methods: choose"),
    ({"generate_cams": {"options": {"grabcut": {}}}}, "generate_cams.options.grabcut is no choice of this section"),
    ({"refiners": {"grabcut": {"steps": 3}}}, "refiners.grabcut.steps is unknown (the options of grabcut are: certain"),
    ({"methods": {"gradcam": {"chunk": 3}}}, "methods.gradcam.chunk is unknown (the options of gradcam are: none)"),
    ({"methods": {"scorecam": {"chunk": "all"}}}, "methods.scorecam.chunk is 'all': Input should be a valid integer"),
    ({"methods": {"gradcam3": {}}}, "methods.gradcam3 is unknown"),
    ({"methods": {"pc1": None}}, "methods.pc1 is missing"),
    ({"train_segmenter": {"stepz": 3}}, "train_segmenter.stepz is unknown"),
    ({"train_segmenter": {"steps": "many"}}, "train_segmenter.steps is 'many': Input should be a valid integer"),
    ({"distill_cams": None}, "distill_cams is missing"),
    ({"destill_cams": {}}, "destill_cams is unknown"),
    (
        {"networks": {"mine": ENTRY | {"train": {"dice_weight": 0.1, "trainable_blocks": 0}}}},
        "train_classifier: dice_weight needs blocks that train: set trainable_blocks to -1 or more",
    ),
    ({"train_classifier": {"dice_rounds": 5}}, "train_classifier: dice_rounds needs the Dice term"),
    ({"features_from": "slack"}, "features_from is 'slack': choose one of mobilenet, convnext, replknet"),
    ({"features_from": None}, "features_from is 'None': choose one of mobilenet, convnext, replknet"),
    (
        {"features_from": "convnext"},
        "features_from is 'convnext', whose blocks train as those of mask_network 'mobilenet'",
    ),
    (
        {"mask_network": "convnext"},
        "features_from is 'mobilenet', whose blocks train as those of mask_network 'convnext'",
    ),
    (
        {"train_classifier": {"precision": "fp64"}},
        "train_classifier.precision is 'fp64': Input should be 'fp32', 'bf16",
    ),
    ({"generate_cams": {"precision": "half"}}, "generate_cams.precision is 'half': Input should be 'fp32', 'bf16', 'f"),
]


def check(whole: dict[str, Any]) -> bytes:
    """What the stage writes for these parameters."""
    PARAMETERS.write_text(yaml.safe_dump(whole, sort_keys=False))
    check_params.main(check_params.Params(), parameters=PARAMETERS, out=OUT)
    return OUT.read_bytes()


@pytest.fixture
def refused(workplace: Path) -> Callable[[dict[str, Any]], list[str]]:
    """The problems of these parameters, a line each."""

    def call(whole: dict[str, Any]) -> list[str]:
        with pytest.raises(UserError) as caught:
            check(whole)
        assert not OUT.exists()
        first, *problems = str(caught.value).split("\n  ")
        assert first == "mend params.yaml:"
        return problems

    return call


@pytest.mark.parametrize(("changes", "problem"), CHANGES, ids=[problem.split(" ")[0] for _, problem in CHANGES])
def test_a_wrong_parameter_is_one_sentence(changes: dict[str, Any], problem: str) -> None:
    problems = checked_params.check_all(changed(changes), stage.all_params(stages))
    assert any(line.startswith(problem) for line in problems), problems


def test_all_problems_are_named_at_once(refused: Callable) -> None:
    one_each = [CHANGES[number] for number in (0, 13, 14, 15, 17, 19, 24, 27)]
    whole = changed({})
    for changes, _ in one_each:
        whole |= {key: value if key not in whole else changed(changes)[key] for key, value in changes.items()}
    problems = refused(whole)
    assert len(problems) == len(set(problems)) == len(one_each)
    for _, problem in one_each:
        assert sum(line.startswith(problem) for line in problems) == 1, problems


def test_networks_that_are_none(refused: Callable) -> None:
    assert refused(changed({"networks": Exactly()})) == ["networks is empty: give it at least one entry"]


def test_boxes_of_distilled_maps_need_one_network(refused: Callable) -> None:
    distilled = {"evaluate_boxes": {"source": "distilled"}}
    needs = "evaluate_boxes.source distilled needs mobilenet, the mask_network, to be the only network"
    assert refused(changed(distilled)) == [needs]
    whole = changed(distilled | {"networks": entries("mobilenet"), "distill_cams": {"rules": "classes"}})
    assert refused(whole) == ["evaluate_boxes.source distilled needs distill_cams.rules foreground, not classes"]
    assert check(changed(distilled | {"networks": entries("mobilenet")}))


@pytest.mark.parametrize("train", ["none", {"trainable_blocks": 0}, {"epochs": 0}])
def test_features_come_from_any_network_whose_blocks_do_not_train(workplace: Path, train: Any) -> None:
    Path("mine.safetensors").touch()
    mine = ENTRY | {"weights": "mine.safetensors", "train": train}
    assert check(changed({"networks": {"mine": mine}, "features_from": "mine"}))


def test_a_name_given_twice(workplace: Path) -> None:
    text = (ROOT / "params.yaml").read_text()
    entry = next(line for line in text.splitlines() if line.startswith("  replknet:"))
    PARAMETERS.write_text(text.replace(entry, f"{entry}\n{entry}"))
    with pytest.raises(UserError, match=r"params.yaml is not valid YAML in line \d+: 'replknet' is given twice"):
        check_params.main(check_params.Params(), parameters=PARAMETERS, out=OUT)


def test_missing_files_are_named_all_at_once(refused: Callable) -> None:
    networks = {name: {"weights": f"{name}.safetensors"} for name in ("convnext", "replknet")}
    Path("replknet.safetensors").touch()
    others = {"download": {"source": "no/folder"}, "download_weights": {"perceptual": "vgg.pth"}}
    whole = changed({"networks": networks, **others})
    problems = refused(whole)
    assert [line.partition(" ")[0].rstrip(":") for line in problems] == [
        "networks.convnext.weights",
        "download.source",
        "download_weights.perceptual",
    ]


def test_a_file_of_the_chosen_data_set_is_asked_for(refused: Callable) -> None:
    options = {"datasets": {"voc2012": {"test_list": "Segmentation/val", "extra_masks": "no.zip"}}}
    assert refused(changed({"data": "voc2012", **options})) == [
        "datasets.voc2012.extra_masks is 'no.zip', which does not exist"
    ]


def test_a_class_list_is_read_before_anything_runs(refused: Callable) -> None:
    Path("mine.safetensors").touch()
    mine = ENTRY | {"weights": "mine.safetensors", "train": "none", "classes": "names.txt"}
    assert refused(changed({"networks": {"mine": mine}})) == [
        "networks.mine.classes is 'names.txt', which does not exist"
    ]
    for text, problem in (("a\na\n", "names 'a' twice"), ("a\n\nb\n", "has an empty line 2")):
        Path("names.txt").write_text(text)
        (found,) = refused(changed({"networks": {"mine": mine}}))
        assert found.startswith(f"networks.mine.classes: class list names.txt {problem}: write ")
    Path("names.txt").write_text("a\nb\n")
    assert check(changed({"networks": {"mine": mine}}))


def test_legal_parameters_give_the_same_bytes_whatever_they_are(workplace: Path) -> None:
    Path("mine.safetensors").touch()
    mine = ENTRY | {"weights": "mine.safetensors", "train": {"epochs": 3}, "cams": {"levels": [-1]}}
    changes = {"networks": {"mine": mine}, "mask_network": "mine", "features_from": "mine"}
    changes |= {"seed": 7, "generate_cams": {"method": "layercam"}}
    assert check(changed({})) == check(changed(changes)) != b""


def test_every_choice_of_every_folder_has_its_options(refused: Callable) -> None:
    folders = {"methods", "refiners", "thresholds"}
    missing = {f"{folder}.{name} is missing" for folder in folders for name in choices.names(folder)}
    assert missing <= set(refused(changed({folder: Exactly() for folder in folders})))


def test_it_imports_no_torch(workplace: Path) -> None:
    checked = workplace.resolve() / "checked"
    code = (
        "import atexit, runpy, sys; atexit.register(lambda: print('torch' in sys.modules));"
        f"sys.argv = ['check_params', '--parameters', 'params.yaml', '--out', '{checked}'];"
        "runpy.run_module('stages.check_params', run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=dict(os.environ), check=True, capture_output=True, text=True)
    assert found.stdout == "False\n" and checked.exists()
