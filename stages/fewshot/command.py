"""The flags of `vitctl fewshot`, and how they become its settings."""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, get_args

from typer import Option

from stages.fewshot.spec import Features, FewshotConfig, FewshotRuntime, Inputs
from vitctl.console.evaluation_data import images_for
from vitctl.console.flags import CacheDir, EvalSplit, LookBatch, Source, WhichWeights, Workers
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.data.config import FEWSHOT_PREPROCESS
from vitctl.errors import UsageError
from vitctl.events import Caution, Note
from vitctl.quantities import parse_count


@verb(configurable=True, parallel=True)
def fewshot(
    session: Session,
    source: Source = None,
    data: Annotated[
        list[str] | None,
        Option(help="Dataset; what the run was trained on if left out; may be repeated."),
    ] = None,
    shots: Annotated[
        str | None, Option(help="Images a class, as in 1,5,10,25 (the default).")
    ] = None,
    draws: Annotated[
        int | None, Option(help="How often the shots are drawn anew; 10 if left out.")
    ] = None,
    seed: Annotated[int | None, Option(help="Draw i takes seed + i.")] = None,
    l2: Annotated[float | None, Option(help="Ridge penalty; 1024 if left out.")] = None,
    features: Annotated[
        str | None,
        Option(help="What is probed: model (the default), or the baselines pixels, untrained."),
    ] = None,
    train_split: Annotated[str | None, Option(help="Split to draw shots from.")] = None,
    eval_split: EvalSplit = None,
    weights: WhichWeights = None,
    batch: LookBatch = None,
    workers: Workers = None,
    cache_dir: CacheDir = None,
) -> None:
    """Example: vitctl fewshot --from RUN --data DATASET --shots 1,5,10,25

    Few-shot accuracy of a frozen model: closed-form ridge regression on its features, over several
    draws of the shots. Every image of the scored split counts. Several models, datasets and kinds
    of features (--features model,pixels,untrained) are probed one after another.
    """
    from vitctl.recipes import measuring

    flags: dict[str, Any] = {
        "shots": _shots(shots),
        "draws": draws,
        "seed": seed,
        "l2": l2,
        "train_split": train_split,
        "eval_split": eval_split,
        "weights": weights,
    }
    runtime = session.runtime(FewshotRuntime, batch=batch, workers=workers, cache_dir=cache_dir)
    kinds, datasets = _kinds(features), [*data] if data else [None]
    checkpoints = session.many("checkpoint", source, option="--from")
    session.check_one_place(len(checkpoints) * len(datasets) * len(kinds))
    for checkpoint, named in product(checkpoints, datasets):
        dataset = images_for(session, checkpoint, named)
        overrides = session.overrides(flags)
        chosen = measuring.weights(checkpoint, asked=overrides.get("weights"))
        for note in chosen.notes:
            session.emit(Note(note))
        base = {
            "weights": chosen.name,
            # A tree, so that --set of one field leaves the others as the protocol has them.
            "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
            **measuring.settings(checkpoint, dataset, overrides=overrides),
        }
        line = session.command("cooldown", "--from", checkpoint.path)
        caution = measuring.uncooled(checkpoint, cooldown=line)
        for kind in kinds:
            cfg = session.build(FewshotConfig, base, {**flags, "features": kind})
            if caution and cfg.features == "model":
                session.emit(Caution(caution))
            session.deliver("fewshot", cfg, Inputs(checkpoint, dataset), runtime=runtime)


def _kinds(text: str | None) -> list[Features | None]:
    """`model,pixels` -> ["model", "pixels"]; [None], to be settled elsewhere, if not given."""
    if text is None:
        return [None]
    known = {name: name for name in get_args(Features)}
    kinds = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if unknown := [kind for kind in kinds if kind not in known]:
        raise UsageError(
            f"--features {unknown[0]!r} is none of {', '.join(known)}",
            hint="one or several, as in --features model,pixels",
        )
    return [known[kind] for kind in kinds]


def _shots(text: str | None) -> list[int] | None:
    """`10,1,5` -> [1, 5, 10]; None stays None."""
    if text is None:
        return None
    return sorted({parse_count(part, name="--shots") for part in text.split(",")})
