"""How `vitctl shard` works: listing -> plan -> shards -> description -> artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from stages.shard.announce import announce_outcome, announce_plan, announce_source
from stages.shard.shards import make_shards
from stages.shard.source import (
    chosen_classes,
    class_list,
    class_titles,
    list_source,
    own_places,
    resolve,
    source_name,
)
from stages.shard.spec import IMAGENET, VERSION, Inputs, ShardConfig, ShardRuntime
from stages.shard.virtual import describe, formula_recipe
from vitctl.artifacts import Artifact, Draft, Parent, Recipe, Store, crew
from vitctl.artifacts.canonical import fingerprint as canonical_fingerprint
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.store import slug
from vitctl.errors import InputError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.ingest.listing import Listing
from vitctl.ingest.pixels.header import largest_file
from vitctl.ingest.write.assemble import SourceOutcome, assemble
from vitctl.ingest.write.shard_plan import Splitting, Unit, assign_splits, make_units
from vitctl.ingest.write.shard_writer import REPORTS, ShardReport
from vitctl.signals import Stop, raise_if_asked, unless_owned


def run(
    cfg: ShardConfig,
    inputs: Inputs,
    *,
    store: Store,
    runtime: ShardRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Shard `inputs.source` and return the dataset; found, continued or made anew."""
    if inputs.virtual:
        assert inputs.formula is not None
        return describe(inputs.formula, store=store, runtime=runtime, emit=emit)

    # ---- What there is
    own = own_places(store, runtime)
    listing = list_source(inputs, cfg, own=own, emit=emit)
    listing, cfg = resolve(listing, cfg)
    emit(Note(listing.reading))
    for note in listing.notes:
        emit(Note(note))
    for caution in listing.cautions:
        emit(Caution(caution))
    splitting = assign_splits(
        listing,
        val_fraction=cfg.val_fraction or 0.0,
        val_per_class=cfg.val_per_class,
        share_of=cfg.share_of,
    )
    choices, cfg = (
        cfg,
        cfg.model_copy(
            update={
                "layout": listing.layout,
                "stratified": bool(splitting.held_back),
                "share_of": "class" if splitting.share_of == "class" else None,
            }
        ),
    )
    classes: list[str] = []
    if not cfg.unlabelled:
        listing, classes = class_list(listing, inputs.classes_from, emit=emit)
    titles = class_titles(listing, classes, inputs.class_titles, emit=emit)
    recipe = _recipe(listing, cfg, inputs=inputs, classes=classes, titles=titles)
    if not runtime.force:
        for earlier, how in _earlier_recipes(recipe, splitting):
            artifact = crew.of(store).made(earlier, out=runtime.out)
            if artifact is not None:
                by_whom = f"{artifact.path} was made by an earlier version, {how}"
                emit(Note(f"{by_whom}; --force makes it anew"))
                emit(following(artifact))
                return artifact
    if inputs.formula is not None:
        origin: str = inputs.formula.family
    else:
        origin = IMAGENET if inputs.imagenet is not None else source_name(inputs.source)
    name = runtime.name or slug(origin, default="images")

    stop = Stop()
    with (
        crew.of(store).open(
            recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
        ) as draft,
        unless_owned(stop),
    ):
        if draft.finished is None:
            # ---- What to do
            announce_source(listing, emit=emit)
            units = make_units(
                splitting.by_split,
                names=listing.names,
                classes=classes,
                shard_bytes=cfg.shard_bytes,
                shards=cfg.shards,
                largest_file=largest_file(cfg.max_pixels),
                bytes_an_image=cfg.pixels.bytes_an_image,
            )
            announce_plan(units, classes=classes, splitting=splitting, cfg=cfg, emit=emit)

            # ---- Do it
            reports = make_shards(
                units,
                source=listing.source,
                draft=draft,
                cfg=cfg,
                runtime=runtime,
                stop=stop,
                emit=emit,
            )
            raise_if_asked()
            _check_unchanged(
                listing,
                lambda: list_source(inputs, choices, own=own),
                choices.classes,
            )

            # ---- Describe it
            outcome = assemble(
                units,
                reports,
                classes=classes,
                titles=titles,
                multi_label=cfg.unlabelled or listing.multi_label,
            )
            announce_outcome(outcome, source=inputs.source, emit=emit)
            units, reports = _of_splits(outcome, units, reports, draft=draft)
            artifact = _publish(draft, units, reports, outcome=outcome, skipped=listing.skipped)
        else:
            artifact = draft.finished
    emit(following(artifact))
    return artifact


