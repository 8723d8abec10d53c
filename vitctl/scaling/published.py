"""The laws the paper prints: "Scaling Vision Transformers", figures 2, 4 and 9.

Compute is in TPUv3 core-days, error a fraction; coefficients are rounded to two decimals. `column`
is the name of the metric in examples/scaling, by which a table of the paper's points is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.scaling.laws import Law

DECIMALS = 2
COMPUTE_COLUMN = "tpuv3_core_days"


@dataclass(frozen=True)
class Published:
    """One printed law."""

    title: str
    law: Law
    column: str | None = None


PUBLISHED: dict[str, Published] = {
    "imagenet-finetune": Published("ImageNet fine-tune", Law(a=0.26, b=0.35, c=0.09, d=0.01)),
    "imagenet-10shot": Published("ImageNet 10-shot", Law(a=0.63, b=0.32, c=0.12, d=0.52), "inet10"),
    "imagenet-5shot": Published("ImageNet 5-shot", Law(a=0.68, b=0.32, c=0.14, d=0.67), "inet5"),
    "cifar100-10shot": Published(
        "CIFAR-100 10-shot", Law(a=0.48, b=0.21, c=0.06, d=0.03), "cifar10"
    ),
    "cifar100-5shot": Published("CIFAR-100 5-shot", Law(a=0.53, b=0.20, c=0.08, d=0.07), "cifar5"),
    "pets-10shot": Published("Pets 10-shot", Law(a=0.60, b=0.77, c=0.03, d=0.75), "pets10"),
    "pets-5shot": Published("Pets 5-shot", Law(a=0.72, b=0.72, c=0.04, d=0.97), "pets5"),
    "birds-10shot": Published("Birds 10-shot", Law(a=0.62, b=0.43, c=0.10, d=0.55)),
    "birds-5shot": Published("Birds 5-shot", Law(a=0.68, b=0.37, c=0.11, d=0.65)),
    "i21k-imagenet-10shot": Published(
        "ImageNet-21k, ImageNet 10-shot", Law(a=0.96, b=0.61, c=0.24, d=1.57), "inet10_error_pct"
    ),
}


def by_columns(*, compute: str, metric: str) -> str | None:
    """The name of the law whose points a table with these columns holds, if any."""
    if compute != COMPUTE_COLUMN:
        return None
    return next((name for name, one in PUBLISHED.items() if one.column == metric), None)
