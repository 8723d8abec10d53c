"""The flags of `vitctl vtab`, and what it prints."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from typer import Option

from stages.vtab.settings import read_named, read_rates, resolve
from stages.vtab.spec import Commands, VtabConfig
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds import VTAB
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.events import Settings
from vitctl.recipes.composed import ComposedRuntime
from vitctl.text import quantities

_SETTINGS = (
    Flag(
        "images",
        "Training images to draw of each dataset (default: 1000).",
        reads=quantities.parse_count,
        metavar="N",
    ),
    Flag(
        "seed",
        "Seed of the draw, and of order, augmentation and classifier of each fine-tuning (default: "
        "0).",
    ),
    Flag(
        "steps",
        "Steps of each fine-tuning, for example 500 (default: the paper's 2,500).",
        reads=quantities.parse_count,
        metavar="N",
    ),
    replace(
        flags.WARMUP,
        key="warmup",
        help="Steps of linear warmup (default: 500, or all but one of fewer steps).",
    ),
    replace(flags.BATCH, key="batch", help="Images per step, over all devices (default: 512)."),
    Flag(
        "resolution",
        "Side of the square input image in pixels (default: as vitctl finetune).",
        name="--res",
    ),
    Flag("lr", "Peak learning rate for all datasets (default: the paper's 0.01)."),
    Flag(
        "sweep_lr",
        "Choose the learning rate for each dataset: train with each on four fifths of the images "
        "drawn, score on the others, then train on all with the best (default: one for all).",
        reads=read_rates,
        metavar="LR,LR",
    ),
    flags.WEIGHTS,
    Flag("train_split", "Split to draw the training images from (default: train)."),
    Flag("eval_split", "Split to score, all of it (default: test, else val)."),
)
_OURS = {
    "eval_every": "Steps between evaluations; 0 evaluates only at the end (default: 0).",
    "keep_newest": "Also keep the N newest checkpoints of each fine-tuning (default: 1).",
    "keep_every": "Keep each checkpoint whose step is a multiple of this (default: the last one).",
}
_RUNNING = tuple(
    replace(flag, help=_OURS[flag.key]) if flag.key in _OURS else flag for flag in flags.TRAINING
)


@verb(sets=Flags(VtabConfig, _SETTINGS), runs=Flags(ComposedRuntime, _RUNNING), computes=True)
def vtab(
    session: Session,
    source: flags.Sources = None,
    data: flags.VtabDatasets = None,
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Train nothing; print every fine-tuning and what it takes."),
    ] = False,
) -> None:
    """Example: vitctl vtab --from RUN --data caltech101 --data pets --data my-xrays

    Fine-tune a model on 1,000 images of each of several datasets, with one setting for all, and
    score it on their whole test splits: the VTAB-1k protocol. Prints the accuracy on each dataset,
    the means of the natural, specialized and structured tasks, and the mean over all. Datasets that
    are none of VTAB's 19 tasks form a group of their own. Each fine-tuning is a run in the store:
    the same command continues where one was stopped.
    """
    # The one stage that is made of others: they come from above, as from a program of a user.
    from stages import api

    runtime = session.runtime(ComposedRuntime)
    named = read_named(data or [])
    checkpoints = session.several("checkpoint", source, option="--from")
    datasets = [
        (task, session.one("dataset", reference, option="--data", stdin=False))
        for task, reference in named
    ]
    commands = Commands.of(api.subset, api.finetune)
    made: list[Artifact] = []
    for checkpoint in checkpoints:
        cfg, inputs = resolve(
            session.overrides,
            checkpoint,
            datasets,
            commands=commands,
            store=session.store,
            emit=session.emit,
        )
        if dry_run and not session.options.print_config:
            from stages.vtab.answer import as_text
            from stages.vtab.cost import planned

            plan = planned(cfg, inputs)
            if session.options.json:
                session.answer_json(plan.as_json())
            else:
                session.answer_text(as_text(plan))
            continue
        artifact = session.deliver("vtab", cfg, inputs, runtime=runtime)
        if artifact is not None:
            made.append(artifact)
    if len(made) > 1:
        from stages.vtab.text import compared

        session.emit(Settings("VTAB-1k accuracies", compared([*map(VTAB.summary, made)])))
