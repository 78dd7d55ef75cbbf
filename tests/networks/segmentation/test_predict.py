"""Prediction over flips and scales, and what the command `weakseg segment` writes."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image
from torch import Tensor, nn

from tests.world import World
from tests.world_networks import tiny_classifier
from weakseg.artifacts.formats import image_files, zips
from weakseg.cli import segment
from weakseg.data.samples import Reader
from weakseg.errors import UserError
from weakseg.networks.segmentation import predict, saved_segmenter
from weakseg.networks.segmentation.predict import Copies
from weakseg.networks.segmentation.segmenter import Inputs, Segmenter
from weakseg.networks.segmenters import topdown


class Columns(nn.Module):
    """One logit that is the red channel, and one that grows from left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.reach = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        ramp = (self.reach * torch.linspace(-1, 1, images.shape[-1])).expand(len(images), 1, *images.shape[-2:])
        return torch.cat([images[:, :1], ramp], 1)


def columns(stride: int = 4) -> Segmenter:
    return Segmenter(nn.Identity(), nn.Sequential(Columns()), [], Inputs(stride, (0.0,) * 3, (1.0,) * 3)).eval()


def test_plain_prediction_is_the_softmax() -> None:
    images = torch.rand(2, 3, 16, 16)
    found = predict.probabilities(columns(), images, 16, Copies([1.0], False))
    torch.testing.assert_close(found, Columns()(images).softmax(1))


def test_flip_makes_the_prediction_of_a_mirrored_image_the_mirror_image() -> None:
    images = torch.rand(2, 3, 16, 16)
    found = predict.probabilities(columns(), images, 16, Copies([1.0], True))
    mirrored = predict.probabilities(columns(), images.flip(3), 16, Copies([1.0], True))
    torch.testing.assert_close(mirrored, found.flip(3))
    plain, other = (
        predict.probabilities(columns(), item, 16, Copies([1.0], False)) for item in (images, images.flip(3))
    )
    torch.testing.assert_close(found, (plain + other.flip(3)) / 2)


def test_scales_are_averaged_at_the_images_size() -> None:
    images = torch.full((1, 3, 20, 24), 0.5)
    found = predict.probabilities(columns(), images, 16, Copies([0.5, 1.0, 2.0], False))
    assert found.shape == (1, 2, 20, 24) and not found.requires_grad
    torch.testing.assert_close(found.sum(1), torch.ones(1, 20, 24))


@pytest.mark.parametrize(("size", "stride", "expected"), [(100, 32, 96), (120, 32, 128), (3, 32, 32), (96, 8, 96)])
def test_sizes_fit_the_stride(size: int, stride: int, expected: int) -> None:
    assert predict.fit_stride(size, stride) == expected


def test_mask_of_any_size() -> None:
    image = np.zeros((30, 50, 3), np.uint8)
    mask = predict.mask(columns(), image, 16, Copies([1.0], False))
    assert mask.shape == (30, 50) and mask.dtype == np.uint8
    assert (mask[:, :20] == 0).all() and (mask[:, 30:] == 1).all()


def test_stream_gives_every_image_once_in_order(tmp_path: Path) -> None:
    images = zips.Images(World().write(tmp_path, "images")["images"])
    reader = Reader(images, images.names(), 16, 3, "fp32")
    found = dict(predict.stream(columns(), reader, Copies([1.0, 1.5], False)))
    assert list(found) == images.names()
    assert all(probability.shape == (2, 24, 24) and probability.dtype == np.float32 for probability in found.values())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    header = saved_segmenter.Header("topdown", "fine", "mobilenet", "small", ["object"], 32, 32, [1.0], True)
    segmenter = topdown.build("fine", 2, "random", classifier=tiny_classifier())
    saved_segmenter.save(saved_segmenter.round_path(tmp_path / "model", 0), segmenter, header)
    return tmp_path / "model"


def command(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    segment.add(parser.add_subparsers())
    segment.run(parser.parse_args(["segment", *map(str, arguments)]))


def test_segment_writes_mask_and_overlay(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture) -> None:
    Image.fromarray(World().image("d")).resize((40, 28)).save(tmp_path / "cat.jpg")
    command("--image", tmp_path / "cat.jpg", "--model", model, "--out", tmp_path / "out")
    assert "% foreground" in capsys.readouterr().out
    mask = np.asarray(Image.open(tmp_path / "out" / "cat.mask.png"))
    assert mask.shape == (28, 40) and mask.dtype == np.uint8 and mask.max() <= 1
    assert np.asarray(Image.open(tmp_path / "out" / "cat.png")).shape == (28, 40, 3)


def test_the_mask_of_a_reduced_image_is_as_large_as_the_image(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_files, "MOST_PIXELS", 40 * 40)
    image, turned = Image.fromarray(World().image("d")).resize((57, 43)), Image.Exif()
    turned[ExifTags.Base.Orientation] = 6  # shown a quarter turn from how it lies in the file
    for name, options in (("lying", {}), ("upright", {"exif": turned})):
        image.save(tmp_path / f"{name}.jpg", **options)
    files = (tmp_path / "lying.jpg", tmp_path / "upright.jpg")
    command("--image", *files, "--model", model, "--out", tmp_path / "out")
    shapes = [np.asarray(Image.open(tmp_path / "out" / f"{file.stem}.mask.png")).shape for file in files]
    assert shapes == [(43, 57), (57, 43)]


def test_segment_refuses_what_it_cannot_read(tmp_path: Path, model: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    rest = ("--model", model, "--out", tmp_path / "out")
    for images, reason in (
        (["broken.jpg"], "broken.jpg"),
        (["absent.jpg"], "absent.jpg"),
        (["a/x", "b/x"], "same name"),
    ):
        with pytest.raises(UserError, match=reason):
            command("--image", *(tmp_path / name for name in images), *rest)
    with pytest.raises(UserError, match="holds no round"):
        command("--image", tmp_path / "broken.jpg", "--model", tmp_path, "--out", tmp_path)
