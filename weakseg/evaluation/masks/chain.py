"""Which steps the chain of masks has, from activation map to segmenter, with their baselines and oracles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from weakseg.artifacts.formats import masks, zips
from weakseg.artifacts.truth import TrueMasks
from weakseg.evaluation.masks.class_maps import ClassMaps, find_oracle
from weakseg.evaluation.masks.recipe import ChainRecipe
from weakseg.evaluation.masks.steps import (
    CenterGaussian,
    ConstantMasks,
    SegmenterMasks,
    Step,
    StoredMasks,
    ThresholdedMaps,
)  # fmt: skip
from weakseg.networks.segmentation import saved_segmenter


@dataclass(frozen=True)
class Artifacts:
    """What the stages of the chain wrote."""

    images: zips.Images
    seed: ClassMaps
    distilled: ClassMaps
    refined: masks.Masks
    pseudomasks: masks.Masks
    segmenter: Path
    control: Path


@dataclass(frozen=True)
class Chain:
    """The steps of a run; only oracles look at the true masks, all others ask for the images' sizes alone."""

    truth: TrueMasks
    artifacts: Artifacts
    recipe: ChainRecipe

    @property
    def final(self) -> str:
        """Name of the step that all others lead to: the segmenter's last round."""
        return saved_segmenter.rounds(self.artifacts.segmenter)[-1].stem

    def count_classes(self) -> int:
        """How many kinds of foreground the segmenter tells apart."""
        return len(saved_segmenter.header(saved_segmenter.rounds(self.artifacts.segmenter)[-1]).classes)

    def name_foreground(self, image_id: str) -> int:
        """Mask id of all foreground of a baseline: 1, or of several classes the first of those that the maps are of.

        So a baseline is told as much of the classes as the maps are: the label, or on test images the best prediction.
        """
        if self.count_classes() == 1:
            return 1
        _, classes = self.artifacts.seed.read(image_id)
        return int(classes[0]) + 1 if len(classes) else 0

    def list_baselines(self) -> dict[str, Step]:
        """What needs no model at all."""
        return {
            "all_background": ConstantMasks(self.truth, lambda image_id: 0),
            "all_foreground": ConstantMasks(self.truth, self.name_foreground),
            "center_gaussian": CenterGaussian(self.truth, self.recipe.sigma, self.recipe.tails, self.name_foreground),
        }

    def list_networks(self) -> dict[str, Step]:
        """Each round of the segmenter, then the last round of the control."""
        files = {path.stem: path for path in saved_segmenter.rounds(self.artifacts.segmenter)}
        files["control"] = saved_segmenter.rounds(self.artifacts.control)[-1]
        way = self.recipe.batch_size, self.recipe.precision
        return {name: SegmenterMasks(self.truth, self.artifacts.images, path, *way) for name, path in files.items()}

    def list_trained(self) -> dict[str, Step]:
        """The steps of the chain, none of which needs a mask to decide anything, and the control."""
        return {
            "seed": ThresholdedMaps(self.truth, self.artifacts.seed, None, self.recipe.tails),
            "distilled": ThresholdedMaps(self.truth, self.artifacts.distilled, 0.0, self.recipe.tails),
            "refined": StoredMasks(self.artifacts.refined),
            "pseudomasks": StoredMasks(self.artifacts.pseudomasks),
            **self.list_networks(),
        }

    def list_all(self, ids: Sequence[str]) -> dict[str, Step]:
        """Baselines, then the chain, each kind of map followed by its oracle: the best threshold for these very images.

        An oracle is no result but the limit of thresholding.
        """
        steps = self.list_baselines()
        for name, step in self.list_trained().items():
            steps[name] = step
            if isinstance(step, ThresholdedMaps):
                threshold = find_oracle(self.truth, step.maps, ids)
                steps[f"{name}_oracle"] = ThresholdedMaps(self.truth, step.maps, threshold, step.tails)
        return steps
