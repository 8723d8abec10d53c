"""The stages from Python: what the shell says, in a notebook or a sweep. Silent without `emit`.

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

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_args

from stages.predict.spec import Answer
from vitctl.artifacts import Artifact, Store, inputs
from vitctl.artifacts.pasteable import usual_store
from vitctl.errors import UsageError
from vitctl.events import Emit, silent
from vitctl.formula.family import FormulaConfig
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.hardware.machine import settle_platform
from vitctl.ingest.format_names import FormatName
from vitctl.ingest.imagenet_files import ImageNetFiles
from vitctl.interop.targets import Target
from vitctl.optim.schedules import CooldownShape
from vitctl.places import Place, place
from vitctl.quantities import parse_count
from vitctl.quoting import quoted
from vitctl.recipes.recipe import RecipeName
from vitctl.recipes.settings import length
from vitctl.settings.overrides import Overrides, build, read_toml
from vitctl.settings.trees import from_keys
from vitctl.stage import Runtime
from vitctl.suggestions import did_you_mean, nearest
from vitctl.summaries import Features, WeightsName

Reference = Artifact | Path | str
"""An artifact, or how the command line names one: a path, a name, an id, RUN@STEP, "latest"."""
Count = int | str
"""20_000, or as the command line writes it: "20k"."""

R = TypeVar("R", bound=Runtime)


class Options(TypedDict, total=False):
    """Keyword arguments of every stage.

    store    a `Store` or its place; left out: $VITCTL_STORE, else ./artifacts
    name     name of the result's folder in the store
    out      exact folder of the result, instead of one in the store
    force    make the result again although it is in the store
    config   a TOML file of settings
    set      settings by their dotted keys; they win over the file
    runtime  how to run, by the fields of the stage's Runtime: {"eval_every": 500, "workers": 4}
    emit     called with each event (`vitctl.events`): notes, cautions, progress
    """

    store: Store | Place | str
    name: str | None
    out: Place | str | None
    force: bool
    config: Path | str | None
    set: Mapping[str, Any]
    runtime: Mapping[str, Any]
    emit: Emit


def import_(
    source: Path | str, *, classes: Path | str | None = None, **options: Unpack[Options]
) -> Artifact:
    """Weights of another codebase, a file or a folder -> a run. `classes` is a file of names."""
    from stages.import_.run import run
    from stages.import_.spec import ImportConfig, ImportRuntime, Inputs

    call = _Call("import", options)
    cfg = call.overrides.build(ImportConfig, {})
    given = Inputs(Path(source), None if classes is None else Path(classes))
    runtime = call.runtime(ImportRuntime)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def shard(
    source: Path | str = "digits",
    *,
    labels: Path | str | None = None,
    class_titles: Path | str | None = None,
    classes_from: Place | str | None = None,
    exclude: Sequence[str] = (),
    format: FormatName | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
    label_separator: str | None = None,
    rehash: bool = False,
    formula: FormulaConfig | None = None,
    imagenet: ImageNetFiles | None = None,
    virtual: bool = False,
    **options: Unpack[Options],
) -> Artifact:
    """Images -> a dataset. `source` is a folder, an archive or several; "digits" is built in,
    "imagenet" is read from the files that `imagenet` names, and "formula" makes the pictures that
    `formula` describes, with `virtual` whenever they are read."""
    from stages.shard.formula import check_source
    from stages.shard.imagenet import check_imagenet
    from stages.shard.run import run
    from stages.shard.spec import Inputs, ShardConfig, ShardRuntime

    call = _Call("shard", options)
    cfg = call.overrides.build(ShardConfig, {})
    runtime = call.runtime(ShardRuntime)
    given = Inputs(
        str(source),
        rehash=rehash,
        exclude=tuple(exclude),
        classes_from=None if classes_from is None else place(str(classes_from)),
        class_titles=None if class_titles is None else Path(class_titles),
        labels=None if labels is None else Path(labels),
        format=format,
        image_column=image_column,
        label_column=label_column,
        label_separator=label_separator,
        formula=formula,
        imagenet=imagenet,
        virtual=virtual,
    )
    check_source(given, cfg)
    check_imagenet(given, cfg)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def subset(
    data: Reference | None = None,
    *,
    ids: Path | str | Iterable[str] | None = None,
    exclude_ids: Path | str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """Some images of a dataset -> a dataset that copies none of them. `data` left out is the newest
    of the store; `ids` and `exclude_ids` are names of images, or a file of them."""
    from stages.subset.ids import read_ids
    from stages.subset.run import run
    from stages.subset.spec import Ids, Inputs, SubsetConfig, SubsetRuntime

    call = _Call("subset", options)

    def listed(names: Path | str | Iterable[str] | None, option: str) -> Ids | None:
        if names is None:
            return read_ids(None, option=option, emit=call.emit)
        if isinstance(names, str | os.PathLike):
            return read_ids(Path(names), option=option, emit=call.emit)
        return Ids(tuple(names))

    cfg = call.overrides.build(SubsetConfig, {})
    given = Inputs(
        call.input("dataset", data), listed(ids, "ids"), listed(exclude_ids, "exclude_ids")
    )
    runtime = call.runtime(SubsetRuntime)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def mix(
    *datasets: Reference, weights: Sequence[float | str] | None = None, **options: Unpack[Options]
) -> Artifact:
    """Several datasets -> one of all their images, drawn by `weights`, one for each, or without
    them every image equally often. `set={"balance": True}` draws classes evenly."""
    from stages.mix.run import run
    from stages.mix.spec import Inputs, MixConfig, MixRuntime
    from stages.mix.weights import positive

    call = _Call("mix", options)
    cfg = call.overrides.build(MixConfig, {})
    if weights is not None and len(weights) != len(datasets):
        raise UsageError(f"{len(datasets)} datasets have {len(weights)} weights")
    # As it is written, not as it is stored in binary: 0.7 is 7/10.
    fractions = [positive(Fraction(str(weight)), str(weight)) for weight in weights or ()]
    given = Inputs(
        tuple(call.input("dataset", dataset) for dataset in datasets), tuple(fractions) or None
    )
    return run(cfg, given, store=call.store, runtime=call.runtime(MixRuntime), emit=call.emit)


def pretrain(
    *,
    model: str | None = None,
    recipe: RecipeName | None = None,
    data: Reference | None = None,
    from_: Reference | None = None,
    steps: Count | None = None,
    images: Count | None = None,
    epochs: float | None = None,
    mock: bool = False,
    **options: Unpack[Options],
) -> Artifact:
    """A dataset -> the checkpoint at the end of a run; more steps continue it. `data` left out is
    the newest dataset of the store, and with `from_`, a checkpoint to go on from, the one that it
    was trained on; `mock` trains on synthetic images."""
    from stages.pretrain.settings import has_dataset, inherits_mock, resolve
    from vitctl.train.config import TrainRuntime

    call = _Call("pretrain", options)
    runtime = call.runtime(TrainRuntime)
    checkpoint = None
    if from_ is not None:
        checkpoint = call.input("checkpoint", from_, option="from_", trunk=True)
        mock = mock or (data is None and inherits_mock(checkpoint, emit=call.emit))

    def dataset() -> Artifact:
        own = has_dataset(checkpoint) if data is None else None
        return call.input("dataset", data) if own is None else call.trained_on(own)

    cfg, inputs = resolve(
        call.overrides,
        model=model,
        recipe=recipe,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        dataset=dataset,
        mock=mock,
        checkpoint=checkpoint,
        store=call.store,
        runtime=runtime,
        emit=call.emit,
    )
    from stages.pretrain.run import run

    return run(cfg, inputs, store=call.store, runtime=runtime, emit=call.emit)


def cooldown(
    source: Reference | None = None,
    *,
    steps: Count | None = None,
    shape: CooldownShape = "linear",
    weights: WeightsName = "raw",
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint of an open-ended run -> a finished model. `source` left out is the newest
    checkpoint, `steps` the recipe's rule."""
    from stages.cooldown.settings import resolve
    from stages.cooldown.spec import Inputs
    from vitctl.train.config import TrainRuntime

    call = _Call("cooldown", options)
    runtime = call.runtime(TrainRuntime)
    checkpoint = call.input("checkpoint", source, option="source", trunk=True)
    cfg = resolve(
        call.overrides,
        checkpoint,
        steps=None if steps is None else parse_count(str(steps), name="steps"),
        shape=shape,
        weights=weights,
        emit=call.emit,
    )
    dataset = None if inputs.is_synthetic(checkpoint) else call.trained_on(checkpoint)
    from stages.cooldown.run import run

    given = Inputs(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def finetune(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    steps: Count | None = None,
    images: Count | None = None,
    epochs: float | None = None,
    weights: WeightsName | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> a model for a dataset's classes. `source` left out is the newest checkpoint,
    `data` what it was trained on."""
    from stages.finetune.settings import resolve
    from vitctl.train.config import TrainRuntime

    call = _Call("finetune", options)
    runtime = call.runtime(TrainRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.trained_on(checkpoint) if data is None else call.input("dataset", data)
    cfg, given = resolve(
        call.overrides.with_flags({"from_weights": weights}),
        checkpoint,
        dataset,
        length=length({"steps": steps, "images": images, "epochs": epochs}),
        store=call.store,
        runtime=runtime,
        emit=call.emit,
    )
    from stages.finetune.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def average(
    *checkpoints: Reference,
    last: int | None = None,
    data: Reference | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """Several checkpoints -> a run of the mean of their weights; of one run its `last` so many.
    `data` are the images that `set={"rule": "greedy"}` chooses by."""
    from stages.average.settings import newest_of, resolve
    from vitctl.recipes.measuring import MeasuringRuntime

    call = _Call("average", options)
    runtime = call.runtime(MeasuringRuntime)
    sources: Sequence[Reference | None] = checkpoints or [None]
    named = [call.input("checkpoint", source) for source in sources]
    if last is not None:
        named = newest_of(named, count=last)
    dataset = None if data is None else call.input("dataset", data)
    cfg, given = resolve(call.overrides, named, dataset, emit=call.emit)
    from stages.average.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def export(
    source: Reference | None = None,
    *,
    to: Target,
    no_classifier: bool = False,
    weights: WeightsName | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> files that the library `to` loads. `source` left out is the newest
    checkpoint; `no_classifier` leaves its classifier out."""
    from stages.export.settings import resolve
    from stages.export.spec import ExportRuntime, Inputs

    call = _Call("export", options)
    runtime = call.runtime(ExportRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    flags = {"to": to, "features": no_classifier or None, "weights": weights}
    cfg = resolve(call.overrides.with_flags(flags), checkpoint, emit=call.emit)
    from stages.export.run import run

    return run(cfg, Inputs(checkpoint), store=call.store, runtime=runtime, emit=call.emit)


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

    call = _Call("embed", options)
    runtime = call.runtime(MeasuringRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    flags = {"at": at, "splits": None if splits is None else list(splits)}
    cfg = resolve(call.overrides.with_flags(flags), checkpoint, dataset, emit=call.emit)
    from stages.embed.run import run

    given = Measured(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


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

    call = _Call("fewshot", options)
    runtime = call.runtime(MeasuringRuntime)
    overrides = call.overrides.with_flags(
        {"shots": shots if shots is None or shots == "all" else sorted({*shots})}
    )
    if features is not None and features not in get_args(Features):
        if source is not None or data is not None:
            raise TypeError("fewshot() takes no source and no data with features that are there")
        from stages.fewshot.run import run

        files = None if isinstance(features, Artifact) else features_in_files(Path(features))
        given_features = files or Given(call.input("feature-set", features, option="features"))
        cfg = resolve_given(overrides, given_features, emit=call.emit)
        return run(cfg, given_features, store=call.store, runtime=runtime, emit=call.emit)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    overrides = overrides.with_flags({"features": features})
    (cfg,) = resolve(overrides, checkpoint, dataset, store=call.store, emit=call.emit)
    from stages.fewshot.run import run

    given = Measured(checkpoint, dataset)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def evaluate(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    labels: Path | str | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """A checkpoint -> scores and metrics on a dataset. `source` left out is the newest checkpoint,
    `data` what it was trained on; `labels` is a file of labels in place of the dataset's."""
    from stages.evaluate.settings import resolve
    from vitctl.recipes.measuring import MeasuringRuntime

    call = _Call("evaluate", options)
    runtime = call.runtime(MeasuringRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    dataset = call.measured_on(checkpoint, data)
    file = None if labels is None else Path(labels)
    cfg, given = resolve(call.overrides, checkpoint, dataset, labels=file, emit=call.emit)
    from stages.evaluate.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


def predict(
    source: Reference | None = None,
    *,
    images: Iterable[Path | str],
    **options: Unpack[Options],
) -> Iterator[Answer]:
    """A checkpoint and files of images -> an answer each, in order, as it is computed: `classes`,
    pairs of name and probability, or the `reason` why there are none. `source` left out is the
    newest checkpoint."""
    from stages.predict import names
    from stages.predict.settings import resolve
    from stages.predict.spec import Inputs, PredictRuntime

    call = _Call("predict", options)
    runtime = call.runtime(PredictRuntime)
    checkpoint = call.input("checkpoint", source, option="source")
    cfg = resolve(call.overrides, checkpoint, store=call.store, emit=call.emit)
    from stages.predict.run import run

    files = map(names.named, map(str, images))
    batches = run(cfg, Inputs(checkpoint, files), store=call.store, runtime=runtime, emit=call.emit)
    return chain.from_iterable(batches)


class _Call:
    """One call of one stage: its store, its overrides, and what its inputs are."""

    def __init__(self, stage: str, options: Mapping[str, Any]) -> None:
        for name in options:
            if name not in Options.__annotations__:
                raise TypeError(_unexpected(stage, name))
        # As the command line does, before jax is imported.
        keep_compiled_programs()
        settle_platform()
        store = options.get("store") or usual_store()
        self.store = store if isinstance(store, Store) else Store(place(str(store)))
        self.emit: Emit = options.get("emit") or silent
        file = options.get("config")
        self.overrides = Overrides(
            file=read_toml(Path(file)) if file is not None else {},
            settings=from_keys(options.get("set") or {}),
        )
        out = options.get("out")
        self._where = {
            "name": options.get("name"),
            "out": None if out is None else place(str(out)),
            "force": options.get("force", False),
            **(options.get("runtime") or {}),
        }

    def runtime(self, model: type[R]) -> R:
        return build(model, self._where)

    def input(
        self,
        kind: str,
        reference: Reference | None,
        *,
        option: str = "data",
        trunk: bool = False,
    ) -> Artifact:
        """The artifact that `reference` names; left out, the newest of the store. With `trunk` a
        name that fits several runs means one of `pretrain`."""
        if isinstance(reference, Artifact):
            return inputs.named(str(reference.path), kind=kind, store=self.store)
        if reference is None:
            return inputs.newest(kind, option=option, store=self.store, emit=self.emit)
        return inputs.named(
            str(reference), kind=kind, store=self.store, trunk=trunk, emit=self.emit
        )

    def trained_on(self, checkpoint: Artifact) -> Artifact:
        return inputs.trained_on(checkpoint, option="data", store=self.store, emit=self.emit)

    def measured_on(self, checkpoint: Artifact, reference: Reference | None) -> Artifact | None:
        """The dataset given, else what the checkpoint was trained on: None if synthetic images."""
        if reference is not None:
            return self.input("dataset", reference)
        return None if inputs.is_synthetic(checkpoint) else self.trained_on(checkpoint)


def _unexpected(stage: str, name: str) -> str:
    near = nearest(name, Options.__annotations__, count=1)
    hint = (
        f"{did_you_mean([f'{near[0]}='])}"
        if near
        else f"a setting goes into set={{{quoted(name)}: ...}}"
    )
    return f"{stage}() has no argument {quoted(name)}; {hint}"
