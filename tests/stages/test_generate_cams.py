"""generate_cams on drawn squares: what is written, for which classes, and that a killed run goes on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages import generate_cams
from tests.contents import content
from tests.world import CLASSES, World
from tests.world_networks import TINY, save_classifier, tiny_classifier
from weakseg.artifacts import activations
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.labels import load_labels, save_labels
from weakseg.cams.extraction import Extractor
from weakseg.cams.methods import gradcampp
from weakseg.cams.view import look
from weakseg.data import samples
from weakseg.errors import UserError
from weakseg.networks import levels
from weakseg.networks.loading import saved_classifier

WORLD = World(train=4, val=0, test=2, folder="x/")
NETWORK = "convnext"  # an entry that wants nothing different
SMALL = {
    "image_size": 32,
    "batch_size": 4,
    "norm_level": -1,
    "feature_level": 1,
    "mirror": False,
    "relu": True,
    "feature_channels": 3,
    "projection_images": 2,
}


@pytest.fixture
def paths(workplace: Path) -> dict[str, Path]:
    """Images with one label, but for the second one with two; a classifier with random weights."""
    paths = WORLD.write(workplace, "images", "labels")
    relabel(paths["labels"], "x/b", ("green", "red"))
    return paths | {
        "classifier": save_classifier(Path("classifier.safetensors")),
        "out": Path("cams"),
        "known": Path("known"),
    }


@pytest.fixture
def run(paths: dict[str, Path], stage_params: Callable) -> Callable[..., dict[str, float]]:
    """The stage with changed fields; its scores."""

    def call(**changes: Any) -> dict[str, float]:
        return generate_cams.main(stage_params(generate_cams, NETWORK, **SMALL | changes), **paths).scores

    return call


def relabel(path: Path, name: str, labels: tuple[str, ...]) -> None:
    frame = load_labels(path)
    frame.at[name, "labels"] = labels
    save_labels(path, frame)


def test_writes_every_image_for_label_or_prediction(run: Callable, paths: dict[str, Path]) -> None:
    scores = run()
    cams = activations.Cams(paths["out"])
    assert cams.names() == WORLD.names
    assert scores == {"images": 6, "images_labeled": 4, "images_predicted": 2, "maps_per_image": pytest.approx(7 / 6)}
    assert [list(cams.cams(name).classes) for name in WORLD.split("train")] == [[0], [0, 1], [0], [1]]
    entry, network = cams.cams("x/b"), tiny_classifier()
    found = levels.outputs(network, torch.zeros(1, 3, 32, 32), {0, -1, 1})
    last, before, first = (tuple(found[levels.count_blocks(network, level)].shape[2:]) for level in (0, -1, 1))
    assert (entry.scores.shape, entry.norm.shape, entry.features.shape) == ((2, *last), before, (3, *first))


def test_scores_are_those_of_the_method(run: Callable, paths: dict[str, Path]) -> None:
    run()
    entry, network = activations.Cams(paths["out"]).cams("x/b"), tiny_classifier()
    dataset = samples.ImageSamples(zips.Images(paths["images"]), ["x/b"], 32, (network.mean, network.std))
    ((images, _),) = samples.batches(dataset, 1)
    expected = gradcampp.maps(look(network, images), torch.tensor([[0, 1]]))[0].numpy()
    np.testing.assert_allclose(entry.scores, expected, atol=2e-3 * expected.max())


def test_known_maps_are_those_of_the_labels_that_the_prediction_of_a_test_image_missed(
    run: Callable, paths: dict[str, Path]
) -> None:
    run()
    cams, test = activations.Cams(paths["out"]), WORLD.split("test")
    guesses = {name: int(cams.cams(name).classes[0]) for name in test}
    relabel(paths["labels"], test[0], (CLASSES[guesses[test[0]]],))
    relabel(paths["labels"], test[1], (CLASSES[1 - guesses[test[1]]],))
    before = content(paths["out"])
    run()
    known = activations.Cams(paths["known"])
    assert content(paths["out"]) == before, "a label of a test image changed what masks are made from"
    assert known.names() == [test[1]]
    entry, network = known.cams(test[1]), tiny_classifier()
    assert entry.classes.tolist() == [1 - guesses[test[1]]]
    dataset = samples.ImageSamples(zips.Images(paths["images"]), [test[1]], 32, (network.mean, network.std))
    ((images, _),) = samples.batches(dataset, 1)
    expected = gradcampp.maps(look(network, images), torch.tensor([entry.classes.tolist()]))[0].numpy()
    np.testing.assert_allclose(entry.scores, expected, atol=2e-3 * expected.max())


def test_images_that_show_no_class_have_no_map_and_unlabeled_ones_are_predicted(
    run: Callable, paths: dict[str, Path]
) -> None:
    first, second, third, _ = WORLD.split("train")
    frame = load_labels(paths["labels"])
    frame.at[first, "labels"] = frame.at[third, "labels"] = ()
    frame.at[third, "split"] = "unlabeled"
    save_labels(paths["labels"], frame)
    assert run()["images_predicted"] == 3
    cams = activations.Cams(paths["out"])
    assert [len(cams.cams(name).classes) for name in (first, second, third)] == [0, 2, 1]
    assert cams.cams(first).scores.shape == (0, *cams.cams(second).scores.shape[1:])


def test_background_classes_have_no_map_given_or_predicted(
    run: Callable, paths: dict[str, Path], stage_params: Callable
) -> None:
    run()
    guesses = {name: list(activations.Cams(paths["out"]).cams(name).classes) for name in WORLD.names}

    def declare(*names: str) -> dict[str, list[int]]:
        chosen = stage_params(generate_cams, NETWORK, others={"background_classes": list(names)}, **SMALL)
        generate_cams.main(chosen, **paths)
        return {name: list(activations.Cams(paths["out"]).cams(name).classes) for name in WORLD.names}

    assert declare("red") == {name: [k for k in classes if k != 1] for name, classes in guesses.items()}
    assert all(
        1 not in activations.Cams(paths["known"]).cams(name).classes
        for name in WORLD.split("test")
        if name in activations.Cams(paths["known"])
    )
    with pytest.raises(UserError, match="background_classes names 'blue': the classes are green, red"):
        declare("blue")
    with pytest.raises(UserError, match="background_classes names every class"):
        declare(*CLASSES)


def test_test_images_without_a_label_have_no_known_maps(run: Callable, paths: dict[str, Path]) -> None:
    for name in WORLD.split("test"):
        relabel(paths["labels"], name, ())
    run()
    assert activations.Cams(paths["known"]).names() == []


def test_known_maps_hold_all_labels_of_an_image_with_several(run: Callable, paths: dict[str, Path]) -> None:
    name = WORLD.split("test")[0]
    relabel(paths["labels"], name, ("green", "red"))
    run()
    assert name in activations.Cams(paths["known"]).names()
    assert activations.Cams(paths["known"]).cams(name).classes.tolist() == [0, 1]


def test_a_mirrored_set_gives_mirrored_maps(stage_params: Callable) -> None:
    """With `mirror`, an image's maps and those of its mirror image are mirror images."""
    changes = {"levels": [0, -1], "fusion": "max", "scales": [1.0, 0.5], "mirror": True, "predicted": "topk"}
    params = stage_params(generate_cams, NETWORK, **SMALL | changes)
    extract, images = Extractor(tiny_classifier(), params.method, params, None), torch.randn(2, 3, 64, 64)
    for one, other in zip(extract(images, [None, [1]]), extract(images.flip(-1), [None, [1]]), strict=True):
        np.testing.assert_array_equal(sorted(one.classes), sorted(other.classes))
        order = [list(other.classes).index(k) for k in one.classes]
        np.testing.assert_allclose(one.scores, other.scores[order][..., ::-1], atol=1e-5)
        np.testing.assert_allclose(one.norm, other.norm[..., ::-1], atol=1e-5)
        np.testing.assert_allclose(one.features, other.features[..., ::-1], atol=1e-5)


