"""How tokens become one vector: every head as a record, no array library.

A head is one or more poolings, whose vectors stand side by side in the order of the record. All
that follows is counted here or from here: tokens in front of the patches, features, parameters and
FLOPs. So a head of known poolings is a name, its `case` below and what other codebases call it
(`vitctl.interop.head_names`); a new pooling besides is computed in `vitctl.model.vit` and
`vitctl.interop.onnx_files`, and named in `vitctl.interop.torch_tensors`. Each place is a match that
mypy reports until it is answered; no field here has a default.

A head's memory is in no record: what it keeps for the backward pass is freed before that of the
last block begins, so that the peak of a step did not depend on the head (docs/log, 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

Head = Literal["map", "gap", "token", "distilled"]
Pooling = Literal["probe", "mean", "class_token", "distillation_token"]
"""probe: attention of one learned query to the patches, then an MLP (`layers.MapHead`). mean: of
the patches. class_token: the first token as it leaves the blocks. distillation_token: the second
(DeiT, https://arxiv.org/abs/2012.12877)."""


@dataclass(frozen=True, kw_only=True)
class PoolingNeeds:
    """What one pooling needs beyond the blocks; it makes one vector of the model's width.

    Attributes:
      tokens: how many tokens in front of the patches the model has for it, of which it reads the
        last.
      normed: whether it reads tokens that the final norm has seen, so that this cannot come after.
      parameters: of (width, mlp_dim), those in its own module, tokens not counted.
      flops: of (width, mlp_dim, patches), of its matrix multiplications for one image.
    """

    tokens: int
    normed: bool
    parameters: Callable[[int, int], int]
    flops: Callable[[int, int, int], int]


def poolings_of(head: Head) -> tuple[Pooling, ...]:
    """The poolings of a head, in the order of their vectors."""
    match head:
        case "map":
            return ("probe",)
        case "gap":
            return ("mean",)
        case "token":
            return ("class_token",)
        case "distilled":
            # Its classifier is the mean of DeiT's two: half of each, side by side.
            return ("class_token", "distillation_token")
        case _:
            assert_never(head)


def tokens_of(head: Head) -> int:
    """[class] and distillation tokens that a model with this head has for that alone."""
    return max(needs_of(pooling).tokens for pooling in poolings_of(head))


def needs_of(pooling: Pooling) -> PoolingNeeds:
    """The record of a pooling."""
    match pooling:
        case "probe":
            return PoolingNeeds(
                tokens=0,
                normed=True,
                parameters=_probe_parameters,
                flops=_probe_flops,
            )
        case "mean":
            return PoolingNeeds(tokens=0, normed=False, parameters=_no_parameters, flops=_no_flops)
        case "class_token":
            return PoolingNeeds(tokens=1, normed=False, parameters=_no_parameters, flops=_no_flops)
        case "distillation_token":
            return PoolingNeeds(tokens=2, normed=False, parameters=_no_parameters, flops=_no_flops)
        case _:
            assert_never(pooling)


def _probe_parameters(d: int, f: int) -> int:
    """The probe, query, key, value and output with biases, a norm, an MLP."""
    return d + (4 * d * d + 4 * d) + 2 * d + (2 * d * f + f + d)


def _probe_flops(d: int, f: int, n: int) -> int:
    """Keys and values of all patches; query, output and MLP of the probe; attention."""
    return 2 * (2 * n * d * d + 2 * d * d + 2 * d * f) + 4 * n * d


def _no_parameters(d: int, f: int) -> int:
    return 0


def _no_flops(d: int, f: int, n: int) -> int:
    return 0
