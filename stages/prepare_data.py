"""Bring any dataset into the normal form: images and labels one way, ground truth another.

reads   the raw archives
writes  images, labels.csv; truth/masks, truth/boxes.csv, truth/parts.csv
scores  images of each split, classes, images without mask or box
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from weakseg.artifacts.truth import counts
from weakseg.data.sources.normal_form import Selection, Split
from weakseg.harness import files
from weakseg.harness.choices import Choice
from weakseg.harness.params import Of, StageParams
from weakseg.harness.stage import Outcome, run


class Params(StageParams):
    data: Annotated[Choice, Of("datasets", "prepare")]
    images_per_class: int = Field(ge=0)  # of each split; 0 = all
    split: Split  # official, or random: as if the dataset named no test or validation images
    split_seed: int  # of a random split
    test_share: float = Field(ge=0, lt=1)  # of the training images, where the dataset names no test images
    val_share: float = Field(ge=0, lt=1)  # of the training images, where the dataset names no validation images

    @model_validator(mode="after")
    def a_random_split_has_test_images(self) -> Params:
        """They are a share of all images, and none by default."""
        if self.split == "random" and self.test_share == 0:
            raise ValueError("split random needs a test_share above 0, such as 0.3")
        return self


def main(params: Params, *, raw: Path, images: Path, labels: Path, masks: Path, boxes: Path, parts: Path) -> Outcome:
    selection = Selection(params.images_per_class, params.test_share, params.val_share, params.split, params.split_seed)
    with files.together(images, labels, masks, boxes, parts) as (new_images, new_labels, *truth):
        params.data(raw, new_images, new_labels, selection)
        params.data.module.prepare_truth(raw, new_labels, *truth)
        scores = counts(new_labels, truth[0], truth[1])
    return Outcome(scores=scores)


if __name__ == "__main__":
    run(main, torch=False)
