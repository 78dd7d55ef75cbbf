"""Sides of images that networks take."""

from __future__ import annotations

import pytest

from weakseg.errors import UserError
from weakseg.networks.image_sizes import ImageSizes


@pytest.mark.parametrize(
    ("sizes", "shape", "message"),
    [
        (ImageSizes(32), (31, 96), "31x96 pixels are smaller than the network's stride of 32: use .* at least 32"),
        (ImageSizes(16, multiple=16), (96, 100), "96x100 pixels do not suit this network: use .* a multiple of 16"),
        (ImageSizes(32, only=224), (224, 256), "224x256 pixels .* one size alone: use an image size of 224"),
    ],
)
def test_other_sizes_are_refused(sizes: ImageSizes, shape: tuple[int, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        sizes.check(*shape)
    sizes.check(sizes.example(), sizes.example())


def test_any_other_size_is_taken() -> None:
    ImageSizes(32).check(33, 500)
    ImageSizes(14, multiple=14).check(14, 140)
