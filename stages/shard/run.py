"""How `vitctl shard` works: listing -> plan -> shards -> description -> artifact.

A part of the shards, as one of several machines makes it, is an artifact of its own; `vitctl merge`
makes the dataset of all parts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from stages.shard.announce import announce_part, announce_plan, announce_source
from stages.shard.nodes import check_has_work
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
from vitctl.artifacts import Artifact, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.store import slug
from vitctl.data.tensorflow import require_tensorflow
from vitctl.errors import InputError
from vitctl.events import Emit, Note, silent
from vitctl.ingest.listing import Listing
from vitctl.ingest.write.assemble import assemble
from vitctl.ingest.write.dataset_part import publish_part
from vitctl.ingest.write.finished import finished_shards
from vitctl.ingest.write.publishing import (
    announce_about,
    announce_outcome,
    publish_dataset,
    warn_of_untold,
)
from vitctl.ingest.write.rejects import warn_of_usable
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
    check_has_work(inputs, runtime)
    if inputs.virtual:
        assert inputs.formula is not None
        return describe(inputs.formula, store=store, runtime=runtime, emit=emit)

    # ---- What there is
    own = own_places(store, runtime)
    planned = plan(cfg, inputs, own=own, emit=emit)
    listing, cfg, classes = planned.listing, planned.cfg, planned.classes
    if not runtime.force and planned.part is None:
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
    folder_name = name if planned.part is None else f"{name}-{planned.part.in_a_name}"
    made = None if runtime.force else crew.of(store).made(planned.recipe, out=runtime.out)
    if made is None:
        require_tensorflow(to=DECODING)

    stop = Stop()
    with (
        crew.of(store).open(
            planned.recipe, name=folder_name, out=runtime.out, force=runtime.force, emit=emit
        ) as draft,
        unless_owned(stop),
    ):
        if draft.finished is None:
            # ---- What to do
            announce_source(listing, emit=emit)
            every = planned.units()
            announce_plan(every, classes=classes, splitting=planned.splitting, cfg=cfg, emit=emit)
            units = planned.own_of(every)
            if planned.part is not None:
                announce_part(planned.part, units, of=every, emit=emit)

            # ---- Do it
            reports = make_shards(
                units,
                source=listing.source,
                images=sum(len(unit.entries) for unit in every),
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
            shards = finished_shards(units, reports)
            multi_label = cfg.unlabelled or listing.multi_label
            if planned.part is not None:
                artifact = publish_part(
                    draft,
                    shards,
                    part=planned.part,
                    name=name,
                    source=inputs.source,
                    images=sum(len(unit.entries) for unit in every),
                    classes=classes,
                    titles=planned.title_names,
                    multi_label=multi_label,
                    skipped=listing.skipped,
                    splits=Counter(unit.split for unit in every),
                )
            else:
                outcome = assemble(
                    shards, classes=classes, titles=planned.title_names, multi_label=multi_label
                )
                announce_outcome(outcome, source=inputs.source, emit=emit)
                artifact = publish_dataset(
                    draft,
                    shards,
                    outcome=outcome,
                    skipped=listing.skipped,
                    name=name,
                    about=runtime.about,
                )
                announce_about(runtime.about, emit=emit)
        else:
            artifact = draft.finished
            warn_of_usable(artifact, emit=emit)
            warn_of_untold(artifact, runtime.about, emit=emit)
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
