"""The prepare_data stage: all outputs or none, counts, memory flat in the number of images."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from stages import prepare_data
from tests.contents import content
from tests.raw_archives import mask, outputs, picture, zipped
from weakseg.artifacts.formats import labels
from weakseg.data.sources import normal_form
from weakseg.data.sources.normal_form import Listed
from weakseg.errors import UserError


@pytest.fixture
def load(stage_params: Callable) -> Callable[..., prepare_data.Params]:
    """Parameters for the data set of one's own images."""
    return partial(stage_params, prepare_data, others={"data": "folder"}, **{"test_share": 0.2, "val_share": 0.25})


def raw(folder: Path, **changes: bytes) -> Path:
    """Ten images of two labels, one with a mask."""
    files = {f"images/{label}/{n}.jpg": picture() for label in ("cat", "dog") for n in range(5)}
    files |= {"masks/cat/0.png": mask([[0, 1, 1] * 4] * 8)}
    zipped(folder / "raw" / "folder.zip", files | changes)
    return folder / "raw"


def test_outputs_and_scores(tmp_path: Path, load: Callable) -> None:
    paths = outputs(tmp_path / "out")
    scores = prepare_data.main(load(), raw=raw(tmp_path), **paths).scores
    assert scores == {
        "images": 10,
        "images_train": 6,
        "images_val": 2,
        "images_test": 2,
        "classes": 2,
        "images_without_mask": 9,
        "images_without_box": 9,
    }
    before = {name: content(path) for name, path in paths.items()}
    prepare_data.main(load(), raw=tmp_path / "raw", **paths)
    assert before == {name: content(path) for name, path in paths.items()}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks/cat/1.png": mask([[0, 1]])}, "mask of image 'cat_1' is 2x1, its image 12x8"),
        ({"images/dog/9.jpg": b"no image"}, "image 'dog_9' cannot be read"),
        ({"../out.jpg": picture()}, "escapes its folder"),
    ],
)
def test_failure_leaves_every_previous_output(
    tmp_path: Path, load: Callable, changes: dict[str, bytes], message: str
) -> None:
    paths = outputs(tmp_path / "out")
    prepare_data.main(load(), raw=raw(tmp_path), **paths)
    before = content(tmp_path / "out")
    with pytest.raises(UserError, match=message):
        prepare_data.main(load(), raw=raw(tmp_path, **changes), **paths)
    assert before == content(tmp_path / "out")


def test_bad_parameters(load: Callable) -> None:
    with pytest.raises(UserError, match=r"prepare_data.val_share is 1.0.*") as error:
        load(val_share=1.0, images_per_class=-1, extra=3)
    assert "images_per_class is -1" in str(error.value) and "extra is unknown" in str(error.value)


def test_a_random_split_needs_a_test_share(load: Callable) -> None:
    with pytest.raises(UserError, match="split random needs a test_share above 0"):
        load(split="random", test_share=0.0)


def test_truth_follows_a_random_split(tmp_path: Path, load: Callable) -> None:
    """The same images and masks, whichever split an image falls into; another seed, other test images."""
    found = {}
    for seed in (0, 1):
        paths = outputs(tmp_path / str(seed))
        params = load(split="random", split_seed=seed, test_share=0.4)
        scores = prepare_data.main(params, raw=raw(tmp_path), **paths).scores
        assert (scores["images"], scores["images_test"], scores["images_without_mask"]) == (10, 4, 9)
        found[seed] = labels.load_labels(paths["labels"])["split"], content(paths["images"]), content(paths["masks"])
    assert found[0][1] == found[1][1] and found[0][2] == found[1][2]
    assert not found[0][0].equals(found[1][0])


def test_memory_is_flat_in_the_number_of_images(tmp_path: Path) -> None:
    image, peaks = picture(64, 64) + bytes(50_000), []
    for count in (20, 200):
        rows = [Listed(f"{n:04d}", "train", ("cat",), f"{n}.jpg") for n in range(count)]
        tracemalloc.start()
        normal_form.write_images(rows, lambda entry: bytes(image), tmp_path / "images", tmp_path / "labels.csv")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 10 * len(image)
    assert isinstance(labels.load_labels(tmp_path / "labels.csv"), pd.DataFrame)
