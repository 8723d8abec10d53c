"""Finished shards in a draft -> the dataset artifact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

from vitctl.artifacts import Artifact, Draft
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.data.dataset import Split
from vitctl.events import Caution, Emit, Note
from vitctl.ingest.pixels.policy import TREATMENTS
from vitctl.ingest.write.about import About
from vitctl.ingest.write.assemble import SourceOutcome
from vitctl.ingest.write.croissant import CROISSANT, croissant_file, told_in
from vitctl.ingest.write.finished import FinishedShard
from vitctl.ingest.write.shard_writer import REJECTS, REPORTS
from vitctl.text.quantities import counted, first_few

_NAMES_SHOWN = 5

_WAY_ON: dict[Split, str] = {
    "train": "score models of other datasets on it",
    "val": "score on another split with --eval-split",
    "test": "score on another split with --eval-split",
}


def publish_dataset(
    draft: Draft,
    shards: Sequence[FinishedShard],
    *,
    outcome: SourceOutcome,
    skipped: Mapping[str, int],
    name: str,
    about: About,
) -> Artifact:
    """Write what describes the shards, which lie in the draft, and publish them. Shards of a split
    without any image go."""
    for shard in shards:
        if shard.split not in outcome.info.splits:
            (draft.path / shard.file_name).remove(missing_ok=True)
    used = [shard for shard in shards if shard.split in outcome.info.splits]
    contents = outcome.files()
    described = {file: (len(data), sha256(data).hexdigest()) for file, data in contents.items()} | {
        shard.file_name: (shard.report.file_bytes, shard.report.sha256) for shard in used
    }
    contents[CROISSANT] = croissant_file(outcome.info, name=name, about=about, files=described)
    for file, content in contents.items():
        (draft.path / file).write_atomic(content)
    record_shards(draft, used)
    info = outcome.info
    artifact = draft.publish(
        summary=Dataset(
            classes=len(info.classes),
            examples={split: part.examples for split, part in info.splits.items()},
            shards={split: len(part.shard_lengths) for split, part in info.splits.items()},
            bytes=sum(shard.report.file_bytes for shard in used),
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


def record_shards(draft: Draft, shards: Sequence[FinishedShard]) -> None:
    """They were hashed when they were made."""
    for shard in shards:
        draft.record(shard.file_name, size=shard.report.file_bytes, sha256=shard.report.sha256)


# Sentences


def announce_outcome(outcome: SourceOutcome, *, source: str, emit: Emit) -> None:
    for treatment, count in outcome.treatments.items():
        say = Caution if treatment == "profile ignored" else Note
        emit(say(f"{TREATMENTS[treatment]}: {counted(count, 'image')}"))
    for reason, count in outcome.converted.items():
        emit(Note(f"converted to PNG: {count} ({reason})"))
    for reason, count in outcome.differ.items():
        emit(
            Caution(
                f"kept as it is: {count} ({reason}), of which readers with Pillow or OpenCV make "
                "other pixels or channels than training"
            )
        )
    for warning, count in outcome.warnings.items():
        emit(Note(f"stored, with a warning of a decoder: {count} ({warning})"))
    if outcome.rejected:
        left_out = counted(outcome.rejected, "file was", "files were")
        examples = "; ".join(f"{reject.id}: {reject.reason}" for reject in outcome.first_rejects)
        more = "; ..." if outcome.rejected > len(outcome.first_rejects) else ""
        emit(
            Caution(
                f"{left_out} left out, with the reason in {REJECTS} in the dataset's folder: "
                f"{examples}{more}"
            )
        )
    for split in outcome.unusable:
        emit(
            Caution(
                f"no image of the {split} split is usable, so the dataset has none; repair them "
                f"and run the command again, or {_WAY_ON[split]}"
            )
        )
    missing = outcome.classes_without("train")
    if missing:
        shown = first_few(missing, most=_NAMES_SHOWN)
        classes = counted(len(missing), "class has", "classes have")
        emit(Caution(f"{classes} no image to train on: {shown}"))


def announce_about(about: About, *, emit: Emit) -> None:
    if about.missing:
        flags = ", ".join("--" + name.replace("_", "-") for name in about.missing)
        emit(
            Note(
                f"{CROISSANT} describes the dataset to hubs and search engines. Only if you "
                f"publish it, add what the images don't say: {flags}"
            )
        )


def warn_of_untold(artifact: Artifact, about: About, *, emit: Emit) -> None:
    """Say where what the user knows of a finished dataset is not what its description tells."""
    if about.given and not told_in(artifact.path, about):
        emit(
            Caution(
                f"{artifact.path} was finished before and is not changed, so its {CROISSANT} does "
                f"not tell {', '.join(about.given)}; --force makes it anew"
            )
        )
