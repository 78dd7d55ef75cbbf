"""Joint augmentation: images and maps go through the same window, by the generator alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.world import World
from weakseg.artifacts.formats import zips
from weakseg.artifacts.formats.masks import Masks
from weakseg.data import paired_samples
from weakseg.data.augment import Augmentation, augment, augment_images, draw, draw_windows, shape_windows
from weakseg.errors import UserError


def ranges(zoom_from: float, zoom_to: float, flip: bool, gain: float = 0.0, brightness: float = 0.0) -> Augmentation:
    return Augmentation(zoom_from=zoom_from, zoom_to=zoom_to, aspect=1.0, flip=flip, gain=gain, brightness=brightness)


STRONG = ranges(0.6, 1.3, True, 0.2, 0.1)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(count: int = 4, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose red is the mask's id over 10, in blocks of 4 pixels."""
    blocks = torch.arange(count * 16).reshape(count, 4, 4) % 10
    ids = blocks.repeat_interleave(side // 4, 1).repeat_interleave(side // 4, 2)
    return (ids / 10)[:, None].expand(-1, 3, -1, -1).contiguous(), ids.int()


def test_nothing_changes_nothing() -> None:
    images, ids = ramp()
    found, moved = augment(images, ids, 16, draw(ranges(1.0, 1.0, False), 4, generator()))
    torch.testing.assert_close(found, images)
    assert torch.equal(moved, ids) and moved.dtype == ids.dtype


def test_images_alone_get_the_same_draws() -> None:
    images, ids = ramp()
    draws = draw(STRONG, 4, generator(3))
    found, _ = augment(images, ids, 24, draws)
    assert torch.equal(augment_images(images, 24, draws), found)
    assert torch.equal(augment_images(images[1:3], 24, draws[1:3]), found[1:3])


def test_image_and_map_move_together() -> None:
    images, ids = ramp()
    found, moved = augment(images, ids, 32, draw(ranges(0.5, 0.9, True), 4, generator()))
    values = moved[:, None].float()
    inside = torch.nn.functional.max_pool2d(values, 9, 1, 4) == -torch.nn.functional.max_pool2d(-values, 9, 1, 4)
    inside[..., :4], inside[..., -4:], inside[..., :4, :], inside[..., -4:, :] = False, False, False, False
    assert inside.float().mean() > 0.05
    expected = (values / 10).expand(-1, 3, -1, -1)
    assert (found - expected)[inside.expand(-1, 3, -1, -1)].abs().max() < 1e-4


def test_flip_is_a_mirror_half_of_the_time() -> None:
    images, ids = ramp(200)
    flips = ranges(1.0, 1.0, True)
    found, moved = augment(images, ids, 16, draw(flips, 200, generator()))
    mirrored = torch.tensor([torch.equal(one, other.flip(1)) for one, other in zip(moved, ids, strict=True)])
    assert 60 < mirrored.sum() < 140
    torch.testing.assert_close(found[mirrored], images[mirrored].flip(3))
    torch.testing.assert_close(found[~mirrored], images[~mirrored])


def test_outside_is_ignored_and_large_ids_survive() -> None:
    images, ids = ramp()
    wide = ranges(2.0, 2.0, False)
    _, moved = augment(images, ids + 40000, 16, draw(wide, 4, generator()))
    outside = moved == 255
    assert outside.float().mean() == pytest.approx(0.75, abs=0.1) and (moved[~outside] >= 40000).all()


def test_same_generator_same_batch_and_range() -> None:
    images, ids = ramp()
    one, two, other = (augment(images, ids, 16, draw(STRONG, 4, generator(seed))) for seed in (1, 1, 2))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1]) and not torch.equal(one[0], other[0])
    assert one[0].min() >= 0 and one[0].max() <= 1


def test_windows_of_other_shapes_keep_their_area_and_stay_inside() -> None:
    plan = ranges(0.3, 1.0, True).model_copy(update={"aspect": 4 / 3})
    theta = draw_windows(plan, 4000, generator())
    width, height = theta[:, 0, 0].abs(), theta[:, 1, 1]
    area, ratio = (width * height).sqrt(), width / height
    assert 0.3 - 1e-6 <= area.min() < 0.32 and 0.98 < area.max() <= 1 + 1e-6
    assert 0.75 - 1e-5 <= ratio.min() < 0.76 and 1.32 < ratio.max() <= 4 / 3 + 1e-5
    assert abs(ratio[area < 0.8].log().mean()) < 0.02 and ratio[area < 0.8].log().std() > 0.15
    for side, shift in ((width, theta[:, 0, 2]), (height, theta[:, 1, 2])):
        assert (side + shift.abs() <= 1 + 1e-5).all()
    # the window is as wide as 1.2 high at most where its area is 1 / 1.2 of the image
    fitting = shape_windows(torch.tensor([(1 / 1.2) ** 0.5]), torch.tensor([4 / 3]))
    torch.testing.assert_close(fitting, torch.tensor([[1.0, 1 / 1.2]]))


def test_squares_draw_what_they_always_drew() -> None:
    square, same = (draw_windows(STRONG, 8, generator(), shapes) for shapes in (None, torch.ones(8)))
    assert torch.equal(square, same) and torch.equal(square[:, 0, 0].abs(), square[:, 1, 1])


def test_load_size_shows_windows_of_middle_zoom_pixel_for_pixel() -> None:
    assert ranges(0.5, 2.0, True).load_size(96) == 96
    assert ranges(0.64, 1.0, True).load_size(80) == 100


def test_pairs_are_read_together_and_epochs_are_fixed_by_seed(tmp_path: Path) -> None:
    world = World(train=6)
    paths, ids = world.write(tmp_path, "images", "masks"), world.split("train")
    masks = Masks(paths["masks"])
    dataset = paired_samples.PairedSamples(zips.Images(paths["images"]), masks.mask, ids, 16)
    image, mask, index = dataset[3]
    assert image.shape == (3, 16, 16) and image.dtype == torch.uint8 and index == 3
    assert mask.shape == (16, 16) and set(mask.unique().tolist()) == {0, 2, 255}
    assert image[0][mask == 2].float().mean() > 150 > image[0][mask == 0].float().mean()
    fours, pairs = (paired_samples.shuffled(dataset, many) for many in (4, 2))
    epochs = [list(paired_samples.Batches(fours, 16, STRONG, seed=seed, limit=9)) for seed in (0, 0, 1)]
    assert [len(epoch) for epoch in epochs] == [1, 1, 1], "a last, smaller batch is left out"
    assert all(torch.equal(one, two) for one, two in zip(epochs[0][0], epochs[1][0], strict=True))
    assert not torch.equal(epochs[0][0][0], epochs[2][0][0])
    assert len(paired_samples.Batches(pairs, 16, STRONG, seed=0, limit=2)) == 2


def test_map_of_another_size_is_named(tmp_path: Path) -> None:
    images = zips.Images(World().write(tmp_path, "images")["images"])
    dataset = paired_samples.PairedSamples(images, lambda name: np.zeros((8, 8), np.uint8), images.names(), 16)
    with pytest.raises(UserError, match="'a' is 40x32 and its map 8x8"):
        dataset[0]
