"""What the drawing is held to, in dvc.yaml as it is written and in a run."""

WEAK = ("train_classifier", "train_crm", "generate_cams", "distill_cams", "refine_masks", "train_segmenter")
MOST_METRICS = 6  # of an evaluation
