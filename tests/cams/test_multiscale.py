"""Copies of a batch and the mean of their maps."""

from __future__ import annotations

import torch

from weakseg.cams import multiscale


def test_sizes_and_order_of_the_copies():
    images = torch.rand(2, 3, 8, 6)
    copies = list(multiscale.scale_and_mirror(images, [1.0, 0.5, 2.0], True))
    assert [tuple(copy.shape[-2:]) for copy, _ in copies] == [(8, 6), (8, 6), (4, 3), (4, 3), (16, 12), (16, 12)]
    assert [mirrored for _, mirrored in copies] == [False, True] * 3
    assert copies[0][0] is images
    torch.testing.assert_close(copies[1][0], images.flip(-1))


def test_the_mean_turns_mirror_images_back():
    """Maps that are the image's own first channel: their mean over both mirror images is that channel."""
    images, mean = torch.rand(2, 3, 8, 6), multiscale.Mean()
    for copy, mirrored in multiscale.scale_and_mirror(images, [1.0], True):
        mean.add([copy[:, :1]], mirrored)
    torch.testing.assert_close(mean.result()[0], images[:, :1])


def test_the_mean_lies_on_the_grid_of_the_first():
    mean = multiscale.Mean()
    mean.add([torch.full((1, 4, 4), -2.0), torch.zeros(2, 2)], False)
    mean.add([torch.full((1, 8, 8), 4.0), torch.ones(2, 2)], True)
    maps, others = mean.result()
    torch.testing.assert_close(maps, torch.ones(1, 4, 4))
    torch.testing.assert_close(others, torch.full((2, 2), 0.5))
