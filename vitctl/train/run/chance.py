"""Whether a model is no better than the frequencies of classes: training that has not begun.

Who always answers with the frequencies p of the classes pays the loss

    softmax  -sum p ln p                        (ln C where all C classes are as frequent)
    sigmoid  -sum p ln p + (1 - p) ln(1 - p)

and is right as often as the most frequent class occurs.
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from vitctl.artifacts.artifact import Artifact
from vitctl.artifacts.kinds import CHECKPOINT
from vitctl.data.image_source import ImageSource
from vitctl.errors import OutOfReachError, VitctlError
from vitctl.model.config import Loss
from vitctl.text.quantities import shown_digits
from vitctl.train.config import TrainConfig
from vitctl.train.image_source import image_source

# A loss this little below that of the frequencies, and a top-1 this many standard errors above, say
# nothing of the images was learned.
_LOSS_SHARE, _ERRORS = 0.98, 2.0
_TELLING = 0.05
"""Where always naming one class gets all images right as often as this, scores tell nothing."""
_MOST_LABELS = 50_000_000
"""Of larger splits the labels (4 bytes each) are not read for this."""


def priors(loss: Loss, labels: NDArray[np.int32], *, classes: int) -> tuple[float, float]:
    """(loss, top-1) of the frequencies of the classes in int32[n, l] `labels`, -1 being none."""
    counted = labels[(labels >= 0).any(axis=1)]
    known = counted >= 0
    each = known.sum(axis=1, keepdims=True)
    images = max(1, len(counted))
    flat, rows = counted[known], np.broadcast_to(1 / each, counted.shape)[known]
    occurs = np.bincount(flat, minlength=classes) / images
    match loss:
        case "sigmoid":
            least = _nats(occurs) + _nats(1 - occurs)
        case "softmax":
            least = _nats(np.bincount(flat, rows, minlength=classes) / images)
        case _:
            assert_never(loss)
    return least, float(occurs.max())


def _nats(shares: NDArray[np.float64]) -> float:
    present = shares[shares > 0]
    return -float((present * np.log(present)).sum())


def sentence(checkpoint: Artifact, cfg: TrainConfig, dataset: Artifact | None) -> str | None:
    """A caution if the checkpoint's held-out scores, or without them its training loss, are those
    of chance; None otherwise, and for synthetic images."""
    if dataset is None:
        return None
    try:
        return _sentence(checkpoint, cfg, image_source(cfg, dataset))
    except (VitctlError, OutOfReachError):  # the run is finished, and was good
        return None


def _sentence(checkpoint: Artifact, cfg: TrainConfig, source: ImageSource) -> str | None:
    summary = CHECKPOINT.summary(checkpoint)
    scores = summary.eval
    if scores is None and (cfg.label_smoothing or cfg.class_balance is not None):
        return None  # the training loss is another one than that of the frequencies
    split = cfg.data.split if scores is None else cfg.data.eval_split
    loss = summary.loss if scores is None else scores.loss
    if split is None or loss is None or source.info.examples(split) > _MOST_LABELS:
        return None
    least, share = priors(cfg.loss, np.asarray(source.labels(split)), classes=cfg.model.classes)
    if loss < _LOSS_SHARE * least:
        return None
    numbers = (
        f"loss {shown_digits(loss, least=4)}, {shown_digits(least, least=4)} of the frequencies of "
        "classes alone"
    )
    if scores is not None:
        if share**scores.examples > _TELLING:
            return None
        error = math.sqrt(share * (1 - share) / max(1, scores.examples))
        if scores.top1 > share + _ERRORS * error:
            return None
        numbers = (
            f"top-1 {scores.top1:.1%}, {share:.1%} by always naming the most frequent class; "
            f"{numbers}"
        )
    warmup = cfg.schedule.warmup_steps
    still = f"; the warmup alone takes {warmup} steps" if 2 * warmup > summary.step else ""
    return (
        f"after {summary.step} steps the model is no better than chance ({split}: {numbers})"
        f"{still}. More --steps or another --lr may help, and `vitctl replay` shows what it sees"
    )
