"""One image more costs one image in every stage that works image by image, and ends as a run from nothing does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages import compute_superpixels, distill_cams, generate_cams, refine_masks, train_classifier
from tests.contents import content
from tests.world import World
from tests.world_networks import save_classifier
from weakseg.harness.kept import Kept
from weakseg.networks.weight_files import fetch_weights

FEW, MORE = World(train=4, val=0, test=2, whole=True), World(train=4, val=0, test=3, whole=True)
NETWORK = "convnext"
BATCH = 2  # the seventh image is a batch of its own
SIZES = {"image_size": 32, "batch_size": BATCH}
CHANGES: dict[Any, dict[str, Any]] = {
    compute_superpixels: {"count": 20, "longest": 64},
    generate_cams: {**SIZES, "projection_images": 2, "norm_level": -1, "feature_level": 1},
    distill_cams: {
        **SIZES, "levels": [1], "refined_rounds": 0, "refiner": "threshold", "least_foreground": 0.0,
        "most_foreground": 1.0,
    },
    refine_masks: {"refiner": "grabcut", "second": "superpixel_vote", "options": {"grabcut": {"longest": 40}}},
    train_classifier: {**SIZES, "epochs": 1},
}  # fmt: skip
FLAGS = {
    compute_superpixels: ("images", "labels"),
    generate_cams: ("classifier", "images", "labels"),
    distill_cams: ("classifier", "cams", "images", "labels", "superpixels"),
    refine_masks: ("classifier", "cams", "images", "labels", "superpixels"),
    train_classifier: ("images", "labels", "weights"),
}
OUTPUTS = {
    compute_superpixels: ("out",),
    generate_cams: ("out", "known"),
    distill_cams: ("out",),
    refine_masks: ("refined", "out", "pictures"),
    train_classifier: ("out", "predictions", "checkpoints"),
}


@pytest.fixture
def run(workplace: Path, stage_params: Callable, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list]]:
    """A stage on a world; how many items it computed, and what it wrote."""
    save_classifier(Path("classifier"))
    fetch_weights.write_none(Path("weights.safetensors"), "random")
    added: list[bytes] = []
    add = Kept.add

    def counted(self: Kept, key: bytes, record: Any) -> None:
        added.extend([key] * (key not in self))
        add(self, key, record)

    monkeypatch.setattr(Kept, "add", counted)

    def call(stage: Any, world: World) -> tuple[int, list[bytes]]:
        paths = world.write(Path(), "images", "labels", "superpixels", "cams")
        paths |= {"classifier": Path("classifier"), "weights": Path("weights.safetensors")}
        named = {NETWORK} if stage not in (compute_superpixels, refine_masks) else set()
        outputs = {name: Path(f"written.{name}") for name in OUTPUTS[stage]}
        added.clear()
        stage.main(
            stage_params(stage, *named, **CHANGES[stage]), **{flag: paths[flag] for flag in FLAGS[stage]}, **outputs
        )
        return len(added), [content(path) for path in outputs.values()]

    return call


@pytest.mark.parametrize("stage", list(CHANGES), ids=lambda stage: stage.__name__.rpartition(".")[2])
def test_one_more_image_costs_one(run: Callable, stage: Any, forget: Callable) -> None:
    first, _ = run(stage, FEW)
    assert first >= len(FEW.names)
    more, written = run(stage, MORE)
    assert 1 <= more <= BATCH, "the image, and where its prediction misses its label, once more for that"
    assert run(stage, MORE) == (0, written)
    forget()
    assert run(stage, MORE)[1] == written
