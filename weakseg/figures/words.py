"""Names and numbers as the reader of the report sees them."""

from __future__ import annotations

Value = str | int | float | None

DASH = "–"
STEPS = {
    "all_background": "All background",
    "all_foreground": "All foreground",
    "center_gaussian": "Gaussian in the center",
    "seed": "Activation map",
    "seed_oracle": "Activation map, oracle threshold",
    "distilled": "Distilled map",
    "distilled_oracle": "Distilled map, oracle threshold",
    "refined": "Refined mask",
    "pseudomasks": "Pseudo-mask with ignored pixels",
    "control": "Control: same network, true masks",
}
WORDS = {
    "miou": "mIoU", "iou": "IoU", "f1": "F1", "ap": "AP", "erf": "ERF", "pxap": "PxAP", "v2": "V2", "psnr": "PSNR",
    "crm": "CRM", "cams": "CAMs", "flops": "FLOPs", "road": "ROAD", "ssim": "SSIM", "r2": "R²",
}  # fmt: skip
PHRASES = {"max_box_acc_v2": "MaxBoxAccV2", "max_box_acc": "MaxBoxAcc"}
TINY, HUGE = 0.0005, 1e6  # beyond these, numbers are written with an exponent


def name_key(key: str) -> str:
    """A metric, a column or a stage in words."""
    for phrase, words in PHRASES.items():
        key = key.replace(phrase, words)
    return " ".join(WORDS.get(part, part) for part in key.split("_"))


def name_step(step: str) -> str:
    """A step of the chain of masks in words; roundN is the segmenter after that round."""
    number = step.removeprefix("round")
    return f"Segmenter, round {number}" if number.isdigit() else STEPS.get(step, name_key(step))


def is_number(value: object) -> bool:
    """Whether a value is a number, NaN being none."""
    return isinstance(value, int | float) and value == value


def write_number(value: Value) -> str:
    """A value as text: counts whole, other numbers with three decimals, None and NaN as a dash.

    A float from 2 on without a fraction is a count too: a CSV column of floats cannot tell.
    """
    if value is None or value != value:
        return DASH
    if isinstance(value, str):
        return value
    if isinstance(value, int) or (2 <= abs(value) < HUGE and value.is_integer()):
        return f"{value:,.0f}"
    return f"{value:.2e}" if value and not TINY <= abs(value) < HUGE else f"{value:,.3f}"


def write_range(low: Value, high: Value) -> str:
    """An interval of fractions as percent, a dash without one."""
    return f"{write_percent(low).removesuffix(' %')} to {write_percent(high)}" if is_number(low) else DASH


def write_percent(value: Value) -> str:
    """A fraction as percent with one decimal, anything else as a dash."""
    return f"{100 * float(value):.1f} %" if value is not None and is_number(value) else DASH
