"""What the shapes of a torch codebase's tensors say: sizes, tokens before the patches, grid."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from vitctl.errors import InputError, UsageError
from vitctl.interop.described import Described
from vitctl.interop.layouts import Detected
from vitctl.interop.overrides import Said
from vitctl.interop.torch_names import GatedNames

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]


class TorchShapes:
    """Sizes as the tensors' shapes say them."""

    def __init__(self, detected: Detected, shapes: Shapes) -> None:
        self.names, self.base, self.shapes = detected.layout.names, detected.base, shapes
        patch = self.of(f"{self.names.patch}.weight")
        ranks = (2, 4) if self.names.patch_matrix else (4,)
        if patch is None or len(patch) not in ranks or (len(patch) == 4 and patch[2] != patch[3]):
            raise InputError(f"the patch embedding is {list(patch or ())}, not [d, 3, p, p]")
        self.is_matrix = len(patch) == 2
        """As of models that take images of any proportions (NaFlex)."""
        self.width = patch[0]
        self.patch = math.isqrt(patch[1] // 3) if self.is_matrix else patch[2]
        if (self.is_matrix and 3 * self.patch**2 != patch[1]) or (
            not self.is_matrix and patch[1] != 3
        ):
            raise InputError(f"the patch embedding {list(patch)} is not of 3 colours")
        pattern = re.compile(re.escape(self.base + self.names.block).replace(r"\{\}", r"(\d+)"))
        layers = {int(m[1]) for name in shapes if (m := pattern.match(name))}
        self.depth = max(layers) + 1
        self.gated = self._gated()
        up = self.in_block(f"{self.names.up}.weight")
        self.mlp_dim = up[0] if up else 0
        if self.gated is not None:
            down = self.in_block(f"{self.gated.down}.weight")
            self.mlp_dim = down[1] if down and len(down) == 2 else 0
        self.has_class_token = self.has(self.names.cls)
        self.distillation = int(self.has(self.names.distillation))
        """Tokens: 1 or 0."""
        registers = self.of(self.names.registers or "-")
        self.registers = registers[1] if registers and len(registers) == 3 else 0
        both = self.names.distilled
        self.has_two_classifiers = both is not None and all(map(self._classifier, both))
        first = both[0] if both is not None and self.has_two_classifiers else self.names.head
        classifier = self._classifier(first)
        self.classes = classifier[0] if classifier else 0
        pre_logits = self.of(f"{self.names.pre_logits}.weight")
        self.tanh = pre_logits[0] if pre_logits else None
        self.linear = None
        name = self.names.projection
        if name is not None:
            turned = self.names.projection_turned
            projection = shapes.get(self.base + name if turned else name)
            if projection and len(projection) == 2:
                self.linear = projection[1] if turned else projection[0]

    def _gated(self) -> GatedNames | None:
        """How SwiGLU is stored; None of plain MLPs."""
        for gated in self.names.gated:
            up = self.in_block(f"{gated.up}.weight")
            down = self.in_block(f"{gated.down}.weight")
            if up is None or down is None or len(up) != 2 or len(down) != 2:
                continue
            if gated.gate is not None:
                is_gated = self.has_in_block(f"{gated.gate}.weight")
            else:  # names of their own, or those of a plain MLP with twice its rows
                is_gated = gated.up != self.names.up or up[0] == 2 * down[1]
            if is_gated:
                return gated
        return None

    def _classifier(self, name: str | None) -> Shape | None:
        base = "" if self.names.head_outside else self.base
        shape = self.shapes.get(f"{base}{name}.weight")
        return shape if shape is not None and len(shape) == 2 else None

    def of(self, name: str) -> Shape | None:
        return self.shapes.get(self.base + name)

    def in_block(self, name: str) -> Shape | None:
        return self.of(self.names.block.format(0) + name)

    def has(self, name: str | None) -> bool:
        return name is not None and self.base + name in self.shapes

    def has_in_block(self, name: str | None) -> bool:
        return name is not None and self.in_block(name) is not None

    @property
    def has_qkv_bias(self) -> bool:
        if self.names.fused is not None:
            return self.has_in_block(f"{self.names.fused}{self.names.fused_join}bias")
        assert self.names.separate is not None
        return self.has_in_block(f"{self.names.separate[0]}.bias")


def grid_of(shape: TorchShapes, about: Described, said: Said) -> tuple[tuple[int, int], int]:
    """(rows, columns) of the position embeddings, and how many rows are not of patches."""
    position = shape.of(shape.names.position)
    if position is None:
        raise InputError(
            f"the weights do not match the model: missing {shape.base}{shape.names.position}; "
            "position embeddings are learned in this layout"
        )
    if shape.names.position_rank == 4:
        if len(position) != 4:
            raise InputError(
                f"the position embeddings are {list(position)}, not [1, rows, columns, d]"
            )
        stored = (position[1], position[2])
        if said.grid not in (None, stored):
            raise UsageError(
                f"the position embeddings are of {stored[0]}x{stored[1]} patches",
                hint="leave out --grid",
            )
        return stored, 0
    rows = position[-2] if len(position) > 1 else 0
    cls = int(shape.has_class_token) + shape.distillation
    extras = sorted({cls + shape.registers, cls, 0}, reverse=True)
    wanted = said.grid
    if wanted is None and about.image is not None:
        height, width = (side // shape.patch for side in about.image)
        wanted = (height, width) if rows - height * width in extras else None
    for extra in extras:
        if wanted is not None and wanted[0] * wanted[1] == rows - extra:
            return wanted, extra
        side = math.isqrt(max(0, rows - extra))
        if wanted is None and side > 0 and side * side == rows - extra:
            return (side, side), extra
    if wanted is not None:
        raise UsageError(
            f"--grid {wanted[0]}x{wanted[1]} has {wanted[0] * wanted[1]} patches, and there are "
            f"{rows} position embeddings"
        )
    raise UsageError(
        f"{rows} position embeddings are of no square grid of patches",
        hint="say which: --grid ROWSxCOLUMNS",
    )


def resolution_of(shape: TorchShapes, about: Described, grid: tuple[int, int]) -> int:
    """The side of the image: what the files say if it has this grid, else what the patches fill."""
    if about.image is not None and about.image[0] == about.image[1]:
        side = about.image[0] // shape.patch
        if (side, side) == grid:
            return about.image[0]
    return round(math.sqrt(grid[0] * grid[1])) * shape.patch
