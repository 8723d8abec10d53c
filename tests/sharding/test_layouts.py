"""One run under many layouts: the same numbers, in less memory."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.train.conftest import ADAFACTOR, config
from vitctl.checkpoints import arrays
from vitctl.errors import UsageError
from vitctl.inference import weights
from vitctl.model import vit
from vitctl.places import place
from vitctl.sharding import layout as layouts
from vitctl.sharding.layout import Layout
from vitctl.sharding.spec import parse
from vitctl.train.program import lowered as lowering
from vitctl.train.program import run_numbers, state

BATCH = 56
"""No size of the model is a multiple of it, nor are the 14 · 9 or 7 · 9 tokens of a device."""

STEPS = 4
CFG = config(
    STEPS,
    model={"width": 32, "resolution": 24, "head": "gap"},
    data={"batch": BATCH, "augment": {"mixup_alpha": 0.2}},
    **ADAFACTOR,
)

QUICK = ("data=2,zero=2,fsdp=2,tensor=2",)
MORE = (
    "data=8",
    "data=8,zero=8",
    "fsdp=8",
    "data=4,fsdp=2",
    "data=4,tensor=2",
    "data=4,zero=2,fsdp=2",
)
ALL = (*QUICK, *(pytest.param(spec, marks=pytest.mark.slow) for spec in MORE))


def layout_of(spec: str) -> Layout:
    return layouts.make(devices=1) if spec == "one" else layouts.make(parse(spec), devices=8)


AVERAGED = CFG.model_copy(update={"optim": CFG.optim.model_copy(update={"ema": 0.9})})


@cache
def compiled_step(spec: str, microbatch: int | None = None, cfg: Any = CFG) -> jax.stages.Compiled:
    lowered = lowering.lower(cfg, layout=layout_of(spec), remat="none", microbatch=microbatch)
    return lowered.compile()


@cache
def trained(spec: str, microbatch: int | None = None, cfg: Any = CFG) -> tuple[np.ndarray, Any]:
    """Losses of a few steps, and the weights after them or their average, on the host."""
    layout, step = layout_of(spec), compiled_step(spec, microbatch, cfg)
    current, values = state.fresh(cfg, layout=layout), []
    rng = np.random.default_rng(0)
    side, classes = CFG.model.resolution, CFG.model.classes
    for index in range(STEPS):
        images = rng.uniform(-1, 1, size=(BATCH, side, side, 3)).astype(np.float32)
        labels = rng.integers(classes, size=(BATCH, 1)).astype(np.int32)
        current, stats = step(
            current,
            *layout.place_batch((images, labels)),
            *layout.place((np.float32(0.01), np.int32(index), run_numbers.of(cfg))),
        )
        assert bool(stats.finite)
        values.append(float(stats.loss))
    weights = current.params if current.average is None else current.average.weights
    return np.array(values), jax.tree.map(np.asarray, weights)


def check_same(result: tuple[np.ndarray, Any], expected: tuple[np.ndarray, Any]) -> None:
    """Sums in another order differ by a few roundings of fp32, 6e-8 each. Adafactor's first update
    divides by the gradient's own size, so an entry whose gradient is rounding noise may move the
    other way, 2 · lr at most a step; few do, and losses agree to 1e-4 (measured: see the log)."""
    np.testing.assert_allclose(result[0], expected[0], rtol=1e-4)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).ravel(), result[1], expected[1])
    moved = np.concatenate(jax.tree.leaves(moved))
    assert np.quantile(moved, 0.9) < 1e-4
    assert moved.max() < 2 * 0.01 * STEPS


@pytest.mark.parametrize("spec", ALL)
def test_every_layout_trains_alike(spec):
    check_same(trained(spec), trained("one"))


def test_microbatches_train_alike():
    check_same(trained("one", 14), trained("one"))


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*QUICK, "data=4,fsdp=2"])
def test_microbatches_of_several_devices_train_alike(spec):
    """Each device has its own parts of the batch, and none has the whole of it."""
    check_same(trained(spec, 7), trained("one"))
    assert whole_batch(compiled_step(spec, 7).as_text(), batch=BATCH) == set()


@pytest.mark.slow
@pytest.mark.parametrize("spec", [*QUICK, "fsdp=8"])
def test_the_average_lies_as_the_weights_do(spec):
    check_same(trained(spec, None, AVERAGED), trained("one", None, AVERAGED))
    shardings = state.shardings(AVERAGED, layout_of(spec))
    assert shardings.average.weights == shardings.params


def shapes_in(program: str) -> set[tuple[int, ...]]:
    """Every array shape in a compiled program's text."""
    result = re.findall(r"\b(?:pred|[a-z]+\d+)\[(\d+(?:,\d+)*)\]", program)
    return {tuple(map(int, dims.split(","))) for dims in result}