def test_a_killed_run_goes_on_and_gives_the_same_bytes(
    run: Callable, paths: dict[str, Path], monkeypatch: pytest.MonkeyPatch, forget: Callable
) -> None:
    run()
    whole, missed = (content(paths[name]) for name in ("out", "known"))
    shutil.rmtree(paths["out"])
    forget()
    calls = []

    def fails_on_second(self: Extractor, images: torch.Tensor, labels: list, names: list) -> list:
        calls.append(len(images))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, images, labels, names)

    original = Extractor.__call__
    monkeypatch.setattr(Extractor, "__call__", fails_on_second)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not paths["out"].exists()
    run()
    assert calls == [4, 2, 2, 1]  # the last is the test image whose label the prediction missed
    assert (content(paths["out"]), content(paths["known"])) == (whole, missed)
    run()
    assert calls == [4, 2, 2, 1], "what is kept is not computed again"
    assert (content(paths["out"]), content(paths["known"])) == (whole, missed)


def test_label_the_classifier_lacks(run: Callable, paths: dict[str, Path]) -> None:
    relabel(paths["labels"], "x/c", ("bird",))
    with pytest.raises(UserError, match="image 'x/c' has label 'bird'"):
        run()


def test_weights_with_nan_are_named(run: Callable, paths: dict[str, Path]) -> None:
    broken = tiny_classifier()
    broken.head.linear.weight.data[0, 0] = float("nan")
    saved_classifier.save(paths["classifier"], broken, TINY)
    with pytest.raises(UserError, match=r"weight 'head\.linear\.weight' holds NaN"):
        run()


def test_level_that_does_not_exist(run: Callable) -> None:
    with pytest.raises(UserError, match="level 70 does not exist: this classifier has levels 1 to"):
        run(levels=[70])


def test_an_entry_of_networks_may_want_other_levels(stage_params: Callable) -> None:
    others = {"networks": {NETWORK: {"cams": {"levels": [-1]}}}}
    assert stage_params(generate_cams, NETWORK, others=others).levels == [-1]
    with pytest.raises(UserError, match=r"networks\.convnext\.cams\.level is unknown"):
        stage_params(generate_cams, NETWORK, others={"networks": {NETWORK: {"cams": {"level": [-1]}}}})


def test_options_belong_to_the_method(stage_params: Callable) -> None:
    with pytest.raises(UserError, match=r"scorecam\.channel is unknown .*are: channels"):
        stage_params(generate_cams, NETWORK, method="scorecam", options={"scorecam": {"channel": 3}})
