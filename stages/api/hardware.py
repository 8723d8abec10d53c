"""Hardware: what a run would need, and whether a machine is fit to train on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from stages.api.call import Call, Configured, Count, Looking, Reference
from stages.api.translation import in_python
from vitctl.plan.topology import LOCAL
from vitctl.recipes.recipe import RecipeName
from vitctl.recipes.settings import length
from vitctl.settings.overrides import build

if TYPE_CHECKING:
    from stages.bench.feed.spec import FeedReport
    from stages.doctor.spec import Report
    from vitctl.advice.answer import Advice
    from vitctl.artifacts import Artifact
    from vitctl.plan.answer import Answer


@in_python
def plan(
    *,
    model: str | None = None,
    topology: str = LOCAL,
    from_: Reference | None = None,
    data: Reference | None = None,
    examples: Count | None = None,
    recipe: RecipeName | None = None,
    steps: Count | None = None,
    images: Count | None = None,
    epochs: float | None = None,
    **options: Unpack[Configured],
) -> Answer:
    """Configured and hardware -> memory, speed and cost of the run that `pretrain` would make of
    them. `topology` are TPUs, as in "v3:32x32", or this machine; `from_` is what `pretrain` goes
    on from. `runtime` takes `search`, `mesh`, `price` and the other fields of `PlanRuntime`."""
    from stages.plan.settings import resolve

    call = Call(plan, options, takes=Configured)
    checkpoint = None
    if from_ is not None:
        checkpoint = call.input("checkpoint", from_, option="from_", trunk=True)

    def dataset(own: Artifact | None) -> Artifact:
        return call.input("dataset", data) if own is None else call.trained_on(own)

    planned = resolve(
        call.overrides,
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        topology=topology,
        dataset=dataset,
        names_dataset=data is not None,
        examples=examples,
        checkpoint=checkpoint,
        emit=call.emit,
    )
    runtime = planned.runtime(call.running)
    call.resolved(lambda: planned.cfg)
    from stages.plan.run import run

    return run(planned.cfg, planned.inputs, runtime=runtime, emit=call.emit)


@in_python
def advise(
    budget: str | None = None,
    *,
    error: float | str | None = None,
    topology: str | None = None,
    gpu: str | None = None,
    data: Reference | None = None,
    examples: Count | None = None,
    classes: int | None = None,
    runs: Reference | None = None,
    metric: str | None = None,
    model: str | Sequence[str] | None = None,
    recipe: RecipeName | None = None,
    batch: int | None = None,
    price: float | None = None,
    tolerance: float | None = None,
    **options: Unpack[Looking],
) -> Advice:
    """A budget, as in "200h" or "1e21 FLOPs", or an `error` to reach -> what to train, and what to
    expect of it. `data` left out is the newest dataset of the store; `runs`, the measured runs
    that advice rests on, are a sweep, a table, "store" or "paper"; `model` are the candidates."""
    from stages.advise.settings import resolve, resolve_inputs

    call = Call(advise, options, takes=Looking)
    named = None if runs is None else str(runs)
    request = resolve(
        budget=budget,
        error=error,
        topology=topology,
        gpu=gpu,
        runs=named,
        metric=metric,
        models=[model] if isinstance(model, str) else model,
        recipe=recipe,
        batch=batch,
        price=price,
        tolerance=tolerance,
    )
    inputs = resolve_inputs(
        dataset=lambda: call.input("dataset", data),
        names_dataset=data is not None,
        examples=examples,
        classes=classes,
        runs=named,
        sweep=lambda reference: call.input("sweep", reference),
    )
    from stages.advise.run import run

    return run(request, inputs, store=call.store, emit=call.emit)


@in_python
def bench_feed(*, data: Reference | None = None, **options: Unpack[Configured]) -> FeedReport:
    """A dataset -> how fast its images reach training on this machine, against decoding alone, and
    what each part of the input takes. `runtime` takes `seconds` and `workers`."""
    from stages.bench.feed.settings import resolve
    from stages.bench.feed.spec import FeedRuntime, Inputs

    call = Call(bench_feed, options, takes=Configured)
    cfg = resolve(call.overrides)
    given = Inputs(call.input("dataset", data, needs_labels=False))
    runtime = build(FeedRuntime, call.running)
    call.resolved(lambda: cfg)
    from stages.bench.feed.run import run

    return run(cfg, given, runtime=runtime, emit=call.emit)


@in_python
def doctor(
    *, data: Reference | None = None, timeout: float | None = None, **options: Unpack[Looking]
) -> Report:
    """This machine -> the findings of all checks. `data` left out is the newest dataset of the
    store, `timeout` the seconds that each check has of its own."""
    from stages.doctor.run import run
    from stages.doctor.spec import DoctorRuntime, Inputs

    call = Call(doctor, options, takes=Looking)
    dataset = None if data is None else call.input("dataset", data)
    given = Inputs(call.store.root.absolute(), None if dataset is None else dataset.path)
    return run(given, runtime=build(DoctorRuntime, {"timeout_s": timeout}))
