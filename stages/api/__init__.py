"""The commands from Python: what the shell says, in a notebook or a sweep. Silent without `emit`.

    call      the arguments of every command, how an input is looked up, settings of a call
    translation  what an error says to a caller in Python instead of flags
    data      shard, merge, subset, dedup, cluster, mix
    train     pretrain, cooldown, finetune, average
    measure   fewshot, evaluate, compare, vtab, scaling_fit, scaling_plot
    grids     sweep
    use       predict, embed, import_, export
    results   ls, show, lineage, verify, replay, report, rm
    hardware  plan, advise, bench_feed, doctor

    from stages.api import cooldown, fewshot, pretrain

    trunk = pretrain(model="S/16", data="photos", steps=20_000, set={"optim.wd_head": 1})
    finished = cooldown(trunk, steps=2_000)
    print(fewshot(finished).summary["shots"])

Settings are resolved by the functions that the command line uses, so the same words make the same
artifact, with the same id: what the shell has made is returned, and what it has begun goes on.

Arguments are what is no setting: inputs, the name of a model, a length, `weights`. All else is a
setting, and `set` takes it by the key that `--print-config` shows (docs/guide/python.md).
"""

from __future__ import annotations

from stages.api.call import Configured, Count, Looking, Making, Options, Reference, settings
from stages.api.data import cluster, dedup, merge, mix, shard, subset
from stages.api.grids import sweep
from stages.api.hardware import advise, bench_feed, doctor, plan
from stages.api.measure import compare, evaluate, fewshot, scaling_fit, scaling_plot, vtab
from stages.api.results import lineage, ls, replay, report, rm, show, verify
from stages.api.train import average, cooldown, finetune, pretrain
from stages.api.use import embed, export, import_, predict

__all__ = [
    "Configured",
    "Count",
    "Looking",
    "Making",
    "Options",
    "Reference",
    "advise",
    "average",
    "bench_feed",
    "cluster",
    "compare",
    "cooldown",
    "dedup",
    "doctor",
    "embed",
    "evaluate",
    "export",
    "fewshot",
    "finetune",
    "import_",
    "lineage",
    "ls",
    "merge",
    "mix",
    "plan",
    "predict",
    "pretrain",
    "replay",
    "report",
    "rm",
    "scaling_fit",
    "scaling_plot",
    "settings",
    "shard",
    "show",
    "subset",
    "sweep",
    "verify",
    "vtab",
]