def _earlier_recipes(recipe: Recipe, splitting: Splitting) -> Iterator[tuple[Recipe, str]]:
    """The recipe as earlier versions wrote it, and what these did otherwise: a dataset that was
    made stays the one that the same command returns."""
    kept_bytes = "which kept the bytes of palette, 16-bit and transparent images"
    config = dict(recipe.config)
    if config.pop("share_of", None) is None:
        yield _version_1(recipe), kept_bytes
        return
    if splitting.had_held_back:
        config["stratified"] = True
    of_all = recipe.model_copy(update={"config": config})
    how = "which held images out by a hash of each, not a share of each class"
    yield of_all, how
    yield _version_1(of_all), f"{how}, and {kept_bytes.removeprefix('which ')}"


def _version_1(recipe: Recipe) -> Recipe:
    """The recipe as the first version of this stage wrote it."""
    config = {key: value for key, value in recipe.config.items() if key != "keep_bytes"}
    return recipe.model_copy(update={"version": 1, "config": config})


# Identity


def _recipe(
    listing: Listing,
    cfg: ShardConfig,
    *,
    inputs: Inputs,
    classes: Sequence[str],
    titles: Sequence[str] | None,
) -> Recipe:
    """Outside inputs are parents of kind "source", known by their fingerprint."""

    def outside(role: str, proof: str, path: str) -> Parent:
        return Parent(role=role, kind="source", id=proof, digest=proof, path=path)

    if inputs.formula is not None:
        return formula_recipe(inputs.formula, cfg)
    proof = listing.fingerprint_of(contents=True) if inputs.rehash else listing.fingerprint
    parents = [outside("source", proof, listing.root)]
    if (made := listing.artifact) is not None:
        parents.append(
            Parent(
                role="dataset",
                kind=DATASET.name,
                id=made.id,
                digest=made.digest,
                path=str(made.path),
            )
        )
    if inputs.classes_from is not None:
        proof = canonical_fingerprint(list(classes))
        parents.append(outside("classes_from", proof, str(inputs.classes_from)))
    if inputs.labels is not None:
        proof = canonical_fingerprint(
            [[e.id, list(listing.class_names(e))] for e in listing.entries]
        )
        parents.append(outside("labels", proof, str(inputs.labels)))
    if titles is not None:
        proof = canonical_fingerprint(list(titles))
        parents.append(outside("class_titles", proof, str(inputs.class_titles or listing.root)))
    return Recipe(
        stage="shard",
        version=VERSION,
        kind=DATASET.name,
        config=cfg.identity(),
        parents=tuple(parents),
    )


def _check_unchanged(
    listing: Listing, list_again: Callable[[], Listing], classes: str | None
) -> None:
    if listing.artifact is not None:
        return  # what is published is not changed; each record has a checksum
    if listing.parts:
        for part in listing.parts:
            part.check_unchanged()
        return
    now = chosen_classes(list_again(), classes)
    if now.fingerprint != listing.fingerprint:
        raise InputError(
            f"{listing.root} changed while it was read",
            hint="wait until nothing writes to it, then run the command again",
        )


# Publishing


def _of_splits(
    outcome: SourceOutcome, units: Sequence[Unit], reports: Sequence[ShardReport], *, draft: Draft
) -> tuple[list[Unit], list[ShardReport]]:
    """Units and reports of the splits that have images; the shards of others go."""
    for unit in units:
        if unit.split not in outcome.info.splits:
            (draft.path / unit.file_name).remove(missing_ok=True)
    pairs = [
        (unit, report)
        for unit, report in zip(units, reports, strict=True)
        if unit.split in outcome.info.splits
    ]
    return [unit for unit, _ in pairs], [report for _, report in pairs]


def _publish(
    draft: Draft,
    units: Sequence[Unit],
    reports: Sequence[ShardReport],
    *,
    outcome: SourceOutcome,
    skipped: Counter[str],
) -> Artifact:
    for name, content in outcome.files().items():
        (draft.path / name).write_atomic(content)
    for unit, report in zip(units, reports, strict=True):
        draft.record(unit.file_name, size=report.file_bytes, sha256=report.sha256)
    info = outcome.info
    artifact = draft.publish(
        summary=Dataset(
            classes=len(info.classes),
            examples={split: part.examples for split, part in info.splits.items()},
            shards={split: len(part.shard_lengths) for split, part in info.splits.items()},
            bytes=sum(report.file_bytes for report in reports),
            converted=outcome.converted,
            differ=outcome.differ,
            treatments=dict[str, int](outcome.treatments.items()),
            rejected=outcome.rejected,
            skipped=dict(sorted(skipped.items())),
        ).as_json()
    )
    (draft.path / REPORTS).remove_tree()
    return artifact
