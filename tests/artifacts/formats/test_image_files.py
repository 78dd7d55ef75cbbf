"""Image files of every kind: what each becomes, the same pixels by every way, one sentence for damage."""

from __future__ import annotations

import io
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from weakseg.artifacts.formats import image_files
from weakseg.artifacts.formats.image_files import ALPHA, DEPTH, LARGE, PAGES, decode, decode_pixels
from weakseg.errors import UserError

PIXELS = np.random.default_rng(0).integers(0, 256, (18, 25, 3), dtype=np.uint8)
GRAY = PIXELS[..., 0].copy()
GRAY[0, :2] = 0, 255


JPEGS = [
    {}, {"progressive": True}, {"optimize": True}, {"quality": 30}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:2"},
    {"restart_marker_blocks": 1}, {"keep_rgb": True},
]  # fmt: skip


def file(image: Image.Image | np.ndarray, kind: str = "PNG", **options) -> bytes:
    """An image as a file of some kind."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def by_pillow(content: bytes) -> np.ndarray:
    """The upright RGB pixels as Pillow alone gives them."""
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


def rotated(orientation: int) -> Image.Exif:
    """EXIF data with an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (64, 48), (333, 211)])
def test_a_jpeg_has_the_pixels_that_pillow_gives_it(mode: str, options: dict, size: tuple[int, int]) -> None:
    image = Image.fromarray(PIXELS).resize(size).convert(mode)
    content = file(image, "JPEG", **options)
    assert np.array_equal(decode_pixels(content, "a"), by_pillow(content))


