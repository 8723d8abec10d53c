from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import jax
import pytest

from vitctl.model import vit
from vitctl.model.accounting import forward_flops, matmul_flops, parameters
from vitctl.model.config import ModelConfig, Position, from_name
from vitctl.model.heads import Head

PARTS: list[dict[str, Any]] = [
    {"classes": 0},
    {"registers": 3, "head": "token"},
    {"registers": 2, "class_token": True},
    {"class_token": True, "head": "gap", "norm_after_pool": True},
    {"stem_norm": True, "patch_bias": False},
    {"pre_logits": 24, "projection": "linear", "head": "token"},
    {"qk_norm": True, "qkv_bias": False},
    {"mlp": "swiglu", "head": "map"},
    {"mlp": "swiglu", "head": "distilled", "registers": 2},
    {"layer_scale": 0.1, "gelu": "exact", "pixel_mean": (0.1, 0.2, 0.3)},
]

# Backbone; with the MAP head; and with 29,593 classes too: big_vision under `jax.eval_shape`.
COUNTS = {
    "s/28": (5_357_824, None, None),
    "s/16": (4_986_112, None, None),
    "mu/16": (43_648, 56_320, 1_032_889),
    "Ti/16": (5_524_032, 5_968_704, 11_680_153),
    "S/32": (22_493_184, 24_267_264, 35_660_569),
    "S/16": (21_664_896, 23_438_976, 34_832_281),
    "M/16": (38_323_712, 41_475_584, 56_656_793),
    "B/32": (87_453_696, 94_540_800, 117_297_817),
    "B/28": (86_912_256, 93_999_360, 116_756_377),
    "B/16": (85_797_120, 92_884_224, 115_641_241),
    "L/16": (303_299_584, 315_894_784, 346_227_609),
    "So400m/14": (412_442_352, 427_680_704, 461_801_433),
    "H/14": (630_762_240, 650_438_400, 688_347_033),
    "g/14": (1_011_199_616, 1_036_448_384, 1_078_144_921),
    "g-opt/14": (1_134_561_792, 1_162_891_776, 1_208_376_217),
    "G/14": (1_842_772_352, 1_881_132_416, 1_930_404_761),
    "G-opt/14": (1_663_302_144, 1_697_925_632, 1_743_410_073),
    "e/14": (3_805_417_728, 3_873_342_720, 3_926_402_969),
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_equal_the_reference(name: str) -> None:
    counted = parameters(from_name(name, classes=29_593))
    backbone, features, total = COUNTS[name]
    assert counted.backbone == backbone
    assert counted.features == (features or counted.features)
    assert counted.total == (total or counted.total)


@pytest.mark.parametrize(
    ("name", "gflops"), [("G14", 963.647), ("g14", 531.926), ("L16", 122.465), ("B16", 34.942)]
)
def test_flops_equal_the_formula_at_224(name: str, gflops: float) -> None:
    assert matmul_flops(from_name(name, classes=1)) / 1e9 == pytest.approx(gflops, abs=5e-4)


@pytest.mark.parametrize(
    ("name", "at_224", "at_384"),
    [("s/28", 0.7, 2.0), ("S/32", 2.3, 6.9), ("B/28", 11.3, 30.5), ("G/14", 965.3, 2859.9)],
)
def test_flops_are_within_the_rounding_of_table_2(name: str, at_224: float, at_384: float) -> None:
    # The table has one decimal, and elementwise work in it: 0.2 % for G/14, more for thin models.
    for resolution, gflops in ((224, at_224), (384, at_384)):
        ours = matmul_flops(from_name(name, classes=1, resolution=resolution)) / 1e9
        assert (gflops - 0.05) * 0.99 <= ours <= gflops + 0.05


@pytest.mark.parametrize("head", get_args(Head))
@pytest.mark.parametrize("pre_logits", [None, 24])
@pytest.mark.parametrize("position", get_args(Position))
def test_closed_form_equals_the_model(head: str, pre_logits: int | None, position: str) -> None:
    config = from_name(
        "test", classes=7, resolution=36, head=head, pre_logits=pre_logits, position=position
    )
    shapes = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    assert parameters(config).total == sum(x.size for x in jax.tree.leaves(shapes))


@pytest.mark.parametrize("parts", PARTS, ids=lambda parts: "+".join(parts))
def test_closed_forms_of_parts_that_other_families_have(parts: dict[str, Any]) -> None:
    """Against the shapes of the weights and of what the model computes."""
    config = ModelConfig(**from_name("test", classes=7, resolution=36).model_dump() | parts)
    params = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    assert parameters(config).total == sum(x.size for x in jax.tree.leaves(params))
    images = jax.ShapeDtypeStruct((2, 36, 36, 3), "float32")
    outputs = jax.eval_shape(lambda p, x: vit.apply(p, x, config=config), params, images)
    assert outputs.encoded.shape == (2, config.sequence, config.width)
    assert outputs.pre_logits.shape == (2, config.features)
    assert outputs.logits.shape == (2, config.classes)


@pytest.mark.parametrize("head", get_args(Head))
@pytest.mark.parametrize("pre_logits", [None, 24])
def test_widths_and_lengths_equal_the_model(head: str, pre_logits: int | None) -> None:
    config = from_name("test", classes=7, resolution=36, head=head, pre_logits=pre_logits)
    params = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    images = jax.ShapeDtypeStruct((2, 36, 36, 3), "float32")
    outputs = jax.eval_shape(lambda p, x: vit.apply(p, x, config=config), params, images)
    assert outputs.encoded.shape == (2, config.sequence, config.width)
    assert outputs.pre_logits.shape == (2, config.features)


def test_a_map_head_reads_patches_alone_and_blocks_read_registers_too() -> None:
    bare = from_name("test", classes=7, resolution=32)
    with_registers = ModelConfig(**bare.model_dump(), registers=3, class_token=True)
    apart = forward_flops(with_registers) - forward_flops(bare)
    d, f, n, m = 32, 64, 16, 20
    assert apart == 2 * (2 * (m - n) * (4 * d * d + 2 * d * f) + 4 * (m * m - n * n) * d)


@pytest.mark.parametrize("head", get_args(Head))
@pytest.mark.parametrize("pre_logits", [None, 64])
def test_the_whole_forward_pass_is_what_xla_counts(head: str, pre_logits: int | None) -> None:
    """XLA adds elementwise work: 3 % of so thin a model."""
    config = ModelConfig(
        width=256, depth=1, mlp_dim=1024, heads=4, patch=16, resolution=96, classes=100,
        head=head, pre_logits=pre_logits,
    )  # fmt: skip
    params = jax.eval_shape(lambda: vit.init(config, key=jax.random.key(0)))
    images = jax.ShapeDtypeStruct((1, 96, 96, 3), "float32")
    run = jax.jit(lambda p, x: vit.apply(p, x, config=config, scan=False).logits)
    counted = run.lower(params, images).cost_analysis()["flops"]
    assert forward_flops(config) == pytest.approx(counted, rel=0.03)


def test_sizes_are_as_reviewed(golden: Callable[[str, list[str]], None]) -> None:
    lines = ["model        width depth   mlp heads      backbone      with MAP   GFLOPs at 224"]
    for name in (*COUNTS, "test/8"):
        config = from_name(name, classes=1)
        counted = parameters(config)
        lines.append(
            f"{name:12} {config.width:5} {config.depth:5} {config.mlp_dim:5} {config.heads:5} "
            f"{counted.backbone:13,} {counted.features:13,} {matmul_flops(config) / 1e9:15.3f}"
        )
    golden("models.txt", lines)
