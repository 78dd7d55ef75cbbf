"""What the report says about each stage, and which of the stage's files it shows."""

from __future__ import annotations

from dataclasses import dataclass

from weakseg.figures.words import name_key


@dataclass(frozen=True)
class Topic:
    """What a section of one stage says, and which of its tables it shows.

    axis, curves: the column that curves are drawn over, and the columns drawn (all numeric ones where none is named).
    listed: the files that are shown row by row, each stage's only one or one a network. several: the text where the
    masks tell classes apart.
    """

    title: str
    text: str
    axis: str = ""
    curves: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    several: str = ""


TOPICS = {
    "evaluate_masks": Topic(
        "From activation map to mask",
        "Mean IoU of foreground and background over the whole set, at the images' own size, the undefined border left "
        "out. The published protocol counts the border as foreground, at a square size, averaged over batches. Over "
        "and under are false and missed foreground as a share of the union. Only the control was trained on true "
        "masks.",
        listed=("classes",),
        several="Mean IoU of the background and every class over the whole set, at the images' own size, the undefined "
        "border left out; mIoU of foreground counts all classes as one. Labels are known on training images and "
        "predicted on test images. Over and under are false and missed foreground as a share of the union. Only the "
        "control was trained on true masks.",
    ),
    "train_classifier": Topic("Training", "What the classifiers cost and how they converged.", "epoch"),
    "evaluate_classifier": Topic(
        "Classifiers",
        "Accuracy on each split, and how faithful the activation maps are to the classifier, measured without masks: "
        "lower is better for average drop and deletion, higher for increase, insertion and ROAD.",
    ),
    "train_crm": Topic(
        "Reconstruction",
        "Classifiers trained on so that their activation maps suffice to redraw the image.",
        "epoch",
    ),
    "distill_cams": Topic("Distillation", "Maps drawn again by a pixel classifier that learned from them.", "round"),
    "refine_masks": Topic(
        "Pseudo-masks",
        "Maps thresholded and refined in image space. The color in the middle of the scale is the threshold; what the "
        "superpixels would vote is shown beside the mask of the refiner that was chosen.",
    ),
    "train_segmenter": Topic("Segmenter", "Trained on the pseudo-masks alone.", "epoch"),
    "train_control": Topic(
        "Control", "The same network and schedule on true masks: what the masks would have bought.", "epoch"
    ),
    "evaluate_boxes": Topic(
        "Localization",
        "Boxes around the activation maps against true boxes, beside baselines that need no model. The map is that of "
        "the image's own label (GT-known), so that only the box can be wrong; Top-1 asks for the class too, and the "
        "map of the predicted class stands beside. Scores that choose their threshold on the test set are oracles by "
        "definition; the others carry it over or need none.",
        "threshold",
        ("box_acc", "top1_loc"),
        ("accuracy",),
    ),
    "measure_erf": Topic(
        "Effective receptive field",
        "How much of the image reaches the features, and the fewest pixels that hold a share of each image's class "
        "saliency.",
    ),
    "compare_erf": Topic(
        "Receptive field against localization",
        "Whether a wider field comes with better boxes.",
        listed=("networks", "images"),
    ),
}
CAPTIONS = {
    "evaluate_masks/worst": "The worst masks of the final segmenter, with the mean IoU of each image",
    "evaluate_masks/random": "Masks of images drawn at random, with the mean IoU of each image",
    "evaluate_masks/classes": "The overlap of each class",
    "refine_masks/superpixels": "Superpixels, their mean of the map, and the pseudo-mask",
    "compare_erf/scatter": "Networks on the left, their images on the right",
    "compare_erf/networks": "The networks side by side",
    "compare_erf/images": "The same within each network, image by image",
}


def name_item(stage: str, item: str) -> str:
    """The title of a picture or table."""
    return CAPTIONS.get(f"{stage}/{item}", name_key(item.replace("/", ": ")) or name_key(stage))
