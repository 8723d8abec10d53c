"""`vitctl shard formula`: what names a set of formula images, and a dataset that holds no image."""

from __future__ import annotations

from stages.shard.spec import VERSION, ShardConfig, ShardRuntime
from vitctl.artifacts import Artifact, Parent, Recipe, Store, crew
from vitctl.artifacts.canonical import fingerprint
from vitctl.artifacts.following import following
from vitctl.artifacts.kinds import DATASET
from vitctl.artifacts.kinds.dataset import Dataset
from vitctl.artifacts.store import slug
from vitctl.data.dataset import DESCRIPTION
from vitctl.data.formula_images import described
from vitctl.events import Emit, Note
from vitctl.formula.family import FormulaConfig


def formula_recipe(config: FormulaConfig, cfg: ShardConfig) -> Recipe:
    """The set is the source: its integers are its fingerprint."""
    proof = fingerprint(config.model_dump(mode="json"))
    source = Parent(role="source", kind="source", id=proof, digest=proof, path="formula")
    return Recipe(
        stage="shard",
        version=VERSION,
        kind=DATASET.name,
        config={**cfg.identity(), "formula": config.model_dump(mode="json")},
        parents=(source,),
    )


def describe(config: FormulaConfig, *, store: Store, runtime: ShardRuntime, emit: Emit) -> Artifact:
    """A dataset artifact of a description alone, found or made."""
    recipe = Recipe(
        stage="shard",
        version=VERSION,
        kind=DATASET.name,
        config={"formula": config.model_dump(mode="json"), "virtual": True},
        parents=(),
    )
    info = described(config)
    name = runtime.name or slug(config.family, default="formula")
    with crew.of(store).open(
        recipe, name=name, out=runtime.out, force=runtime.force, emit=emit, resumable=False
    ) as draft:
        artifact = draft.finished
        if artifact is None:
            (draft.path / DESCRIPTION).write_atomic(info.as_document())
            artifact = draft.publish(
                summary=Dataset.without_files(
                    classes=len(info.classes),
                    examples={split: part.examples for split, part in info.splits.items()},
                ).as_json()
            )
    pictures = sum(part.examples for part in info.splits.values())
    emit(Note(f"{pictures:,} pictures that are made when they are read; none is stored"))
    emit(following(artifact))
    return artifact