@pytest.mark.parametrize("orientation", range(1, 10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_images_are_turned_upright(kind: str, orientation: int) -> None:
    content = file(PIXELS, kind, exif=rotated(orientation))
    assert np.array_equal(decode_pixels(content, "a"), by_pillow(content))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr"])
def test_common_modes_are_those_of_pillow(mode: str) -> None:
    image = Image.fromarray(PIXELS).convert(mode)
    content = file(image, "TIFF" if mode in ("CMYK", "YCbCr") else "PNG")
    found = decode(content, "a")
    assert np.array_equal(found.pixels, by_pillow(content)) and found.notes == ()


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("scale", [(1, 0), (257, 0), (16, 300)])
def test_more_bits_are_scaled_from_the_lowest_to_the_highest_value(dtype: type, scale: tuple[int, int]) -> None:
    values = (GRAY.astype(np.int64) * scale[0] + scale[1]).astype(dtype)
    found = decode(file(values, "TIFF"), "a")
    assert np.array_equal(found.pixels, np.repeat(GRAY[..., None], 3, 2)) and found.notes == (DEPTH,)


def test_a_flat_image_of_many_bits_is_black() -> None:
    assert not decode_pixels(file(np.full((3, 4), 4000, np.uint16)), "a").any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(UserError, match=r"image 'x' cannot be read .it holds NaN or infinity.: replace or remove it"):
        decode(file(np.array([[0, value]], np.float32), "TIFF"), "x")


def test_transparency_is_laid_over_white() -> None:
    alpha = np.array([[0, 128, 255]], np.uint8)
    image = Image.fromarray(np.full((1, 3, 3), 100, np.uint8))
    image.putalpha(Image.fromarray(alpha))
    for kind, mode in (("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA")):
        found = decode(file(image.convert(mode), kind), "a")
        assert found.pixels[0, :, 0].tolist() == [255, 177, 100] and found.notes == (ALPHA,)


def test_a_transparent_color_is_white() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    for kind in ("GIF", "PNG"):
        assert decode_pixels(file(image, kind, transparency=1), "a").tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_of_several_pages_is_taken_and_told(kind: str) -> None:
    pages = [Image.fromarray(np.full((4, 5, 3), value, np.uint8)) for value in (50, 200)]
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(file(pages[0], kind, save_all=True, append_images=pages[1:], **options), "a")
    assert (found.pixels == 50).all() and PAGES in found.notes


@pytest.mark.parametrize("mode", ["RGB", "P", "I;16", "RGBA"])
@pytest.mark.parametrize(("side", "factor"), [(60, 1), (123, 2), (201, 4)])
def test_large_images_are_reduced_and_ids_with_them(
    monkeypatch: pytest.MonkeyPatch, mode: str, side: int, factor: int
) -> None:
    monkeypatch.setattr(image_files, "MOST_PIXELS", 80 * 80)
    ids = np.kron(np.arange(4, dtype=np.uint8).reshape(2, 2), np.ones((104, 104), np.uint8))[:side, :side]
    ids[:1, :1] = 3  # so that every side has the darkest and the brightest value
    image = Image.fromarray(ids * np.uint16(300)) if mode == "I;16" else Image.fromarray(ids * np.uint8(85))
    found = decode(file(image if mode == "I;16" else image.convert(mode)), "a")
    assert found.shape == (side, side)
    reduced, border = image_files.reduce_ids(ids), 104 // factor
    assert reduced.shape == (-(-side // factor),) * 2 and (LARGE in found.notes) == (factor > 1)
    inside = np.ones(reduced.shape, bool)
    inside[0, 0] = False
    inside[border - 1 : border + 1] = inside[:, border - 1 : border + 1] = False
    assert np.array_equal(found.pixels[inside], np.repeat(reduced[inside][:, None] * 85, 3, 1))


def test_a_large_jpeg_is_reduced_to_the_same_size_as_its_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    for shape in ((801, 1203), (1000, 999), (407, 4001)):
        image = Image.fromarray(PIXELS).resize(shape[::-1], Image.Resampling.BICUBIC)
        whole = by_pillow(file(image, "JPEG")).astype(float)
        with monkeypatch.context() as patched:
            patched.setattr(image_files, "MOST_PIXELS", 90_000)
            found = decode_pixels(file(image, "JPEG"), "a")
            assert found.shape[:2] == image_files.reduce_ids(np.zeros(shape, np.uint8)).shape
        assert abs(found.mean() - whole.mean()) < 1


MEASURE = """
import io, sys
from PIL import Image
from weakseg.artifacts.formats import image_files
Image.MAX_IMAGE_PIXELS = None
buffer = io.BytesIO()
Image.new(sys.argv[2], (12000, 12000)).save(buffer, sys.argv[1], compress_level=1)
Image.MAX_IMAGE_PIXELS = 89478485
assert image_files.decode_pixels(buffer.getvalue(), "a").shape == (3000, 3000, 3)
# Not getrusage: its peak begins with that of the process which started this one.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's peak")
@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "L"), ("PNG", "L"), ("PNG", "I;16")])
def test_twelve_thousand_pixels_a_side_take_bounded_memory(kind: str, mode: str) -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE, kind, mode], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_500_000, "KiB, the file that was made for it included"


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    content = bytearray(file(np.zeros((1, 1), np.uint8)))
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the header
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    with pytest.raises(UserError, match=r"image 'x' has more than 178,956,970 pixels: make it smaller or remove it"):
        decode(bytes(content), "x")


@pytest.mark.parametrize("content", [b"", b"no image", file(PIXELS, "JPEG")[:-40], file(PIXELS)[:200]])
def test_damaged_files_are_named(content: bytes) -> None:
    with pytest.raises(UserError, match=r"image 'x' cannot be read .*: replace or remove it"):
        decode(content, "x")


WHOLE = [
    *(file(PIXELS, kind) for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "PPM", "TGA", "ICO", "JPEG2000")),
    file(PIXELS, "JPEG", exif=rotated(6), progressive=True),
    file(PIXELS, "TIFF", compression="tiff_lzw"),
    file(GRAY.astype(np.uint16)),
    file(GRAY.astype(np.float32), "TIFF"),
    file(Image.fromarray(PIXELS).convert("P"), "GIF", save_all=True, append_images=[Image.fromarray(PIXELS)]),
]


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    content=st.sampled_from(WHOLE),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    early=st.booleans(),
    kept=st.floats(0, 1),
    whole=st.booleans(),
)
def test_any_bytes_give_an_image_or_one_sentence(
    content: bytes, edits: list[tuple[float, int]], early: bool, kept: float, whole: bool
) -> None:
    changed = bytearray(content)
    for place, value in edits:
        changed[int(place * (min(len(changed), 120) if early else len(changed)))] = value
    try:
        pixels = decode_pixels(bytes(changed if whole else changed[: int(kept * len(changed))]), "x")
    except UserError as error:
        assert str(error).startswith("image 'x' ") and "\n" not in str(error)
    else:
        assert pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8 and pixels.size
