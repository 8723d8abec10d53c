"""Numbers of a run that its program is given, so that runs which differ in them alone share it.

A program may take minutes to compile, and is found again by its text. A constant makes another
text, so a study of three seeds would compile each of its models three times. What the text does not
need is therefore an argument: these numbers, and the learning rate, which changes with each step.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, UInt32

from vitctl.optim.config import OptimConfig
from vitctl.train.config import TrainConfig

# Purposes of randomness inside the step; the weights take the seed's key itself.
_MIXUP = 1


class RunNumbers(NamedTuple):
    """The same at each step of a run; arrays on the host or on devices, or their shapes.

    mixup      uint32[k], the data of the key that weights of mixup are drawn by
    wd_head    float32[], `optim.wd_head`
    wd_body    float32[], `optim.wd_body`
    """

    mixup: Any
    wd_head: Any
    wd_body: Any


def of(cfg: TrainConfig) -> RunNumbers:
    """Those of a run, on the host."""
    return RunNumbers(
        mixup=np.asarray(_mixup_data(cfg.seed)),
        wd_head=np.asarray(cfg.optim.wd_head, np.float32),
        wd_body=np.asarray(cfg.optim.wd_body, np.float32),
    )


def shapes() -> RunNumbers:
    """Shapes and types; nothing is allocated."""
    number = jax.ShapeDtypeStruct((), np.float32)
    return RunNumbers(jax.eval_shape(lambda: _mixup_data(0)), wd_head=number, wd_body=number)


def in_program(optim: OptimConfig) -> OptimConfig:
    """What the text of a program depends on: of a decay whether there is any."""
    return optim.model_copy(
        update={"wd_head": float(optim.wd_head > 0), "wd_body": float(optim.wd_body > 0)}
    )


def mixup_key(
    data: UInt32[Array, " k"] | UInt32[np.ndarray, " k"], index: int | Int[Array, ""]
) -> PRNGKeyArray:
    """The key of the weight that the update after `index` finished ones mixes its batch by; `data`
    is `RunNumbers.mixup`."""
    return jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(data)), index)


def _mixup_data(seed: int) -> UInt32[Array, " k"]:
    return jax.random.key_data(jax.random.fold_in(jax.random.key(seed), _MIXUP))