def whole_batch(program: str, *, batch: int) -> set[tuple[int, ...]]:
    """Shapes that hold something of every example of the global batch."""
    return {shape for shape in shapes_in(program) if any(n % batch == 0 for n in shape)}


@pytest.mark.parametrize("spec", ALL)
def test_no_buffer_holds_the_whole_batch(spec):
    program = compiled_step(spec).as_text()
    assert any(n == BATCH // layout_of(spec).batch_shards for s in shapes_in(program) for n in s)
    assert whole_batch(program, batch=BATCH) == set()


def test_a_buffer_with_the_whole_batch_is_found():
    layout = layout_of("data=8")
    given = jax.ShapeDtypeStruct((BATCH, 3), jnp.float32, sharding=layout.batch)
    gather = jax.jit(lambda x: x + 1, out_shardings=layout.replicated).lower(given).compile()
    assert whole_batch(gather.as_text(), batch=BATCH) == {(BATCH, 3)}
    alone = jax.jit(lambda x: x + 1, out_shardings=layout.batch).lower(given).compile()
    assert whole_batch(alone.as_text(), batch=BATCH) == set()


def test_a_state_saved_under_one_layout_restores_under_another(tmp_path):
    """Bitwise: restoring computes nothing."""
    before = layout_of(QUICK[0])
    made = state.fresh(CFG, layout=before)
    parts = {"params": made.params, "opt": made.opt}
    arrays.save(tmp_path, parts=parts, position={"step": 0})
    for spec in ("one", "data=8,zero=8", "data=4,fsdp=2"):
        after = layout_of(spec)
        like = layouts.like(state.shapes(CFG), state.shardings(CFG, after))
        each = (("params", like.params), ("opt", like.opt))
        for part, shapes in each:
            restored = arrays.restore(place(tmp_path), part, like=shapes)
            assert jax.tree.map(lambda x: x.sharding, restored) == jax.tree.map(
                lambda x: x.sharding, shapes
            )
            jax.tree.map(np.testing.assert_array_equal, restored, parts[part])


def test_microbatches_need_less_memory():
    """Temporaries of the compiled step, gradients summed in fp32 included."""
    whole, parts = (
        compiled_step("one", size).memory_analysis().temp_size_in_bytes for size in (None, 14)
    )
    assert parts < whole


def test_only_what_is_multiplied_in_it_is_rounded_to_bf16():
    """Position embeddings, the pooling head and the classifier stay in fp32, divided or not."""
    settings = {"width": 32, "head": "map", "position": "learned", "classes": 8}
    model = config(STEPS, model=settings).model
    images = np.random.default_rng(0).uniform(-1, 1, (8, *2 * [model.resolution], 3))
    params = vit.init(model, key=jax.random.key(0))
    # A classifier of zeros would hide what comes before it.
    kernel = params["head"]["kernel"]
    params["head"]["kernel"] = jax.random.normal(jax.random.key(1), kernel.shape, kernel.dtype)
    values = {}
    for spec in ("one", "data=2,fsdp=4"):
        layout = layout_of(spec)
        forward = jax.jit(weights.applied(model, precision="bfloat16", layout=layout))
        placed = layout.place(params, layout.params(params))
        out = forward(placed, layout.place_batch(images.astype(np.float32)))
        values[spec] = [np.asarray(out.encoded), np.asarray(out.logits)]
    for one, divided in zip(*values.values(), strict=True):
        # Rounded to bf16 the head alone would move these by some 1e-3.
        np.testing.assert_allclose(divided, one, rtol=0, atol=1e-5 * np.abs(one).max())


def test_a_number_of_devices_is_for_one_process(monkeypatch):
    """Of several the first devices are all of process 0."""
    assert len(layouts.make(devices=2).mesh.devices.flat) == 2
    monkeypatch.setattr("vitctl.processes.count", lambda: 2)
    with pytest.raises(UsageError, match="--devices is for one process"):
        layouts.make(devices=2)
    assert len(layouts.make().mesh.devices.flat) == 8
