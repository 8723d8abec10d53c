"""Small studies, made without training: what a report is of, and what is wrong with it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.artifacts.making import checkpoint_summary, dataset_summary, recipe
from vitctl.artifacts import Artifact, Parent, Run, Store
from vitctl.artifacts.manifest import Manifest, manifest_bytes
from vitctl.data.dataset import DatasetInfo, SplitInfo, keys_name, labels_name, shard_name
from vitctl.data.example import Example, encode_example
from vitctl.data.order import sample_key
from vitctl.data.records import open_writer

SOURCE = "/home/alice/secret project/photos"
HOSTILE = '</script><img src=x onerror="alert(1)">'
BIDI = "safe\u202egpj.exe"


def png(number: int, side: int = 8) -> bytes:
    pixels = np.full((side, side, 3), (37 * number) % 256, np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photos(
    store: Store,
    *,
    classes: Sequence[str] = ("cat", "dog"),
    images: int = 12,
    name: str = "photos",
    side: int = 8,
) -> Artifact:
    """A dataset whose images can be decoded, the classes in turn."""
    digest = "5" * 64
    source = Parent(role="source", kind="source", id=digest, digest=digest, path=SOURCE)
    with store.open(recipe(name=name, images=images, parents=(source,)), name=name) as draft:
        if draft.finished is not None:
            return draft.finished
        examples = [Example(png(i, side), (i % len(classes),), f"x/{i}") for i in range(images)]
        with open_writer(draft.path / shard_name("train", index=0, shards=1)) as writer:
            for example in examples:
                writer.write(encode_example(example))
        keys = [sample_key(example.id) for example in examples]
        np.array(keys, "<u8").tofile(draft.path / keys_name("train"))
        np.array([e.labels for e in examples], "<i4").tofile(draft.path / labels_name("train"))
        splits: Any = {"train": SplitInfo(shard_lengths=(images,), record_bytes=1)}
        info = DatasetInfo(classes=tuple(classes), splits=splits)
        (draft.path / "dataset.json").write_bytes(info.as_document())
        summary = dataset_summary({"train": images}, classes=len(classes))
        return draft.publish(summary=summary)


def rows(first: int, last: int, *, batch: int = 8, every: int = 1, **changes: Any) -> list[dict]:
    """Rows of training; `changes` are functions of the step."""
    return [
        {
            "kind": "train",
            "step": step,
            "images": step * batch,
            "lr": 0.1 / step,
            "loss": 2.0 / step**0.5,
            "grad_norm": 1.0,
            "images_per_second": 100.0,
            **{name: change(step) for name, change in changes.items()},
        }
        for step in range(first, last + 1, every)
    ]


def run(
    store: Store,
    stage: str,
    *,
    parents: Sequence[Any],
    steps: Sequence[int],
    name: str,
    logged: Sequence[dict] = (),
    **settings: Any,
) -> Run:
    """A run with checkpoints, and what it logged."""
    wanted = recipe(stage, "run", parents=tuple(parents), data={"batch": 8}, **settings)
    scores = {"top1": 0.75, "top5": 1.0, "loss": 0.5, "examples": 40}
    with store.open_run(wanted, name=name) as draft:
        draft.begin(from_step=0, runtime={})
        for step in steps:
            place = draft.empty_place(step)
            (place / "weights.bin").write_bytes(b"weights %d" % step)
            summary = checkpoint_summary(
                step,
                images=8 * step,
                loss=1.0 / step,
                eval=scores,
                finished_schedule=stage != "pretrain",
            )
            draft.publish(step, summary=summary, started="2026-01-01T00:00:00+00:00")
        path = draft.path
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in logged))
    return Run.load(path)


def result(
    store: Store, kind: str, summary: dict, *, parents: Sequence[Artifact], name: str, **files: Any
) -> Artifact:
    """A finished result; `files` are documents by the stem of their name."""
    given = tuple(parent.as_parent(role) for role, parent in zip(("from", "data"), parents))  # noqa: B905
    stage = {"evaluation": "evaluate", "feature-set": "embed"}.get(kind, kind)
    with store.open(recipe(stage, kind, parents=given, name=name), name=name) as draft:
        if draft.finished is None:
            for stem, document in files.items():
                (draft.path / f"{stem}.json").write_text(json.dumps(document))
            draft.publish(summary=summary)
        assert draft.finished is not None
        return draft.finished


FEWSHOT: dict[str, Any] = {
    "model": "S/16",
    "step": 12,
    "cooled": True,
    "features": "model",
    "dataset": "photos-1a2b3c4d",
    "split": "val",
    "classes": 2,
    "seen": "all",
    "examples": 40,
    "l2": 32.0,
    "shots": [
        {
            "shots": shots,
            "accuracy_mean": 0.5 + 0.02 * shots,
            "accuracy_std": 0.01,
            "interval": [0.45 + 0.02 * shots, 0.55 + 0.02 * shots],
            "test_interval": [0.4 + 0.02 * shots, 0.6 + 0.02 * shots],
            "draws": 10,
        }
        for shots in (1, 5, 10)
    ],
}
EVALUATION: dict[str, Any] = {
    "model": "S/16",
    "step": 12,
    "dataset": "photos-1a2b3c4d",
    "split": "val",
    "top1": 0.875,
    "top5": 1.0,
    "loss": 0.4321,
    "examples": 40,
    "top1_interval": [0.73, 0.96],
    "without_label": 0,
    "metrics": {
        "top1": {"value": 0.875, "interval": [0.73, 0.96]},
        "ece": {"value": 0.0512, "interval": [0.02, 0.09]},
    },
}


def results(classes: Sequence[str]) -> dict[str, Any]:
    """`results.json` of an evaluation."""
    return {
        "format": 1,
        "classes": [{"class": name, "examples": 20, "top1": 0.5} for name in classes],
        "confusions": [{"label": classes[0], "predicted": classes[-1], "count": 5}],
        "calibration": [
            {"from": 0.5, "to": 0.6, "examples": 9, "confidence": 0.55, "top1": 0.5},
            {"from": 0.9, "to": 1.0, "examples": 31, "confidence": 0.95, "top1": 0.98},
        ],
    }


@dataclass(frozen=True)
class Small:
    """The members of a small study."""

    store: Store
    photos: Artifact
    trunk: Run
    cooled: Run
    other: Run
    probe: Artifact
    evaluation: Artifact

    @property
    def named(self) -> list[tuple[Artifact | Run, None]]:
        return [(self.probe, None), (self.evaluation, None), (self.other, None)]


def small(store: Store, *, classes: Sequence[str] = ("cat", "dog")) -> Small:
    """A dataset, a trunk, two cooldowns, a probe and an evaluation."""
    data = photos(store, classes=classes)
    trunk = run(
        store,
        "pretrain",
        parents=[data.as_parent("data")],
        steps=(8, 12),
        name="S-16",
        logged=rows(1, 12),
    )
    branches = [
        run(
            store,
            "cooldown",
            parents=[trunk.checkpoint(at).as_parent("from"), data.as_parent("data")],
            steps=(at + 4,),
            name=f"S-16-{at + 4}",
            logged=rows(at + 1, at + 4),
        )
        for at in (8, 12)
    ]
    given = [branches[0].checkpoint(12), data]
    probe = result(store, "fewshot", FEWSHOT, parents=given, name="probe")
    evaluation = result(
        store, "evaluation", EVALUATION, parents=given, name="scores", results=results(classes)
    )
    return Small(store, data, trunk, branches[0], branches[1], probe, evaluation)


def republished(artifact: Artifact, change: Callable[[dict[str, Any]], None]) -> Artifact:
    """The artifact with another provenance, which no id, digest or seal covers."""
    tree = artifact.manifest.model_dump(mode="json")
    change(tree["provenance"])
    path = Path(str(artifact.path)) / "artifact.json"
    path.write_bytes(manifest_bytes(Manifest.model_validate(tree)))
    return Artifact.load(artifact.path)


# ---- Reading a page


@dataclass
class Node:
    """An element of a page: its name, its attributes, and the text right in it."""

    name: str
    attributes: dict[str, str | None]
    text: str = ""


class Page(HTMLParser):
    """What a browser's parser makes of a page: elements, text outside of scripts and styles."""

    VOID = frozenset({"meta", "img", "br", "source"})

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.nodes: list[Node] = []
        self.open: list[Node] = []
        self.unclosed: list[str] = []
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs))
        self.nodes.append(node)
        if tag not in self.VOID:
            self.open.append(node)

    def handle_startendtag(self, tag, attrs):
        self.nodes.append(Node(tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1].name != tag:
            self.unclosed.append(tag)
        else:
            self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.open[-1].text += data

    def named(self, name: str) -> list[Node]:
        return [node for node in self.nodes if node.name == name]

    @property
    def text(self) -> str:
        """All that people read."""
        hidden = ("script", "style")
        return " ".join(node.text for node in self.nodes if node.name not in hidden)

    @property
    def data(self) -> list[Any]:
        """What the script reads."""
        return [
            json.loads(node.text)
            for node in self.named("script")
            if node.attributes.get("type") == "application/json"
        ]
