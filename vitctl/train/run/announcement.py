"""Every resolved number of a run, once, as sentences for people."""

from __future__ import annotations

from vitctl.model import accounting
from vitctl.optim import frozen
from vitctl.sharding.layout import Layout
from vitctl.text.quantities import counted, plural, show_count, shown_digits
from vitctl.train.config import TrainConfig
from vitctl.train.program import footprint


def announced(
    cfg: TrainConfig, layout: Layout, memory: footprint.MemoryPlan, *, examples: int, classes: int
) -> dict[str, str]:
    """Topic -> sentence: model, data, schedule, optimizer, devices. `examples` images of `classes`
    classes are trained on."""
    flops = accounting.matmul_flops(cfg.model)
    epochs = (cfg.steps - cfg.data.first_step) * cfg.data.batch / examples
    schedule = cfg.schedule
    each = cfg.data.batch // layout.batch_shards
    parts = f", {memory.microbatch} of {each} images at a time" if memory.microbatch < each else ""
    cooldown = (
        f", cooldown {show_count(schedule.cooldown_steps)}" if schedule.cooldown_steps else ""
    )
    model = cfg.model
    unseen = f" ({model.covered} seen)" if model.covered < model.resolution else ""
    return {
        "model": f"{cfg.label} at {model.resolution} px{unseen}, {model.head} head: "
        f"{accounting.parameters(cfg.model).total:,} parameters{_trained(cfg)}, "
        f"{shown_digits(flops / 1e9, least=4)} GFLOPs an image",
        "data": f"{counted(examples, 'image')}, {plural(classes, 'class')}; "
        f"{shown_digits(epochs, least=4)} epochs of batches of {cfg.data.batch}"
        + _smaller_jpegs(cfg)
        + ("; pictures made on devices" if cfg.data.made_on == "devices" else ""),
        "schedule": f"{schedule.kind} to step {show_count(cfg.steps)}, peak {schedule.peak_lr:g}, "
        f"warmup {show_count(schedule.warmup_steps)}{cooldown}",
        "optimizer": f"{cfg.optim.name}, decay {cfg.optim.wd_head:g} head, "
        f"{cfg.optim.wd_body:g} body; {cfg.loss} loss; seed {cfg.seed}" + _extras(cfg),
        "devices": f"{layout.devices} x {layout.platform} ({layout}), {cfg.precision}, "
        f"remat {memory.remat}{parts}; about {footprint.gib(memory.need.total)} a device",
    }


def _trained(cfg: TrainConfig) -> str:
    if not cfg.optim.freeze:
        return ""
    return f", {frozen.trained_parameters(cfg.model, cfg.optim):,} of them trained"


def _smaller_jpegs(cfg: TrainConfig) -> str:
    times = cfg.data.augment.jpeg_oversampling
    if times is None:
        return ""
    least = "the size" if times == 1 else f"{times:g} times the size"
    return (
        f"; JPEGs are decoded at 1/2, 1/4 or 1/8 where crops still have {least} that they are "
        "resized to"
    )


def _extras(cfg: TrainConfig) -> str:
    """What is kept, changed or left out beside the plain update."""
    optim, sentence = cfg.optim, ""
    if optim.ema is not None:
        sentence += f"; average of the weights, decay {optim.ema:g}"
    if optim.skip_spikes is not None:
        sentence += f"; gradient norms over {optim.skip_spikes:g} sigma left out"
    if optim.layer_decay is not None:
        sentence += f"; rates times {optim.layer_decay:g} a layer down"
    if optim.freeze:
        sentence += f"; frozen: {', '.join(optim.freeze)}"
    if (alpha := cfg.data.augment.mixup_alpha) is not None:
        sentence += f"; mixup {alpha:g}"
    if cfg.label_smoothing:
        sentence += f"; label smoothing {cfg.label_smoothing:g}"
    if (rule := cfg.keep_best) is not None:
        until = f", until {rule.patience} are no better" if rule.patience is not None else ""
        sentence += f"; best {rule.metric} every {show_count(rule.every)} steps{until}"
    if cfg.class_balance is not None:
        sentence += f"; classes balanced, beta {cfg.class_balance:g}"
    return sentence
