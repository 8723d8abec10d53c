"""Datasets: made of images, of their parts, made smaller, labelled by clusters, and combined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack, overload

from stages.api.call import Call, Count, Making, Options, Reference
from stages.api.translation import in_python
from vitctl.artifacts import Artifact
from vitctl.formula.family import Family
from vitctl.ingest.sources.format_names import FormatName
from vitctl.places import Place, place
from vitctl.text.quantities import parse_count

if TYPE_CHECKING:
    from stages.shard.answer import Preview


class Sharding(Options, total=False):
    """Keyword arguments of `shard`, with `dry_run` or without it."""

    labels: Path | str | None
    class_titles: Path | str | None
    classes_from: Place | str | None
    exclude: Sequence[str]
    format: FormatName | None
    image_column: str | None
    label_column: str | None
    label_separator: str | None
    multi_label: bool
    rehash: bool
    family: Family | None
    per_class: int | None
    res: int | None
    seed: int | None
    virtual: bool
    train: Path | str | None
    val: Path | str | None
    devkit: Path | str | None
    kaggle: Path | str | None
    sheet: Path | str | None


@overload
def shard(
    source: Path | str = ..., *, dry_run: Literal[True], **options: Unpack[Sharding]
) -> Preview: ...


@overload
def shard(
    source: Path | str = ..., *, dry_run: Literal[False] = ..., **options: Unpack[Sharding]
) -> Artifact: ...


@in_python
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
    multi_label: bool = False,
    rehash: bool = False,
    family: Family | None = None,
    per_class: int | None = None,
    res: int | None = None,
    seed: int | None = None,
    virtual: bool = False,
    train: Path | str | None = None,
    val: Path | str | None = None,
    devkit: Path | str | None = None,
    kaggle: Path | str | None = None,
    dry_run: bool = False,
    sheet: Path | str | None = None,
    **options: Unpack[Options],
) -> Artifact | Preview:
    """Images -> a dataset. `source` is a folder, an archive or several; "digits" is built in,
    "imagenet" is read from the files `train`, `val` and `devkit`, or `kaggle`, and "formula" makes
    pictures of a `family`, so many `per_class`, with `virtual` whenever they are read. `dry_run`
    stores nothing and returns what would come of it, with a picture of a sample in `sheet`."""
    from stages.shard.settings import check_about, check_sheet, resolve
    from stages.shard.spec import ShardRuntime

    call = Call(shard, options)
    runtime = call.runtime(ShardRuntime)
    cfg, given = resolve(
        call.overrides,
        str(source),
        formula={"family": family, "per_class": per_class, "resolution": res, "seed": seed},
        virtual=virtual,
        imagenet={"train": train, "val": val, "devkit": devkit, "kaggle": kaggle},
        rehash=rehash,
        exclude=tuple(exclude),
        classes_from=None if classes_from is None else place(str(classes_from)),
        class_titles=None if class_titles is None else Path(class_titles),
        labels=None if labels is None else Path(labels),
        format=format,
        image_column=image_column,
        label_column=label_column,
        label_separator=label_separator,
        multi_label=multi_label,
    )
    call.resolved(lambda: cfg)
    picture = None if sheet is None else Path(sheet)
    check_sheet(picture, dry_run=dry_run)
    check_about(runtime.about, virtual=virtual, part=cfg.part)
    if dry_run:
        from stages.shard.preview import preview

        return preview(
            cfg, given, store=call.store, runtime=runtime, picture=picture, emit=call.emit
        )
    from stages.shard.run import run

    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def merge(*parts: Reference, **options: Unpack[Making]) -> Artifact:
    """Parts that `shard` made with `set={"part": "2/8"}` on several machines -> the dataset, as one
    machine makes it. Left out, the newest part; others of the same dataset are looked for in the
    store."""
    from stages.merge.run import run
    from stages.merge.settings import resolve
    from stages.merge.spec import MergeRuntime

    call = Call(merge, options, takes=Making)
    given = resolve([call.input("dataset-part", part, option="parts") for part in parts or (None,)])
    runtime = call.runtime(MergeRuntime)
    return run(given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def subset(
    data: Reference | None = None,
    *,
    ids: Path | str | Iterable[str] | None = None,
    exclude_ids: Path | str | Iterable[str] | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """Some images of a dataset -> a dataset that copies none of them. `data` left out is the newest
    of the store; `ids` and `exclude_ids` are names of images, or a file of them."""
    from stages.subset.settings import resolve
    from stages.subset.spec import SubsetRuntime

    call = Call(subset, options)
    cfg, given = resolve(
        call.overrides,
        lambda: call.input("dataset", data, needs_labels=False),
        ids=ids,
        exclude_ids=exclude_ids,
        emit=call.emit,
    )
    call.resolved(lambda: cfg)
    from stages.subset.run import run

    runtime = call.runtime(SubsetRuntime)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def dedup(
    data: Reference | None = None,
    *,
    against: Sequence[Reference] = (),
    **options: Unpack[Options],
) -> Artifact:
    """A dataset -> the same without images that one of the datasets `against` has, exactly or
    nearly; without these, without its own repetitions. `data` left out is the newest of the
    store."""
    from stages.dedup.settings import resolve
    from stages.dedup.spec import DedupRuntime

    call = Call(dedup, options)
    cfg, given = resolve(
        call.overrides,
        lambda: call.input("dataset", data, needs_labels=False),
        against,
        lambda other: call.input("dataset", other, option="against"),
    )
    call.resolved(lambda: cfg)
    from stages.dedup.run import run

    return run(cfg, given, store=call.store, runtime=call.runtime(DedupRuntime), emit=call.emit)


@in_python
def cluster(
    source: Reference | None = None,
    *,
    data: Reference | None = None,
    clusters: Count | None = None,
    features: Reference | None = None,
    **options: Unpack[Options],
) -> Artifact:
    """Images -> a dataset that labels each with one of so many `clusters` of its features. `source`
    is the checkpoint that makes them, left out the newest, `data` left out what it was trained on;
    or `features` are those of `embed`, or in another program's files; or `set={"pixels": 16}`."""
    from stages.cluster.settings import resolve
    from stages.cluster.spec import ClusterRuntime

    call = Call(cluster, options)
    count = parse_count(clusters, name="clusters") if isinstance(clusters, str) else clusters
    cfg, given = resolve(
        call.overrides.with_flags({"clusters": count}),
        source=source,
        features=features,
        data=data,
        checkpoint=lambda: call.input("checkpoint", source, option="source"),
        feature_set=lambda: call.input("feature-set", features, option="features"),
        dataset=lambda: call.input("dataset", data, needs_labels=False),
        dataset_of=lambda checkpoint: call.measured_on(checkpoint, data),
        store=call.store,
        emit=call.emit,
    )
    call.resolved(lambda: cfg)
    from stages.cluster.run import run

    runtime = call.runtime(ClusterRuntime)
    return run(cfg, given, store=call.store, runtime=runtime, emit=call.emit)


@in_python
def mix(
    *datasets: Reference, weights: Sequence[float | str] | None = None, **options: Unpack[Options]
) -> Artifact:
    """Several datasets -> one of all their images, drawn by `weights`, one for each, or without
    them every image equally often. `set={"balance": True}` draws classes evenly."""
    from stages.mix.settings import resolve, weighted
    from stages.mix.spec import MixRuntime

    call = Call(mix, options)
    names = map(call.named, datasets)
    cfg, given = resolve(
        call.overrides, weighted([*names], weights), lambda name: call.input("dataset", name)
    )
    call.resolved(lambda: cfg)
    from stages.mix.run import run

    return run(cfg, given, store=call.store, runtime=call.runtime(MixRuntime), emit=call.emit)
