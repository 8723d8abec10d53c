"""The pure train step: (state, batch, learning rate, step, run's numbers) -> (state, stats)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from vitctl.model import part as parts
from vitctl.model import vit
from vitctl.model.config import ModelConfig
from vitctl.model.part import Part
from vitctl.model.remat import Remat
from vitctl.optim import optimizer as optimizers
from vitctl.optim.config import OptimConfig
from vitctl.optim.decay import Decays
from vitctl.sharding.layout import Layout
from vitctl.train.config import TrainConfig
from vitctl.train.program import state as states
from vitctl.train.program.footprint import checked_microbatch
from vitctl.train.program.objective import ImageClasses, Objective
from vitctl.train.program.run_numbers import RunNumbers, in_program
from vitctl.train.program.state import TrainState


class StepStats(NamedTuple):
    """Scalars of one step, fp32. Norms as in `vitctl.optim.optimizer.stats`.

    `skipped` counts all updates left out as spikes so far; None where they are not judged.
    """

    loss: Float[Array, ""]
    grad_norm: Float[Array, ""]
    update_norm: Float[Array, ""]
    param_norm: Float[Array, ""]
    finite: Bool[Array, ""]
    skipped: Int[Array, ""] | None = None


Step = Callable[[TrainState, Array, Array, Array, Array, RunNumbers], tuple[TrainState, StepStats]]


def make_step(
    cfg: TrainConfig,
    *,
    layout: Layout,
    remat: Remat,
    microbatch: int | None = None,
    scan: bool = True,
    class_weights: tuple[float, ...] | None = None,
    objective: Objective | None = None,
) -> jax.stages.Wrapped:
    """The compiled step; it gives up the state. See the inner function for its arguments.

    The learning rate is an argument, so a trunk and all its cooldowns share one program, and so are
    the numbers that runs of a study differ in (`vitctl.train.program.run_numbers`). Layout,
    recomputation and microbatches change only the order of sums.

    Args:
      microbatch: images a device at a time; gradients of the parts are averaged in fp32. The whole
        batch is mixed first, so what is learnt from is the same.
      class_weights: how much the loss of an image counts, by its class; None: all alike.
      objective: what is learnt; None: the classes of images, as `cfg` says.
    """
    each = cfg.data.batch // layout.batch_shards
    classes = ImageClasses(
        cfg.loss,
        mixup_alpha=cfg.data.augment.mixup_alpha,
        smoothing=cfg.label_smoothing,
        class_weights=class_weights,
    )
    return _jitted(
        cfg.model,
        in_program(cfg.optim),
        objective=objective or classes,
        precision=cfg.precision,
        layout=layout,
        remat=remat,
        batches=each // checked_microbatch(microbatch, images=each),
        scan=scan,
    )


@cache
def _jitted(
    model: ModelConfig,
    optim: OptimConfig,
    *,
    objective: Objective,
    precision: str,
    layout: Layout,
    remat: Remat,
    batches: int,
    scan: bool,
) -> jax.stages.Wrapped:
    optimizer = states.optimizer_of(model, optim)
    layers = optimizer.layers
    dtype = jnp.dtype(precision)
    shardings = states.shardings_of(model, optim, layout)

    def part_of(params: vit.Params) -> vit.Params:
        """What is trained of the weights."""
        return params if layers is None else parts.take(params, layers)

    divided = layout.grads(states.trained_shapes_of(model, optim))

    def loss_of(
        part: vit.Params,
        params: vit.Params,
        inputs: Array,
        targets: Array,
    ) -> Float[Array, ""]:
        out = vit.apply(
            part if layers is None else params,
            objective.images(inputs, model=model),
            config=model,
            compute_dtype=dtype,
            remat=remat,
            scan=scan,
            activation_sharding=layout.constrain,
            weight_use=layout.use,
            part=None if layers is None else Part(part, layers),
        )
        head = part.get("head", params.get("head"))
        return jnp.mean(objective.per_example(out, targets, head=head))

    def averaged(
        params: vit.Params, inputs: Array, targets: Array
    ) -> tuple[Float[Array, ""], vit.Params]:
        """Loss and gradients of the batch, `batches` after another."""
        part = part_of(params)
        if batches == 1:
            return jax.value_and_grad(loss_of)(part, params, inputs, targets)
        each = (
            _in_parts(inputs, batches, layout=layout),
            _in_parts(targets, batches, layout=layout),
        )

        def add(sums: Any, batch: tuple[Array, Array]) -> tuple[Any, None]:
            gradients = jax.value_and_grad(loss_of)(part, params, *batch)
            return jax.tree.map(jnp.add, sums, gradients), None

        nothing = jax.tree.map(jnp.zeros_like, part)
        nothing = jax.lax.with_sharding_constraint(nothing, divided)
        sums, _ = jax.lax.scan(add, (jnp.float32(0.0), nothing), each)
        return jax.tree.map(lambda x: x / batches, sums)

    def step(
        state: TrainState,
        inputs: Array,
        labels: Int[Array, "b l"],
        lr: Float[Array, ""],
        index: Int[Array, ""],
        numbers: RunNumbers,
    ) -> tuple[TrainState, StepStats]:
        inputs, targets = objective.prepared(
            inputs, labels, index=index, numbers=numbers, model=model, layout=layout
        )
        value, grads = averaged(state.params, inputs, targets)

        # Each device updates its part; whole weights are put together again on the way out.
        grads = jax.lax.with_sharding_constraint(grads, divided)
        part = jax.lax.with_sharding_constraint(part_of(state.params), divided)
        before = state._replace(params=part) if layers is None else state
        decays = Decays(head=numbers.wd_head, body=numbers.wd_body)
        updates, opt = optimizer.update(grads, before.opt, part, lr=lr, decays=decays)
        part = jax.tree.map(jnp.add, part, updates)
        params = part if layers is None else parts.put(before.params, part, layers)
        norms = optimizers.stats(grads=grads, updates=updates, params=before.params)

        # All that is logged: a norm that overflows is as much a divergence as a loss that does.
        finite = state.finite & jnp.all(jnp.isfinite(jnp.stack([value, *norms])))
        after = states.advance(
            before, params=params, opt=opt, finite=finite, grad_norm=norms.grad_norm, optim=optim
        )
        skipped = None if after.norms is None else after.norms.skipped
        return after, StepStats(
            value, norms.grad_norm, norms.update_norm, norms.param_norm, finite, skipped
        )

    whole, split = layout.replicated, layout.batch
    return jax.jit(
        step,
        in_shardings=(shardings, split, split, whole, whole, whole),
        out_shardings=(shardings, whole),
        donate_argnums=0,
    )


def _in_parts(
    x: Shaped[Array, "b *rest"],  # noqa: F821 - names of axes
    parts: int,
    *,
    layout: Layout,
) -> Shaped[Array, "a c *rest"]:
    """`parts` batches of b / parts examples; every device keeps the examples it has."""
    shards, rest = layout.batch_shards, x.shape[1:]
    x = x.reshape(shards, parts, x.shape[0] // (shards * parts), *rest)
    x = layout.constrain(x, "b-" + "-" * (x.ndim - 2))
    x = layout.constrain(jnp.swapaxes(x, 0, 1), "-b" + "-" * (x.ndim - 2))
    x = x.reshape(parts, -1, *rest)
    return layout.constrain(x, "-b" + "-" * len(rest))
