"""Options and commands as other programs call them, for a hint: which of ours is meant.

From the command lines of timm's `train.py`, torchvision's references, Hugging Face's `Trainer`,
big_vision and DINO. Spelling alone answers `--wd` with `--wd-head`, but `--weight-decay` with
`--weights`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from vitctl.text.suggestions import did_you_mean, either

OPTIONS: Mapping[str, tuple[str, ...]] = {
    ours: tuple(f"--{name}" for name in theirs.split())
    for ours, theirs in {
        "--batch": "batch-size bs global-batch-size train-batch-size "
        "per-device-train-batch-size batch-size-per-gpu",
        "--checkpoint-every": "save-every save-freq save-steps save-interval checkpoint-interval "
        "checkpoint-freq ckpt-every saveckp-freq",
        "--data": "dataset data-dir data-path dataset-name dataset-dir train-data root",
        "--devices": "gpus num-gpus n-gpus device num-devices gpu-ids gpu",
        "--eval-every": "eval-freq eval-steps eval-interval val-every",
        "--from": "checkpoint checkpoint-path ckpt ckpt-path init-from initial-checkpoint "
        "pretrained pretrained-weights load model-name-or-path",
        "--lr": "learning-rate max-lr peak-lr base-lr lr-max lr-base",
        "--model": "arch architecture model-name variant backbone size",
        "--out": "output output-dir out-dir save-dir",
        "--res": "image-size img-size resolution input-size crop-size pp-size train-crop-size",
        "--seed": "random-seed rng-seed",
        "--steps": "iters iterations max-iters max-steps total-steps num-steps train-steps "
        "training-steps",
        "--epochs": "num-epochs num-train-epochs max-epochs n-epochs",
        "--store": "workdir work-dir log-dir logdir run-dir",
        "--topology": "gpu gpus tpu device accelerator hardware",
        "--val-fraction": "val-split validation-split test-size val-size val-ratio",
        "--warmup": "warmup-steps warmup-epochs warmup-ratio num-warmup-steps lr-warmup-epochs",
        "--wd-body": "weight-decay wd decay",
        "--wd-head": "weight-decay wd decay",
        "--workers": "num-workers num-proc nproc jobs threads",
        "--ema": "model-ema ema-decay model-ema-decay",
        "--mesh": "fsdp strategy sharding",
        "--microbatch": "accumulate grad-accum gradient-accumulation-steps accum-iter "
        "grad-accum-steps",
        "--remat": "gradient-checkpointing grad-checkpointing checkpoint-activations",
        "--track": "wandb report-to log-wandb use-wandb mlflow",
        "--force": "overwrite",
        "--quiet": "silent",
    }.items()
}
"""By the option of ours."""

SETTINGS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("--optimizer", "--opt", "--optim"), ("optim.name", "adam")),
    **dict.fromkeys(
        ("--precision", "--dtype", "--amp", "--bf16", "--fp16", "--mixed-precision", "--amp-dtype"),
        ("precision", "bfloat16"),
    ),
    **dict.fromkeys(("--clip-grad", "--max-grad-norm", "--grad-clip"), ("optim.clip_norm", "1")),
    **dict.fromkeys(("--mixup", "--mixup-alpha"), ("data.augment.mixup_alpha", "0.2")),
    **dict.fromkeys(("--loss", "--criterion"), ("loss", "softmax")),
    **dict.fromkeys(("--hflip", "--flip"), ("data.augment.flip", "false")),
    **dict.fromkeys(("--heads", "--num-heads"), ("model.heads", "6")),
    **dict.fromkeys(("--depth", "--layers", "--num-layers"), ("model.depth", "12")),
    **dict.fromkeys(("--width", "--dim", "--embed-dim", "--hidden-size"), ("model.width", "384")),
    **dict.fromkeys(("--patch", "--patch-size"), ("model.patch", "16")),
    **dict.fromkeys(("--beta1", "--adam-beta1"), ("optim.beta1", "0.9")),
    **dict.fromkeys(("--beta2", "--adam-beta2"), ("optim.beta2", "0.999")),
}
"""What has no option of its own: the setting, and a value as an example."""


_RESUMED = dict.fromkeys(
    ("--resume", "--resume-from", "--resume-from-checkpoint", "--auto-resume", "--continue"),
    "the same command again continues an unfinished run",
)
_PLANNED = "vitctl plan tells memory, speed and cost, and --print-config all settings"
SENTENCES: Mapping[str, str] = {**_RESUMED, "--dry-run": _PLANNED}
"""What trainers have an option for, and commands that train need none."""


COMMANDS: Mapping[str, str] = {
    "train": "pretrain or finetune",
    "training": "pretrain or finetune",
    "resume": "pretrain",
    "eval": "evaluate",
    "test": "evaluate",
    "validate": "evaluate",
    "probe": "fewshot",
    "linear": "fewshot",
    "knn": "fewshot",
    "infer": "predict",
    "inference": "predict",
    "classify": "predict",
    "features": "embed",
    "extract": "embed",
    "encode": "embed",
    "convert": "import or export",
    "load": "import",
    "list": "ls",
    "info": "show",
    "cat": "show",
    "delete": "rm",
    "remove": "rm",
    "clean": "rm",
    "dataset": "shard",
    "prepare": "shard",
    "preprocess": "shard",
    "check": "verify or doctor",
    "benchmark": "bench",
    "estimate": "plan",
    "cost": "plan or advise",
    "tree": "lineage",
    "graph": "lineage",
    "soup": "average",
}
"""Words for commands, where the nearest in spelling is another one."""


KINDS_OF_INPUT = frozenset({
    "folder", "dir", "directory", "imagefolder", "image-folder", "images", "image",
    "files", "file", "path", "dataset", "checkpoint",
})  # fmt: skip
"""Words that people put before an argument to say what it is."""


VALUES: Mapping[str, tuple[str, ...]] = {
    "hf": ("huggingface",),
    "transformers": ("huggingface",),
    "pytorch": ("safetensors", "timm"),
    "torch": ("safetensors", "timm"),
    "pt": ("safetensors", "timm"),
    "jax": ("big_vision",),
    "flax": ("big_vision",),
    "npz": ("big_vision",),
    "numpy": ("big_vision",),
    "savedmodel": ("stablehlo",),
    "tensorflow": ("stablehlo",),
    "tf": ("stablehlo",),
}
"""Words for values that options choose from."""


BEHIND: Mapping[str, str] = {"--steps": "schedule.total_steps"}
"""Settings that an option decides in another way than as it is given."""


COUNTED_ON: Mapping[str, str | None] = {"cooldown": None, "pretrain": "source"}
"""Commands whose --steps counts from a checkpoint, as the setting behind it does not: always, or
where this argument is given."""


def setting(
    unknown: str,
    options: Mapping[str, str | None],
    keys: Collection[str],
    *,
    command: str | None = None,
    given: Collection[str] = (),
) -> str | None:
    """The hint for a key that is no setting of `command`, called with the arguments `given`: named
    as one of its `options` (option -> the setting that it sets, if any), or as another program's;
    `keys` are the settings.

    >>> setting("batch_size", {"--batch": "data.batch"}, ["data.batch"])
    'did you mean data.batch?'
    >>> setting("workers", {"--workers": None}, [])
    'give it as an option of the command: --workers'
    """
    word = "--" + unknown.rsplit(".", 1)[-1].lower().replace("_", "-")
    ours = [word] if word in options else []
    ours = ours or [name for name, theirs in OPTIONS.items() if word in theirs and name in options]
    theirs = SETTINGS[word][0] if word in SETTINGS else None
    counted_on = COUNTED_ON.get(command or "", "no argument") in {None, *given}
    settings = {} if counted_on else BEHIND
    sets = [options[name] or settings.get(name) for name in ours] or [theirs]
    if near := [key for key in sets if key is not None and key in keys]:
        return did_you_mean(near)
    return f"give it as an option of the command: {either(ours)}" if ours else None


def chosen(word: str, options: Collection[str]) -> str | None:
    """The hint for a word of another program, by the values that an option has."""
    ours = [one for one in VALUES.get(word.lower(), ()) if one in options]
    return did_you_mean(ours)


def meant(unknown: str, options: Collection[str]) -> str | None:
    """The hint for an option of another program, by the `options` that the command has.

    >>> meant("--image_size", ["--res", "--seed"])
    'did you mean --res?'
    """
    wanted = unknown.replace("_", "-")
    if wanted in SENTENCES and "--checkpoint-every" in options:
        return SENTENCES[wanted]
    ours = [name for name, theirs in OPTIONS.items() if wanted in theirs and name in options]
    if ours:
        return did_you_mean(ours)
    if wanted in SETTINGS and "--set" in options:
        key, value = SETTINGS[wanted]
        return f"it is a setting: --set {key}=VALUE, for example {value}"
    return None
