"""The flags of `vitctl advise`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.advise.settings import resolve, resolve_inputs
from vitctl.artifacts.kinds import SWEEP
from vitctl.console import completion, flags
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(makes=False, computes=True)
def advise(
    session: Session,
    budget: Annotated[
        str | None,
        Option(
            metavar="AMOUNT",
            help="Budget of the run: 200h or 3d on all devices together, 3200 device-hours, $500 "
            "(with --price), 30 core-days of TPUv3, 1e21 FLOPs, or 2B images.",
        ),
    ] = None,
    error: Annotated[
        str | None,
        Option(
            metavar="RATE",
            help="Error to reach, 0.15 or 15%, in place of a budget: the answer is the cheapest "
            "run.",
        ),
    ] = None,
    topology: Annotated[
        str | None,
        Option(
            help="TPUs: chips as in v5e:4x4, or a slice as in v4-32; local means the devices of "
            "this machine (default: local for a budget in hours or money, else none).",
            autocompletion=completion.topologies,
        ),
    ] = None,
    gpu: Annotated[
        str | None,
        Option(metavar="GPUS", help="NVIDIA GPUs, as in h100:8, 8xA100 or a3-highgpu-8g."),
    ] = None,
    data: Annotated[
        str | None,
        Option(
            metavar="REF",
            help="Dataset to train on (default: the newest in the store).",
            autocompletion=completion.datasets,
        ),
    ] = None,
    examples: Annotated[
        str | None,
        Option(metavar="N", help="Images in the training set, in place of a dataset."),
    ] = None,
    classes: Annotated[
        int | None,
        Option(metavar="N", help="Classes of the training set, with --examples (default: 1000)."),
    ] = None,
    runs: Annotated[
        str | None,
        Option(
            metavar="RUNS",
            help="Measured runs that the laws are fitted to: a sweep (its path, name or id, or - "
            "for stdin), a table as scaling fit reads it, store or paper (default: the results in "
            "the store, else the points of the paper).",
        ),
    ] = None,
    metric: Annotated[
        str | None,
        Option(
            metavar="NAME",
            help="Metric whose error is predicted: a column of the table, or a metric of the "
            "store, as in 10-shot:photos/10 (default: in the store the one that was measured for "
            "the most models; in the paper's points inet10).",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        Option(metavar="NAME", help="Candidate; repeatable (default: all measured models)."),
    ] = None,
    recipe: flags.RecipeChoice = None,
    batch: Annotated[
        int | None,
        Option(metavar="N", help="Images per step, over all devices (default: the recipe's)."),
    ] = None,
    price: Annotated[
        str | None,
        Option(
            metavar="MONEY",
            help="Price of one device for an hour, in any currency, to compute costs.",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        Option(
            metavar="ERROR",
            help="Increase of the error that is accepted to leave a part of the budget unused "
            "(default: 0.001, a tenth of a point).",
        ),
    ] = None,
) -> None:
    """Example: vitctl advise --budget 200h --topology v5e:4x4 --data photos

    Choose the model, the number of images and the batch for a budget, and predict the error with an
    interval, the cost and the memory. The laws are fitted to your own measured runs if the store
    has enough of them, else to the points of the paper; the answer names its source, and says what
    is extrapolated. Nothing is trained or compiled.
    """
    request = resolve(
        budget=budget,
        error=error,
        topology=topology,
        gpu=gpu,
        runs=runs,
        metric=metric,
        models=model,
        recipe=recipe,
        batch=batch,
        price=price,
        tolerance=tolerance,
    )
    inputs = resolve_inputs(
        dataset=lambda: session.one("dataset", data, option="--data"),
        names_dataset=data is not None,
        examples=examples,
        classes=classes,
        runs=runs,
        sweep=lambda reference: session.one(SWEEP.name, reference, option="--runs"),
    )
    from stages.advise.run import run

    advice = run(request, inputs, store=session.store, emit=session.emit)
    if session.options.json:
        session.answer_json(advice.as_json())
    else:
        from stages.advise.text import as_text

        session.answer_text(as_text(advice))
