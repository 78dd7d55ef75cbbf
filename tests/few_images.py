"""Any parameters on a few drawn images: sizes cut, files stood in for, every stage run in this process.

Stages that were run before with the same command, parameters and inputs are not run again, as DVC would not.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import shlex
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import networkx
import yaml
from dvc.repo import Repo
from dvc.stage import Stage
from dvc.utils.hydra import apply_overrides
from safetensors.torch import save_file

from tests import closure, drawn_archives
from weakseg.harness import choices, params, stage
from weakseg.networks.loading import from_timm
from weakseg.networks.loading.from_timm import Variant
from weakseg.networks.reconstruction import fixed_features

ARCHIVES = {
    "cub": drawn_archives.cub, "imagenette": drawn_archives.imagenette, "oxford_pets": drawn_archives.oxford_pets,
    "voc2012": drawn_archives.voc2012,
}  # fmt: skip

# Numbers of params.yaml by their own name, in whatever section they stand: none may be larger here.
MOST = {
    "batch_size": 4, "cells": 16, "central_images": 1, "central_size": 64, "channels": 4, "count": 20, "epochs": 1,
    "faithfulness_images": 1, "grid_size": 32, "head_batch_size": 8, "image_size": 64, "iterations": 1, "longest": 64,
    "pictures": 2, "pooled_images": 8, "projection_images": 4, "refine_images": 4,
    "refined_rounds": 1, "replicates": 20, "resamples": 50, "round_steps": 2, "rounds": 1, "saliency_images": 2,
    "saliency_size": 64, "square": 64, "steps": 2, "test_images": 6, "test_size": 64, "train_images": 18,
    "warmup_epochs": 0, "width": 8,
}  # fmt: skip

SMALLER = {  # variants of backbones
    "31B": "small", "31B_half": "small", "T": "small", "convnext_base": "small", "resnet50": "small",
    "resnet50_os16": "small", "standard": "small", "standard_relu": "small_relu",
    "vit_small_patch14_reg4_dinov2": "test_vit2",
}  # fmt: skip
SMALLER_ENCODER = {"resnet50": "mobilenetv2_050"}  # of segmenters, timm's
LEARNING_STEPS = 4  # of a segmenter that trains again on its own predictions
SCORED = 4  # images with a mask in a split


def cut(value: Any) -> Any:
    """The same parameters with no number larger than MOST."""
    if not isinstance(value, dict):
        return value
    return {key: min(inner, MOST[key]) if is_large(key, inner) else cut(inner) for key, inner in value.items()}


def spare(whole: dict[str, Any]) -> None:
    """Smaller networks of the same family, fewer images scored, and shares that let any rule and any mask go on.

    DeepLabV3 has no small network: DeepLabV3+ stands in for it. No walk on attention: where nothing was learned, every
    token looks at all others alike, and a step leaves a flat map.
    """
    for entry in whole["networks"].values():
        entry["variant"] = SMALLER.get(entry["variant"], entry["variant"])
    for name in ("distill_cams", "refine_masks"):
        whole[name] |= {"least_foreground": 0.0, "most_foreground": 1.0}
    whole["evaluate_masks"]["most_images"] = SCORED
    whole["generate_cams"]["affinity_steps"] = 0
    section = whole["train_segmenter"]
    if section["segmenter"] == "deeplabv3":
        section["segmenter"] = "deeplabv3plus"
    encoder = SMALLER_ENCODER.get(section["variant"], section["variant"])
    section |= {"image_size": 32, "test_size": 32, "variant": encoder}
    if section["rounds"]:
        section |= {"steps": LEARNING_STEPS, "balance": 1.0}


def is_large(name: str, value: Any) -> bool:
    """Whether a parameter has a limit here."""
    return name in MOST and type(value) is int


def override(path: Path, overrides: Iterable[str]) -> dict[str, Any]:
    """Write params.yaml with overrides laid over it as DVC does, and read it."""
    shutil.copy(closure.ROOT / "params.yaml", path)
    apply_overrides(str(path), list(overrides))
    return params.read(path)


def stand_in(whole: dict[str, Any], folder: Path) -> None:
    """Put drawn archives and random weights, written to `folder` once, in the place of what comes from elsewhere."""
    if whole["data"] in ARCHIVES:
        whole["download"]["source"] = str(once(folder / whole["data"], ARCHIVES[whole["data"]]))
    for entry in whole["networks"].values():
        if entry["weights"] != "random":
            entry["weights"] = str(network_file(folder, entry["backbone"], entry["variant"]))
    if whole["download_weights"]["perceptual"] != "none":
        whole["download_weights"]["perceptual"] = str(once(folder / "vgg19.safetensors", write_vgg19))
    if whole["train_segmenter"]["weights"] not in ("random", "classifier"):
        variant = whole["train_segmenter"]["variant"].removesuffix("_same")  # names the padding, not the weights
        whole["train_segmenter"]["weights"] = str(network_file(folder, "timm", variant))


def write(whole: dict[str, Any], folder: Path) -> None:
    """Write params.yaml, cut and with files of `folder` stood in, and dvc.yaml into the working folder."""
    small = cut(whole)
    spare(small)
    stand_in(small, folder)
    Path("params.yaml").write_text(yaml.safe_dump(small, sort_keys=False))
    write_drawing(Path("dvc.yaml"))


def leave_out(whole: dict[str, Any], spoken: str) -> None:
    """Take out the networks that give no mask and of which `spoken` does not speak: their run is that of any preset."""
    kept = [name for name in whole["networks"] if name == whole["mask_network"] or f"networks.{name}" in spoken]
    whole["networks"] = {name: whole["networks"][name] for name in kept}
    whole["compare_erf"]["fit"] = "images"


def once(path: Path, write: Callable[[Path], Any]) -> Path:
    """A path that is written where it does not exist yet."""
    if not path.exists():
        write(path)
    return path


def network_file(folder: Path, backbone: str, variant: str) -> Path:
    """Random weights of a network, under the names that its published files have."""

    def write(path: Path) -> None:
        built = choices.load("backbones", backbone)
        known = Variant(variant) if backbone == "timm" else built.VARIANTS[variant]
        made = from_timm.create_skeleton(known, 5) if isinstance(known, Variant) else built.build(variant, 5, "random")
        save_file({name: value.contiguous().clone() for name, value in made.state_dict().items()}, path)

    return once(folder / f"{backbone}-{variant.replace('/', '-')}.safetensors", write)


def write_vgg19(path: Path) -> None:
    """Random weights under the names of torchvision's file."""
    state = fixed_features.build_vgg19().state_dict()
    save_file({f"features.{name}": value for name, value in state.items()}, path)


