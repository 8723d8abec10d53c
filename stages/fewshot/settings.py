"""What a user gives -> the settings of `vitctl fewshot`; needs no terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from stages.fewshot.spec import PARAMETERS, FewshotConfig, Given
from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.kinds import CHECKPOINT, DATASET
from vitctl.data.config import FEWSHOT_PREPROCESS
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Caution, Emit, Note
from vitctl.recipes import embedding, measuring
from vitctl.settings.overrides import Overrides
from vitctl.summaries import Features
from vitctl.text.quantities import parse_count
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import nearest


def resolve(
    overrides: Overrides,
    checkpoint: Artifact,
    dataset: Artifact | None,
    *,
    features: Sequence[Features] = (),
    store: Store,
    emit: Emit,
) -> Iterator[FewshotConfig]:
    """For each kind of features the settings that probe a checkpoint on a dataset, or on the
    synthetic images that it was trained on. Without `features` the overrides decide."""
    tree = overrides.tree()
    chosen = measuring.weights(checkpoint, requested=tree.get("weights"))
    for note in chosen.notes:
        emit(Note(note))
    base = {
        **_of_probe(tree),
        "weights": chosen.name,
        # A tree, so that --set of one field leaves the others as the protocol has them.
        "preprocess": FEWSHOT_PREPROCESS.model_dump(mode="json"),
        **measuring.settings(checkpoint, dataset, overrides=tree),
    }
    caution = measuring.uncooled(checkpoint, store=store)
    for kind in features or (None,):
        cfg = overrides.with_flags({"features": kind}).build(FewshotConfig, base)
        if cfg.features == "given":
            raise UsageError(
                "features=given stands for stored features",
                hint="name them: vitctl fewshot --features FILE",
            )
        if caution and cfg.features == "model":
            emit(Caution(caution))
        classes = (
            len(CHECKPOINT.summary(checkpoint).classes)
            if dataset is None
            else DATASET.summary(dataset).classes
        )
        yield _with_neighbours(cfg, tree, classes=classes, emit=emit)


def resolve_given(overrides: Overrides, given: Given, *, emit: Emit) -> FewshotConfig:
    """The settings that probe stored features. What was read as what is said.

    Raises NotFoundError if they are of the split alone that is learned from.
    """
    if isinstance(given.features, Artifact):
        from vitctl.feature_sets.stored import StoredFeatures

        info = StoredFeatures.load(given.features).info
        if not info.classes:
            raise InputError(
                f"the images of {given.features.path} have no labels, which a probe learns from",
                hint="embed a dataset with classes",
            )
        splits, sha256, classes = tuple(info.splits), None, info.classes
    else:
        emit(Note(f"--features {given.features.name}: {given.features.reading}"))
        splits, sha256 = tuple(given.features.splits), given.features.sha256
        classes = given.features.classes
    base = {
        **_of_probe(overrides.tree()),
        "features": "given",
        "features_sha256": sha256,
        "precision": "float32",
    }
    if "eval_split" not in overrides.tree():
        from vitctl.data.dataset import held_out

        scored = held_out(splits)
        if scored is None:
            raise NotFoundError(
                f"there are features of {', '.join(splits)} alone, none of val or test to score",
                hint="score the training images themselves with --eval-split train"
                if isinstance(given.features, Artifact)
                else "give those that are scored as test_features and test_labels",
            )
        base["eval_split"] = scored
    cfg = overrides.build(FewshotConfig, base)
    return _with_neighbours(cfg, overrides.tree(), classes=len(classes), emit=emit)


def _with_neighbours(
    cfg: FewshotConfig, tree: Mapping[str, Any], *, classes: int, emit: Emit
) -> FewshotConfig:
    """With the usual number of neighbours, unless the user gave one or the fewest shots are fewer
    images: then that many, in all rows alike, so that they can be compared."""
    if cfg.probe != "knn" or "neighbours" in tree or cfg.shots == "all":
        return cfg
    fewest = cfg.shots[0] * classes
    if cfg.neighbours == "auto" or not 0 < fewest < cfg.neighbours:
        return cfg
    emit(
        Note(
            f"neighbours {fewest}: {cfg.shots[0]} x {classes} classes are fewer images than the "
            f"usual {cfg.neighbours} neighbours; --neighbours N or auto says otherwise"
        )
    )
    return cfg.model_copy(update={"neighbours": fewest})


def _of_probe(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Defaults that depend on other settings: logistic regression has no penalty that is usual
    whatever the features, and there is one draw of all images.

    Raises UsageError if a setting is of another probe, unless it is what it is by default, as in a
    file that --print-config wrote."""
    base: dict[str, Any] = {}
    probe = tree.get("probe", "ridge")
    own = next((keys for name, keys in PARAMETERS.items() if name == probe), None)
    for key in ("l2", "neighbours", "temperature"):
        usual = FewshotConfig.model_fields[key].default
        if own is not None and key not in own and tree.get(key, usual) != usual:
            raise UsageError(
                f"{key} is no setting of the probe {probe}",
                hint=f"{probe} has {' and '.join(own)}; --probe chooses another",
            )
    if probe == "logistic" and "l2" not in tree:
        base["l2"] = "auto"
    if tree.get("shots") == "all" and "draws" not in tree:
        base["draws"] = 1
    return base


def read_features(texts: Sequence[str]) -> tuple[list[Features], list[str]]:
    """`["model,pixels", "a.npz"]` -> the kinds of features, and references to such that are there.

    Raises UsageError where both are named, or a word among several is neither.
    """
    known = {name: name for name in get_args(Features) if name != "given"}
    kinds: list[Features] = []
    references = []
    for text in texts:
        parts = [part.strip() for part in text.split(",")]
        unknown = [word for word in parts if word not in known]
        mistyped = nearest(text, known, cutoff=0.75) and not Path(text).exists()
        if len(unknown) == len(parts) and not mistyped:
            references.append(text)
        elif unknown:
            raise UsageError(
                f"--features {quoted(unknown[0])} is not one of {', '.join(known)}",
                hint="one or several, as in --features model,pixels; a file or a set of features "
                "takes a --features of its own",
            )
        else:
            kinds += [known[word] for word in parts]
    if kinds and references:
        raise UsageError(
            f"--features {references[0]} names stored features, and {kinds[0]} is to be computed",
            hint="probe them one after the other: a result each",
        )
    return list(dict.fromkeys(kinds)), list(dict.fromkeys(references))


def features_in_files(path: Path) -> Given | None:
    """Features that another program wrote to a file or a folder; None where there is nothing, or
    an artifact."""
    files = embedding.features_in_files(path)
    return None if files is None else Given(files)


def read_l2(text: str, *, name: str) -> float | str:
    """`auto`, or a penalty."""
    if text == "auto":
        return text
    try:
        l2 = float(text)
    except ValueError:
        l2 = math.nan
    if not 0 < l2 < math.inf:
        raise UsageError(
            f"{name} {quoted(text)} is neither auto nor a number above 0", hint=f"as in {name} 1024"
        )
    return l2


def read_neighbours(text: str, *, name: str) -> int | str:
    """`auto`, or how many."""
    return text if text == "auto" else parse_count(text, name=name)


def read_shots(text: str, *, name: str) -> list[int] | str:
    """`10,1,5` -> [1, 5, 10]; `all` is itself."""
    if text == "all":
        return text
    return sorted({parse_count(part, name=name) for part in text.split(",")})
