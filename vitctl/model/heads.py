"""How tokens become one vector: every head as a record, no array library.

A head is one or more poolings, whose vectors stand side by side in the order of the record. All
that follows is counted here or from here: tokens in front of the patches, features, parameters and
FLOPs. So a head of known poolings is a name, its `case` below and what other codebases call it
(`vitctl.interop.head_names`); a new pooling besides is computed in `vitctl.model.vit` and
`vitctl.interop.onnx_files`, and named in `vitctl.interop.torch_names`. Each place is a match that
mypy reports until it is answered; no field here has a default.

A head's memory is in no record: what it keeps for the backward pass is freed before that of the
last block begins, so that the peak of a step did not depend on the head (docs/log, 2026-11-29).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

Head = Literal["map", "gap", "token"]
Pooling = Literal["probe", "mean", "class_token"]
"""probe: attention of one learned query to the patches, then an MLP (`layers.MapHead`). mean: of
the patches. class_token: the first token as it leaves the blocks."""


@dataclass(frozen=True, kw_only=True)
class PoolingNeeds:
    """What one pooling needs beyond the blocks; it makes one vector of the model's width.

    Attributes:
      class_token: whether it reads a [class] token, which the model then has.
      normed: whether it reads tokens that the final norm has seen, so that this cannot come after.
      parameters: of (width, mlp_dim), those in its own module, tokens not counted.
      flops: of (width, mlp_dim, patches), of its matrix multiplications for one image.
    """

    class_token: bool
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
        case _:
            assert_never(head)


def reads_class_token(head: Head) -> bool:
    """Whether a model with this head has a [class] token for that alone."""
    return any(needs_of(pooling).class_token for pooling in poolings_of(head))


def needs_of(pooling: Pooling) -> PoolingNeeds:
    """The record of a pooling."""
    match pooling:
        case "probe":
            return PoolingNeeds(
                class_token=False,
                normed=True,
                parameters=_probe_parameters,
                flops=_probe_flops,
            )
        case "mean":
            return PoolingNeeds(
                class_token=False, normed=False, parameters=_no_parameters, flops=_no_flops
            )
        case "class_token":
            return PoolingNeeds(
                class_token=True, normed=False, parameters=_no_parameters, flops=_no_flops
            )
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