def write_drawing(path: Path) -> None:
    """Write dvc.yaml without the code, which does not change here: no such dependency, nor the stage that lists it."""
    whole = closure.DVC_YAML.read_text().splitlines()
    first, last = whole.index("  hash_code:"), whole.index("  check_params:")
    kept = [line for line in whole[:first] + whole[last:] if not closure.is_code(line.strip().removeprefix("- "))]
    path.write_text("\n".join(kept) + "\n")


def order(folder: Path, targets: Iterable[str]) -> list[Stage]:
    """Stages that lead to the targets (all where there are none) of a folder's dvc.yaml, each after what it needs."""
    (folder / ".dvc").mkdir(exist_ok=True)
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    graph = Repo(str(folder)).index.graph
    wanted = tuple(targets)
    last = [item for item in graph if not wanted or item.addressing.partition("@")[0] in wanted]
    assert last, f"no stage is called {wanted}"
    return list(dict.fromkeys(node for item in last for node in networkx.dfs_postorder_nodes(graph, item)))


class Runner:
    """Runs stages in this process, and keeps what they wrote by command, parameters and inputs."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.digests: dict[tuple[int, int, int], str] = {}
        self.ran: list[str] = []

    def digest(self, path: Path) -> str:
        """Digest of a file or of a folder's files and names."""
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            text = "".join(f"{file.relative_to(path)} {self.digest(file)}\n" for file in files)
            return hashlib.sha256(text.encode()).hexdigest()
        facts = path.stat()
        known = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
        if known not in self.digests:
            self.digests[known] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.digests[known]

    def key(self, item: Stage, whole: dict[str, Any]) -> str:
        """Digest of all that a stage's outputs depend on."""
        names = [name for dep in item.deps for name in getattr(dep, "params", ())]
        values = [(name, value_of(whole, name)) for name in names]
        inputs = [(dep.def_path, self.digest(Path(dep.def_path))) for dep in item.deps if not hasattr(dep, "params")]
        return hashlib.sha256(repr((item.cmd, values, inputs)).encode()).hexdigest()

    def run(self, targets: Iterable[str]) -> None:
        """Run what leads to the targets, here: params.yaml and dvc.yaml stand in the working folder."""
        whole = params.read(Path("params.yaml"))
        for item in order(Path.cwd(), targets):
            kept = self.store / self.key(item, whole)
            outputs = [out.def_path for out in item.outs]
            if not kept.exists():
                self.ran.append(item.addressing)
                execute(item.cmd)
                for path in outputs:
                    link(Path(path), kept / path)
            else:
                for path in outputs:
                    link(kept / path, Path(path))


def value_of(whole: dict[str, Any], name: str) -> Any:
    """A parameter by its dotted name."""
    value: Any = whole
    for part in name.split("."):
        value = value[part]
    return value


def link(path: Path, to: Path) -> None:
    """A second name for a file, or for the files of a folder."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(path, to, copy_function=os.link)
    else:
        to.unlink(missing_ok=True)
        os.link(path, to)


def execute(command: str) -> None:
    """Run one stage's command without a process of its own; what it raises is the caller's."""
    python, flag, module, *rest = shlex.split(command)
    assert (python, flag) == ("python", "-m"), command
    main, name = importlib.import_module(module).main, module.rpartition(".")[2]
    stage.execute(main, stage.parser(main, name, None).parse_args(rest), name, torch=True)
