"""How `vitctl advise` works: measured runs, laws, speeds and memory -> what to train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stages.advise import budgets, refusals, results
from stages.advise.spec import Goal, Inputs
from vitctl.advice import choice, evidence, fitting, own_runs, rates, target
from vitctl.advice.answer import Advice, LeftOut, OtherBudget
from vitctl.advice.choice import Contender
from vitctl.advice.evidence import Evidence
from vitctl.advice.fitting import Fitted
from vitctl.advice.target import Devices
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.pasteable import store_flags
from vitctl.errors import DoesNotFitError, UsageError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.model import accounting
from vitctl.plan.topology import LOCAL
from vitctl.recipes import pretraining
from vitctl.recipes.pretraining import ImageFacts
from vitctl.scaling.model_fit import LEAST_RUNS
from vitctl.scaling.model_law import ModelLaw
from vitctl.text.quantities import show_count
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import suggest


def run(request: Goal, inputs: Inputs, *, store: Store, emit: Emit = silent) -> Advice:
    """What to train.

    Raises:
      UsageError: unknown devices, metrics or models; a budget that pays for no measured run; an
        error that no model reaches; a budget in hours where no speed is known.
      DoesNotFitError: no model fits into the memory of the devices.
    """
    # Images and devices
    images = _images(inputs)
    devices = _devices(request)

    # Measured runs and their laws
    takes_own = inputs.table is None and request.runs != evidence.PAPER
    entries: list[Artifact | Run] = []
    if takes_own or devices is not None:
        entries += store.entries(check=False)  # once: a large store takes seconds
    own = None
    if takes_own:
        own = own_runs.results(entries, store=store, sweep=inputs.sweep)
    runs = _evidence(request, inputs, own, examples=images.examples, emit=emit)
    emit(Note(f"advice rests on {runs.in_words}"))
    for remark in runs.remarks:
        emit(Note(remark))
    laws = runs.laws
    left_out = [
        LeftOut(name, f"has runs of fewer than {LEAST_RUNS} lengths, too few for a law of its own")
        for name in runs.points.models
        if name not in laws
    ]
    laws = _requested(laws, request.models, runs)

    # Layout, memory and speed
    fits, refused = _fitted(laws, runs, request, images=images, devices=devices)
    left_out += refused
    speeds = [] if devices is None else own_runs.speeds(entries, devices)
    rate = {} if devices is None else rates.rates(fits, devices=devices, speeds=speeds)

    # The choice
    bought = budgets.images(request, fits, rate, devices)
    unknown = [one.model for one in fits if one.model not in bought]
    left_out += [LeftOut(name, refusals.no_cost(request)) for name in unknown]
    contenders = [
        choice.contender(
            laws[one.model],
            batch=one.batch,
            images=bought[one.model],
            examples=images.examples,
        )
        for one in fits
        if one.model in bought
    ]
    if not contenders:
        raise refusals.nothing_known(request, devices)
    if not any(one.ever for one in contenders):
        raise refusals.too_few_images(contenders, examples=images.examples)
    if request.error is not None:
        contenders = _to_reach(request.error, contenders, examples=images.examples)
    chosen = choice.choose(
        contenders,
        examples=images.examples,
        tolerance=0.0 if request.error is not None else request.tolerance,
    )
    if chosen is None:
        raise refusals.too_small(request, contenders)
    compared = _compared(contenders, request, examples=images.examples)
    named = {one.model for one, _ in compared}
    left_out += [
        LeftOut(one.model, refusals.not_compared(one, request, examples=images.examples))
        for one in contenders
        if one.model not in named
    ]

    # The answer
    wrong = runs.foretold
    describe = results.Describe(
        request=request,
        fits={one.model: one for one in fits},
        rates=rate,
        devices=devices,
        examples=images.examples,
        wrong=wrong or 0.0,
        data=None if inputs.dataset is None else str(inputs.dataset.path),
        store=store_flags(store),
        probe=runs.probe,
    )
    best: Mapping[str, float] = {}
    if request.error is None:  # else all are as good
        best = choice.winners(compared, examples=images.examples)
    costs = [
        (
            float(accounting.matmul_flops(describe.fits[one.model].cfg.model)),
            one.law.error(steps * one.batch, examples=images.examples),
        )
        for one, steps in compared
    ]
    pareto = choice.on_pareto_frontier(costs)
    candidates = sorted(
        (
            describe.run(one, steps, best=best.get(one.model), pareto=on, chosen=chosen)
            for (one, steps), on in zip(compared, pareto, strict=True)
        ),
        key=lambda row: row.error,
    )
    (own_contender,) = [one for one in contenders if one.model == chosen.model]
    advised = describe.run(
        own_contender,
        chosen.steps,
        best=best.get(chosen.model),
        pareto=next(row.pareto for row in candidates if row.model == chosen.model),
        chosen=chosen,
    )
    others = [
        OtherBudget(
            scale,
            other.model,
            other.images,
            other.error,
            "extrapolated"
            if choice.extrapolations(
                laws[other.model], images=other.images, examples=images.examples
            )
            else "interpolated",
        )
        for scale, other in choice.ladder(
            contenders, examples=images.examples, tolerance=request.tolerance
        )
    ]
    cautions = results.cautions_of(runs, advised, describe)
    for sentence in cautions:
        emit(Caution(sentence))
    return Advice(
        goal=request.budget.text if request.budget else f"error {100 * (request.error or 0):.3g} %",
        meaning=results.meaning(request, devices),
        devices=None if devices is None else devices.name,
        device_count=None if devices is None else devices.count,
        memory_available=None if devices is None else devices.memory,
        data=describe.data or f"{show_count(images.examples)} images",
        examples=images.examples,
        classes=images.classes,
        evidence=results.in_words(runs, laws, wrong),
        run=advised,
        frontier_error=results.frontier_error(runs, advised),
        unused=max(0.0, 1.0 - chosen.share) if request.budget else 0.0,
        tolerance=request.tolerance,
        candidates=tuple(candidates),
        left_out=tuple(left_out),
        budgets=tuple(others),
        cautions=tuple(cautions),
    )


# Images and devices


def _images(inputs: Inputs) -> ImageFacts:
    if inputs.dataset is not None:
        return pretraining.images_of(inputs.dataset, split="train")
    assert inputs.examples is not None
    assert inputs.classes is not None
    return ImageFacts(inputs.examples, inputs.classes, eval_split=None)


def _devices(request: Goal) -> Devices | None:
    if request.gpu is not None:
        return target.named(request.gpu, option="--gpu")
    if request.topology is None:
        return None
    if request.topology.strip().lower() == LOCAL:
        return target.local()
    return target.named(request.topology)


# Measured runs


def _evidence(
    request: Goal,
    inputs: Inputs,
    own: own_runs.OwnResults | None,
    *,
    examples: int,
    emit: Emit,
) -> Evidence:
    if inputs.table is not None:
        return evidence.of_table(inputs.table, metric=request.metric)
    if own is not None:
        for reason, count in own.skipped.items():
            emit(Note(f"{count} results of {own.source} {reason}: they do not count"))
        metric = request.metric
        may_be_the_papers = inputs.sweep is None and request.runs is None
        if may_be_the_papers and metric is not None and metric not in own.by_metric:
            chosen = None  # one of the paper's, perhaps
        else:
            chosen = own.chosen(metric)
        if chosen is not None and chosen.models_with_laws:
            return chosen
        if not may_be_the_papers:
            raise UsageError(
                f"{own.source} has no model that was measured at "
                f"{LEAST_RUNS} lengths or more, which a law takes",
                hint="cool a trunk down at several steps and probe each, or --runs paper",
            )
        if own.by_metric and metric is None:
            emit(
                Note(
                    f"no model of the store was measured at {LEAST_RUNS} lengths or more, which a "
                    "law of its own takes"
                )
            )
    return evidence.of_paper(examples=examples, metric=request.metric)


def _requested(
    laws: Mapping[str, ModelLaw], models: Sequence[str] | None, runs: Evidence
) -> dict[str, ModelLaw]:
    if not laws:
        raise UsageError(
            f"no model of {runs.title} has runs of {LEAST_RUNS} lengths or more, which a law takes",
            hint="--runs paper rests on the paper's points",
        )
    for name in models or ():
        if name not in laws:
            raise UsageError(
                f"--model {quoted(name)} has no law: it is not among the measured models, or has "
                "too few runs",
                hint=suggest(name, laws, otherwise=f"there are {', '.join(laws)}"),
            )
    return {name: law for name, law in laws.items() if models is None or name in models}


# Layout, memory and speed


def _fitted(
    laws: Mapping[str, ModelLaw],
    runs: Evidence,
    request: Goal,
    *,
    images: ImageFacts,
    devices: Devices | None,
) -> tuple[list[Fitted], list[LeftOut]]:
    """Those that fit, and why the others do not. DoesNotFitError if none does for its memory."""
    fits: list[Fitted] = []
    refused: list[LeftOut] = []
    too_large = False
    for name in laws:
        try:
            fits.append(
                fitting.fitted(
                    name,
                    evidence=runs,
                    images=images,
                    recipe=request.recipe,
                    batch=request.batch,
                    devices=devices,
                )
            )
        except DoesNotFitError as error:
            too_large = True
            refused.append(LeftOut(name, error.message))
        except UsageError as error:
            refused.append(LeftOut(name, error.message))
    if not fits and too_large:
        least = refused[0]
        assert devices is not None
        raise DoesNotFitError(
            f"no measured model fits into the memory of {devices.name}: {least.model} "
            f"{least.reason}",
            hint="take more devices, devices with more memory, or a smaller --batch",
        )
    if not fits:
        raise UsageError(refused[0].reason, hint="choose another --batch, or fewer devices")
    return fits, refused


# The choice


def _to_reach(error: float, contenders: Sequence[Contender], *, examples: int) -> list[Contender]:
    """The contenders with the budget that the cheapest run to `error` takes."""
    cheapest = choice.cheapest(contenders, examples=examples, error=error)
    if cheapest is None:
        lowest = min(
            (choice.lowest_error(one, examples=examples), one.model)
            for one in contenders
            if one.ever
        )
        raise UsageError(
            f"no measured model is expected to reach an error of {100 * error:.3g} % on these "
            f"{show_count(examples)} images, however long it trains",
            hint=f"{lowest[1]} comes down to {100 * lowest[0]:.3g} %; more images or another model "
            "would take runs that are not measured",
        )
    return choice.in_units(contenders, cheapest.share)


def _compared(
    contenders: Sequence[Contender], request: Goal, *, examples: int
) -> list[tuple[Contender, int]]:
    """Each candidate and its steps: all that the budget buys, or those that reach the error."""
    if request.error is None:
        return [(one, one.steps()) for one in choice.reachable(contenders)]
    rows = []
    for one in contenders:
        run = choice.cheapest([one], examples=examples, error=request.error)
        if run is not None:
            rows.append((one, run.steps))
    return rows
