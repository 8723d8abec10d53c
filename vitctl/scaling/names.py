"""Names of choices in settings. Imports nothing heavy: command lines use them."""

from __future__ import annotations

from typing import Literal

Against = Literal[
    "auto",
    "none",
    "imagenet-finetune",
    "imagenet-10shot",
    "imagenet-5shot",
    "cifar100-10shot",
    "cifar100-5shot",
    "pets-10shot",
    "pets-5shot",
    "birds-10shot",
    "birds-5shot",
    "i21k-imagenet-10shot",
]
Form = Literal["saturating", "floor", "shift", "power"]
FormSetting = Literal["saturating", "floor", "shift", "power", "auto"]
"""`auto` is the form that, fitted to the cheap runs, predicts the expensive ones best."""
FormEvidence = Literal["held-out runs", "AICc"]
"""What a form was chosen by: the prediction of runs that the fit had not seen; or, of tables too
small for that, the small-sample AIC."""
FrontierRule = Literal["running-minimum", "hull", "all"]
Measure = Literal["error", "loss"]
"""What the law is of: an error rate, at most 1, or a loss without a ceiling."""
Parameter = Literal["a", "b", "c", "d"]
Resampling = Literal["rows", "seeds", "residuals"]
"""What is drawn: whole points; points, and of each its seeds; or the frontier's residuals."""
Space = Literal["error", "log"]
Unit = Literal["percent", "fraction", "none"]
"""Of the column that is fitted; `none` is a loss, which is no share of anything."""

FREE: dict[Form, tuple[Parameter, ...]] = {
    "saturating": ("a", "b", "c", "d"),
    "floor": ("a", "b", "c"),
    "shift": ("a", "b", "d"),
    "power": ("a", "b"),
}
"""Parameters that a form has; the others are zero."""
