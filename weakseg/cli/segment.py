"""`weakseg segment`: masks and overlays of image files from a trained segmenter."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add(subparsers: Any) -> None:
    """Register the command and its arguments."""
    parser = subparsers.add_parser("segment", help=__doc__.split(": ", 1)[1])
    parser.add_argument("--image", type=Path, nargs="+", required=True, metavar="FILE", help="image files")
    parser.add_argument(
        "--model", type=Path, required=True, metavar="PATH", help="models/segmenter, or one of its files"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for <name>.mask.png and <name>.png"
    )
    parser.add_argument("--size", type=int, help="pixels, side the network sees; default: the one it was saved with")


def run(args: argparse.Namespace) -> None:
    """Write <name>.mask.png (class ids), as large as the image, and <name>.png (overlay, reduced where the image was).

    UserError: no model, unreadable image.
    """
    import cv2

    from weakseg.artifacts.formats import image_files, zips
    from weakseg.errors import UserError
    from weakseg.figures.drawing import pictures
    from weakseg.harness import device, files
    from weakseg.networks.segmentation import predict, saved_segmenter

    stems = [path.stem for path in args.image]
    if len(set(stems)) < len(stems):
        raise UserError("two of the images have the same name: segment them into different folders")
    path = saved_segmenter.rounds(args.model)[-1] if args.model.is_dir() else args.model
    segmenter, header = saved_segmenter.load(path)
    segmenter.to(device.pick())
    size = args.size or header.test_size
    for file in args.image:
        picture = image_files.decode(files.existing(file).read_bytes(), file.name)
        mask = predict.mask(segmenter, picture.pixels, size, header.copies)
        whole = cv2.resize(mask, picture.shape[::-1], interpolation=cv2.INTER_NEAREST)
        zips.save_png(args.out / f"{file.stem}.mask.png", whole)
        zips.save_png(args.out / f"{file.stem}.png", pictures.draw_mask(picture.pixels, mask))
        found = [name for number, name in enumerate(header.classes, 1) if (mask == number).any()]
        print(f"{file}: {(mask > 0).mean():.1%} foreground ({', '.join(found) or 'nothing found'})")
        for note in picture.notes:
            print(f"{file}: {note}")
