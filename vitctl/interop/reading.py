"""A file of weights -> our parameters and the model they are of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from vitctl.errors import InputError
from vitctl.interop import big_vision_files, matching, native, torch_tensors
from vitctl.interop.described import Described, described
from vitctl.interop.layouts import PIXELS, detect
from vitctl.interop.overrides import Said
from vitctl.interop.torch_config import OpenSettings, config_of
from vitctl.interop.torch_shapes import TorchShapes, grid_of
from vitctl.interop.weight_files import Weights
from vitctl.model.config import ModelConfig


@dataclass(frozen=True)
class Model:
    """A model as it was read.

    Attributes:
      load: gives our parameters, fp32, for `config` but with the position embeddings of `grid`.
        Raises InputError unless every tensor is matched.
      config: with the resolution of the file.
      grid: (rows, columns) of the position embeddings.
      matched: number of the file's tensors that were used.
      left_out: its tensors that are no part of the model.
      notes: what was read where, and what nothing said.
      assumed: sentences on what may be otherwise and changes every number.
    """

    load: Callable[[], matching.Params]
    config: ModelConfig
    grid: tuple[int, int]
    layout: str
    title: str
    described: Described
    matched: int
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    assumed: tuple[str, ...] = field(default=())


def read(weights: Weights, *, said: Said) -> Model:
    """What the file's model is, by names, shapes and the files beside it; no tensor of torch is
    read before `Model.load`. Raises InputError, UsageError."""
    if native.MODEL in weights.metadata and said.layout in (None, "vitctl"):
        return _of_our_own(weights)
    if weights.name.endswith(".npz") or said.layout == "big-vision":
        return _of_big_vision(weights, said)
    detected = detect(weights.shapes.keys(), wanted=said.layout)
    about = described(weights.configs, layout=detected.layout)
    shape = TorchShapes(detected, weights.shapes)
    grid, embedded = grid_of(shape, about, said)
    taken = OpenSettings(detected, about, said)
    if shape.is_matrix or shape.names.position_rank == 4:
        # Its own preprocessing keeps the whole image and its proportions.
        about = replace(about, squashed=True, crop_ratio=1.0)
        rows, columns = (side * shape.patch for side in grid)
        taken.assumed.append(
            "the model takes images of any proportions (NaFlex); here all are squashed to the "
            f"{rows} x {columns} pixels that its position embeddings are stored for"
        )
    try:
        config = config_of(shape, taken, about, grid)
    except ValidationError as error:
        first = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise InputError(f"the tensors are of no model that vitctl has: {first}") from None
    groups = torch_tensors.groups(
        config,
        detected.layout.names,
        base=detected.base,
        embedded=embedded,
        grid=grid,
        gated=shape.gated,
        distillation=shape.distillation > 0,
        patch_matrix=shape.is_matrix,
    )
    expected = {name for group in groups for name in group.theirs}
    left_out = detected.left_out(weights.shapes, expected=expected)
    own = {name: s for name, s in weights.shapes.items() if name not in set(left_out)}
    matching.check({n: s for g in groups for n, s in g.theirs.items()}, actual=own)
    return Model(
        partial(matching.filled, groups, shapes=own, read=weights.read),
        config,
        grid,
        detected.layout.name,
        detected.layout.title,
        about,
        len(own),
        tuple(left_out),
        tuple(taken.notes),
        tuple(taken.assumed),
    )


def _of_our_own(weights: Weights) -> Model:
    config = native.config_of(weights)
    return Model(
        partial(native.params_of, weights, config=config),
        config,
        (config.grid, config.grid),
        "vitctl",
        "an export of vitctl",
        Described(),
        len(weights.shapes),
    )


def _of_big_vision(weights: Weights, said: Said) -> Model:
    named = big_vision_files.load(weights)
    config, grid = big_vision_files.config_of(named, title=weights.name)
    notes = ["heads, activation and norms as big_vision has them"]
    pixels = said.pixels or "half"
    if said.pixels is None:
        notes.append("pixels from -1 to 1, as big_vision's (--pixels says otherwise)")
    mean, std = PIXELS[pixels]
    changes: dict[str, Any] = {"pixel_mean": mean, "pixel_std": std}
    if said.gelu is not None:
        changes["gelu"] = said.gelu
    if said.norm_epsilon is not None:
        changes["norm_epsilon"] = said.norm_epsilon
    config = ModelConfig.model_validate(config.model_dump() | changes)
    return Model(
        partial(big_vision_files.params_of, named, config=config),
        config,
        grid,
        "big-vision",
        "big_vision's or vision_transformer's ViT",
        Described(),
        len(named),
        notes=tuple(notes),
    )
