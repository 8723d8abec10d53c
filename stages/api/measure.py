"""Measurements of models: few-shot accuracies, scores, and the laws of many runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, get_args, overload

from stages.api.call import Call, Configured, Options, Reference
from stages.api.translation import in_python
from vitctl.artifacts import Artifact, Run
from vitctl.artifacts.kinds import CHECKPOINT, EVALUATION, FEWSHOT, SCALING_FIT, SWEEP
from vitctl.errors import UsageError
from vitctl.stage import Runtime
from vitctl.summaries import Features

if TYPE_CHECKING:
    from stages.evaluate.compare import Comparison
    from stages.evaluate.spec import EvaluateConfig
    from stages.evaluate.spec import Inputs as EvaluateInputs
    from stages.fewshot.comparison import Difference
    from stages.fewshot.spec import FewshotConfig
    from stages.vtab.cost import VtabPlan
    from vitctl.recipes.measuring import Measured


@in_python
def fewshot(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    shots: Sequence[int] | Literal["all"] | None = None,
    features: Reference | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> few-shot accuracies on a dataset. `source` left out is the newest checkpoint,
    `data` what it was trained on. `features`: "model", "pixels" or "untrained"; or stored features,
    of `embed` or in another program's files, with neither source nor data."""
    from stages.fewshot.settings import features_in_files, resolve, resolve_given
    from stages.fewshot.spec import Given
    from vitctl.recipes.measuring import Measured, MeasuringRuntime

    call = Call(fewshot, options)
    runtime = call.runtime(MeasuringRuntime)
    overrides = call.overrides.with_flags(
        {"shots": shots if shots is None or shots == "all" else sorted({*shots})}
    )
    if features is not None and features not in get_args(Features):
        if source is not None or data is not None:
            raise TypeError("fewshot() takes neither source nor data with stored features")
        files = None
        if not isinstance(features, Artifact):
            files = features_in_files(Path(call.named(features)))
        given_features = files or Given(call.input("feature-set", features, option="features"))
        cfg = resolve_given(overrides, given_features, emit=call.emit)
        call.resolved(lambda: cfg)
        from stages.fewshot.run import run

        return run(cfg, given_features, store=call.store, runtime=runtime, emit=call.emit)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    overrides = overrides.with_flags({"features": features})
    (cfg,) = resolve(overrides, checkpoint, dataset, store=call.store, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.fewshot.run import run

    given = Measured(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def evaluate(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    labels: Path | str | None = None,
    class_map: Path | str | Mapping[str, str | Sequence[str]] | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> scores and metrics on a dataset. `source` left out is the newest checkpoint,
    `data` what it was trained on; `labels` is a file of labels in place of the dataset's, and
    `class_map` the model's names of the dataset's classes, or a file of them."""
    from stages.evaluate.settings import read_classes, resolve
    from vitctl.recipes.measuring import MeasuringRuntime

    call = Call(evaluate, options)
    runtime = call.runtime(MeasuringRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    if class_map is not None and not isinstance(class_map, Mapping):
        class_map = read_classes(class_map, name="class_map", emit=call.emit)
    overrides = call.overrides.with_flags({"class_map": class_map})
    file = None if labels is None else Path(labels)
    cfg, given = resolve(overrides, checkpoint, dataset, labels=file, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.evaluate.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def compare(
    first: Reference,
    second: Reference,
    *,
    by: Literal["evaluate", "fewshot"] | None = None,
    data: Reference | None = None,
    labels: Path | str | None = None,
    features: Features | None = None,
    **options: Unpack[Configured],
) -> Comparison | Sequence[Difference]:
    """Two results of `evaluate` on the same images, or of `fewshot` on the same draws -> how much
    better the second one is, and whether by more than chance. With `by` also two runs or
    checkpoints, which are measured by that function first: on `data`, with `labels` or `features`
    and the settings of it."""
    from vitctl.recipes.measuring import MeasuringRuntime

    call = Call(compare, options, takes=Configured)
    runtime = call.runtime(MeasuringRuntime)
    if by is None:
        one, other = _result(call, first), _result(call, second)
        if one.kind == other.kind == EVALUATION.name:
            by = "evaluate"
        elif one.kind == other.kind == FEWSHOT.name:
            by = "fewshot"
        else:
            raise UsageError(
                f"{one.path} is of kind {one.kind}, {other.path} of kind {other.kind}",
                hint="compare two results of evaluate, or two of fewshot",
            )
    else:
        result = EVALUATION.name if by == "evaluate" else FEWSHOT.name
        one, other = (call.input("checkpoint", r, or_kind=result) for r in (first, second))
    if by == "evaluate":
        from stages.evaluate.comparing import compared as compare_evaluations
        from stages.evaluate.run import run as evaluate_run

        if features is not None:
            raise TypeError("compare() takes features with by='fewshot' only")

        def evaluated(cfg: EvaluateConfig, given: EvaluateInputs) -> Artifact:
            call.resolved(lambda: cfg)
            return evaluate_run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)

        comparison = compare_evaluations(
            one,
            other,
            overrides=call.overrides,
            labels=None if labels is None else Path(labels),
            named_data=data is not None,
            dataset=lambda checkpoint: call.measured_on(checkpoint, data),
            evaluate=evaluated,
            emit=call.emit,
        )
        assert comparison is not None  # both are made
        return comparison
    from stages.fewshot.comparing import compared as compare_fewshot
    from stages.fewshot.run import run as fewshot_run

    if labels is not None:
        raise TypeError("compare() takes labels with by='evaluate' only")

    def probed(cfg: FewshotConfig, given: Measured) -> Artifact:
        call.resolved(lambda: cfg)
        return fewshot_run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)

    answer = compare_fewshot(
        one,
        other,
        overrides=call.overrides,
        features=() if features is None else (features,),
        dataset=lambda checkpoint: call.measured_on(checkpoint, data),
        probe=probed,
        store=call.store,
        emit=call.emit,
    )
    assert answer is not None  # both are made
    return answer[-1]


def _result(call: Call, reference: Reference) -> Artifact:
    entry, step = call.entry_and_step(reference)
    if isinstance(entry, Run) or step is not None or entry.kind == CHECKPOINT.name:
        raise UsageError(
            f"{call.named(reference)} is a run, and results are compared",
            hint="measure both first: compare(A, B, by='evaluate'), or by='fewshot'",
        )
    return entry


@overload
def vtab(
    source: Reference | None = None,
    *,
    data: Sequence[Reference] | Mapping[str, Reference],
    dry_run: Literal[False] = False,
    **options: Unpack[Options],
) -> Artifact: ...


@overload
def vtab(
    source: Reference | None = None,
    *,
    data: Sequence[Reference] | Mapping[str, Reference],
    dry_run: Literal[True],
    **options: Unpack[Options],
) -> VtabPlan: ...


@in_python
def vtab(
    source: Reference | None = None,
    *,
    data: Sequence[Reference] | Mapping[str, Reference],
    dry_run: bool = False,
    **options: Unpack[Options],
) -> Artifact | VtabPlan:
    """A checkpoint, fine-tuned on 1,000 images of each dataset -> accuracies on the whole test
    splits, and their means. `source` left out is the newest checkpoint; `data` may say by VTAB's
    names which task a dataset is: {"pets": "my-cats"}. With `dry_run` what would be trained, at
    which cost."""
    from stages.api.data import subset
    from stages.api.train import finetune
    from stages.vtab.settings import read_named, resolve, task_of
    from stages.vtab.spec import Commands
    from vitctl.recipes.composed import ComposedRuntime

    call = Call(vtab, options)
    runtime = call.runtime(ComposedRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    named = (
        [(task_of(name), call.named(reference)) for name, reference in data.items()]
        if isinstance(data, Mapping)
        else read_named([*map(call.named, data)])
    )
    datasets = [(task, call.input("dataset", reference)) for task, reference in named]
    cfg, given = resolve(
        call.overrides,
        checkpoint,
        datasets,
        commands=Commands.of(subset, finetune),
        store=call.store,
        emit=call.emit,
    )
    call.resolved(lambda: cfg)
    if dry_run:
        from stages.vtab.cost import planned

        return planned(cfg, given)
    from stages.vtab.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def scaling_fit(
    table: Reference | None = None, *, loss: str | None = None, **options: Unpack[Options]
) -> Artifact:
    """A table with a row for each run, or a sweep, left out the newest -> the law fitted to it.
    `loss` names a column of losses, in place of error rates."""
    from stages.scaling.settings import fit_inputs, of_fit, settled_fit

    call = Call(scaling_fit, options)
    given = fit_inputs(
        None if table is None else call.named(table),
        lambda reference: call.input(SWEEP.name, reference, option="table"),
    )
    cfg = of_fit(call.overrides, loss=loss, sweep=given.sweep)
    call.resolved(lambda: settled_fit(cfg, given.table))
    from stages.scaling.fit.run import run

    return run(cfg, given, store=call.store, runtime=call.runtime(Runtime), emit=call.emit)


@in_python
def scaling_plot(
    table: Reference | None = None, *, loss: str | None = None, **options: Unpack[Options]
) -> Artifact:
    """A table with a row for each run, a sweep, or a fit, left out the newest -> its figures."""
    from stages.scaling.settings import of_plot, resolve_inputs, settled_plot

    call = Call(scaling_plot, options)
    given = resolve_inputs(
        None if table is None else call.named(table),
        lambda reference: call.input(
            SCALING_FIT.name, reference, option="table", or_kind=SWEEP.name
        ),
    )
    cfg = of_plot(call.overrides, given, loss=loss)
    call.resolved(lambda: settled_plot(cfg, given))
    from stages.scaling.plot.run import run

    return run(cfg, given, store=call.store, runtime=call.runtime(Runtime), emit=call.emit)
