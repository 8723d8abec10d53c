"""How `vitctl shard` works: listing -> plan -> shards -> description -> artifact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import sha256

from stages.shard.announce import announce_about, announce_outcome, announce_plan, announce_source
from stages.shard.planning import earlier_artifact, plan
from stages.shard.shards import DECODING, make_shards
from stages.shard.source import (
    chosen_classes,
    list_source,
    own_places,
    source_name,
)
from stages.shard.spec import IMAGENET, Inputs, ShardConfig, ShardRuntime
from stages.shard.virtual import describe
from vitctl.artifacts import Artifact, Draft, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.store import slug
from vitctl.data.tensorflow import require_tensorflow
from vitctl.errors import InputError
from vitctl.events import Caution, Emit, Note, silent
from vitctl.ingest.listing import Listing
from vitctl.ingest.write.about import About
from vitctl.ingest.write.assemble import SourceOutcome, assemble
from vitctl.ingest.write.croissant import CROISSANT, croissant_file, told_in
from vitctl.ingest.write.shard_plan import Unit
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
    planned = plan(cfg, inputs, own=own, emit=emit)
    listing, cfg, classes = planned.listing, planned.cfg, planned.classes
    if not runtime.force:
        earlier = earlier_artifact(planned, store=store, runtime=runtime)
        if earlier is not None:
            artifact, how = earlier
            by_whom = f"{artifact.path} was made by an earlier version, {how}"
            emit(Note(f"{by_whom}; --force makes it anew"))
            emit(following(artifact))
            return artifact
    if inputs.formula is not None:
        origin: str = inputs.formula.family
    else:
        origin = IMAGENET if inputs.imagenet is not None else source_name(inputs.source)
    name = runtime.name or slug(origin, default="images")
    made = None if runtime.force else crew.of(store).made(planned.recipe, out=runtime.out)
    if made is None:
        require_tensorflow(to=DECODING)

    stop = Stop()
    with (
        crew.of(store).open(
            planned.recipe, name=name, out=runtime.out, force=runtime.force, emit=emit
        ) as draft,
        unless_owned(stop),
    ):
        if draft.finished is None:
            # ---- What to do
            announce_source(listing, emit=emit)
            units = planned.units()
            announce_plan(units, classes=classes, splitting=planned.splitting, cfg=cfg, emit=emit)

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
                lambda: list_source(inputs, planned.choices, own=own),
                planned.choices.classes,
            )

            # ---- Describe it
            outcome = assemble(
                units,
                reports,
                classes=classes,
                titles=planned.title_names,
                multi_label=cfg.unlabelled or listing.multi_label,
            )
            announce_outcome(outcome, source=inputs.source, emit=emit)
            units, reports = _of_splits(outcome, units, reports, draft=draft)
            artifact = _publish(
                draft,
                units,
                reports,
                outcome=outcome,
                skipped=listing.skipped,
                name=name,
                about=runtime.about,
            )
            announce_about(runtime.about, emit=emit)
        else:
            artifact = draft.finished
            _check_about(artifact, runtime.about, emit=emit)
    emit(following(artifact))
    return artifact


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


def _check_about(artifact: Artifact, about: About, *, emit: Emit) -> None:
    """Say where what the user knows of a finished dataset is not what its description tells."""
    if about.given and not told_in(artifact.path, about):
        emit(
            Caution(
                f"{artifact.path} was finished before and is not changed, so its {CROISSANT} does "
                f"not tell {', '.join(about.given)}; --force makes it anew"
            )
        )


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
    name: str,
    about: About,
) -> Artifact:
    contents = outcome.files()
    described = {file: (len(data), sha256(data).hexdigest()) for file, data in contents.items()} | {
        unit.file_name: (report.file_bytes, report.sha256)
        for unit, report in zip(units, reports, strict=True)
    }
    contents[CROISSANT] = croissant_file(outcome.info, name=name, about=about, files=described)
    for file, content in contents.items():
        (draft.path / file).write_atomic(content)
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
        ).as_json(),
        # The same images make the same digest, whatever is known of them (decision 0033).
        volatile=(CROISSANT,),
    )
    (draft.path / REPORTS).remove_tree()
    return artifact
