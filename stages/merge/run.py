"""How `vitctl merge` works: parts -> shards in one folder -> description -> dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stages.merge.agreement import DatasetParts, agreed, complete
from stages.merge.spec import VERSION, Inputs, MergeRuntime
from vitctl.artifacts import Artifact, Draft, Store, crew
from vitctl.artifacts.following import following
from vitctl.artifacts.shared_files import can_link, share_file
from vitctl.data.dataset import SPLITS
from vitctl.errors import InterruptedRun
from vitctl.events import Caution, Emit, Note, Progress, Settings, silent
from vitctl.ingest.write.assemble import assemble
from vitctl.ingest.write.dataset_part import shards_of
from vitctl.ingest.write.finished import FinishedShard
from vitctl.ingest.write.publishing import (
    announce_about,
    announce_outcome,
    publish_dataset,
    warn_of_untold,
)
from vitctl.ingest.write.rejects import allowed_rejects, check_rejects
from vitctl.ingest.write.shard_writer import REPORTS, reported, write_report
from vitctl.places.scratch import check_room
from vitctl.signals import Stop, graceful, raise_if_asked, unless_owned
from vitctl.text import quantities
from vitctl.text.quantities import counted


def run(
    inputs: Inputs,
    *,
    store: Store,
    runtime: MergeRuntime,
    emit: Emit = silent,
) -> Artifact:
    """Merge parts of a dataset and return the dataset; found, continued or made anew.

    Raises:
      InputError: two parts are not of one dataset; one is damaged, or of another version; more
        images are bad than one machine would have let pass.
      NotFoundError: a part is missing.
    """
    # ---- What there is
    recipe = agreed(inputs.parts, version=VERSION)
    made = None if runtime.force else crew.of(store).made(recipe, out=runtime.out)
    if made is not None:  # whatever became of its parts
        warn_of_untold(made, runtime.about, emit=emit)
        emit(following(made))
        return made
    parts = complete(inputs.parts, recipe, store=store, emit=emit)
    info = parts.info
    stop = Stop()
    with (
        crew.of(store).open(
            recipe,
            name=runtime.name or info.name,
            out=runtime.out,
            force=runtime.force,
            emit=emit,
        ) as draft,
        unless_owned(stop),
    ):
        if draft.finished is not None:
            artifact = draft.finished
            warn_of_untold(artifact, runtime.about, emit=emit)
        else:
            pairs = _in_order(parts)
            shards = [shard for _, shard in pairs]
            _announce(parts, shards, emit=emit)

            # ---- What one machine would have refused
            check_rejects(
                (shard.report for shard in shards),
                total=info.images,
                folder=draft.path,
                allowed=allowed_rejects(runtime.max_bad_fraction, total=info.images),
            )
            outcome = assemble(
                shards,
                classes=info.classes,
                titles=info.class_titles,
                multi_label=info.multi_label,
            )

            # ---- Gather the shards
            _gather(pairs, draft=draft, stop=stop, emit=emit)
            raise_if_asked()

            # ---- Describe them
            announce_outcome(outcome, source=info.source, emit=emit)
            artifact = publish_dataset(
                draft,
                shards,
                outcome=outcome,
                skipped=info.skipped,
                name=runtime.name or info.name,
                about=runtime.about,
            )
            announce_about(runtime.about, emit=emit)
    emit(following(artifact))
    return artifact


def _in_order(parts: DatasetParts) -> list[tuple[Artifact, FinishedShard]]:
    """All shards as one machine has them, and the part that each is of."""
    pairs = [(part, shard) for part, info in parts.parts for shard in shards_of(part, info)]
    return sorted(pairs, key=lambda pair: (SPLITS.index(pair[1].split), pair[1].index))


def _announce(parts: DatasetParts, shards: Sequence[FinishedShard], *, emit: Emit) -> None:
    info = parts.info
    values = {
        "parts": f"{len(parts.parts):,}",
        "classes": f"{len(info.classes):,}" if info.classes else "none (unlabelled)",
    }
    for split, count in info.splits.items():
        images = sum(len(shard.keys) for shard in shards if shard.split == split)
        values[split] = f"{counted(images, 'image')} in {counted(count, 'shard')}"
    emit(Settings("dataset", values))
    skipped = [other.skipped for _, other in parts.parts]
    if any(other != info.skipped for other in skipped):
        emit(
            Caution(
                "the parts skipped other files that are no images, so some came or went between "
                "them; the dataset records those of part 1"
            )
        )


def _gather(
    shards: Sequence[tuple[Artifact, FinishedShard]], *, draft: Draft, stop: Stop, emit: Emit
) -> None:
    """Shards of the parts become those of the draft, but for those that are there: an earlier call
    was stopped, or one machine had begun all of it. Raises InterruptedRun, DoesNotFitError."""
    (draft.path / REPORTS).make_folder()
    missing = [pair for pair in shards if reported(draft.path, pair[1]) != pair[1].report]
    if len(missing) < len(shards):
        have = len(shards) - len(missing)
        emit(Note(f"continuing: {have:,} of {len(shards):,} shards are there already"))
    if draft.path.local is not None:
        check_room(
            draft.path.local,
            sum(s.report.file_bytes for a, s in missing if not can_link(a, draft.path)),
            of="copies of shards on other disks",
            hint="free some space, or choose another place with --store",
        )
    how: Counter[str] = Counter()
    byte_count: Counter[str] = Counter()
    with graceful(stop):
        for number, (artifact, shard) in enumerate(missing):
            emit(Progress("merge", len(shards) - len(missing) + number, len(shards), "shards"))
            if stop.requested:
                raise InterruptedRun(
                    f"{len(shards) - len(missing) + number} of {len(shards)} shards are gathered "
                    f"({stop.reason})",
                    hint="the same command goes on from there",
                )
            entry = artifact.manifest.file(shard.file_name)
            assert entry is not None  # see complete
            way = share_file(artifact, entry, draft.path / shard.file_name)
            write_report(draft.path, shard, shard.report)
            how[way] += 1
            byte_count[way] += entry.size
    emit(Progress("merge", len(shards), len(shards), "shards"))
    for kind, text in {"linked": "share the disk space of", "copied": "are copies of"}.items():
        if how[kind]:
            size = quantities.show_bytes(byte_count[kind])
            emit(Note(f"{how[kind]:,} shards ({size}) {text} those of the parts"))
