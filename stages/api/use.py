"""A model in use: its answers, its features, and its weights from and for other libraries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Unpack

from stages.api.call import Call, Configured, Options, Reference
from stages.api.translation import in_python
from stages.predict.spec import Answer
from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.export import Target
from vitctl.summaries import WeightsName


@in_python
def predict(
    source: Reference | None = None,
    *,
    images: Iterable[Path | str],
    **options: Unpack[Configured],
) -> Iterator[Answer]:
    """A checkpoint and files of images -> an answer each, in order, as it is computed: `classes`,
    pairs of name and probability, or the `reason` why there are none. `source` left out is the
    newest checkpoint."""
    from stages.predict import names
    from stages.predict.settings import resolve
    from stages.predict.spec import Inputs, PredictRuntime

    call = Call(predict, options, takes=Configured)
    runtime = call.runtime(PredictRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    cfg = resolve(call.overrides, checkpoint, store=call.store, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.predict.run import run

    files = map(names.named, map(str, images))
    batches = run(cfg, Inputs(checkpoint, files), store=call.store, runtime=runtime, emit=call.emit)
    return chain.from_iterable(batches)


@in_python
def embed(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    at: str | None = None,
    splits: Sequence[str] | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> features of a dataset's images, kept. `source` left out is the newest
    checkpoint, `data` what it was trained on, `splits` all."""
    from stages.embed.settings import resolve
    from vitctl.recipes.measuring import Measured, MeasuringRuntime

    call = Call(embed, options)
    runtime = call.runtime(MeasuringRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    flags = {"at": at, "splits": None if splits is None else list(splits)}
    cfg = resolve(call.overrides.with_flags(flags), checkpoint, dataset, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.embed.run import run

    given = Measured(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def import_(
    source: Path | str, *, classes: Path | str | None = None, **options: Unpack[Options]
) -> Artifact:
    """Weights of another codebase, a file or a folder -> a run. `classes` is a file of names."""
    from stages.import_.settings import resolve
    from stages.import_.spec import ImportRuntime

    call = Call(import_, options)
    cfg, given = resolve(call.overrides, source, classes=classes)
    runtime = call.runtime(ImportRuntime)
    call.resolved(lambda: cfg)
    from stages.import_.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def export(
    source: Reference | None = None,
    *,
    to: Target,
    no_classifier: bool = False,
    weights: WeightsName | None = None,
    license: str | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> files that the library `to` loads. `source` left out is the newest
    checkpoint; `no_classifier` leaves its classifier out; `license` is for the model card."""
    from stages.export.settings import resolve
    from stages.export.spec import ExportRuntime, Inputs

    call = Call(export, options)
    runtime = call.runtime(ExportRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    flags = {
        "to": to,
        "features": no_classifier or None,
        "weights": weights,
        "license": license,
    }
    cfg = resolve(call.overrides.with_flags(flags), checkpoint, emit=call.emit)
    call.resolved(lambda: cfg)
    from stages.export.run import run

    return run(cfg, Inputs(checkpoint), store=call.store, runtime=runtime, emit=call.emit)
