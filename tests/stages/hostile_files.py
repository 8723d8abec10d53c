"""Files from outside that somebody, or a bad disk, made wrong: tables, settings, lists, weights.

`case` writes one such file, a valid one that was changed in a place or two, and gives the commands
that read it.
"""

from __future__ import annotations

import io
import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.stages import hostile

Words = tuple[str, ...]

TEXTS = (
    *("", " ", "nan", "inf", "-inf", "1e999", "-1", "0", "1_000", "1,5", "0x10"),
    *("\uff11\uff12", "\u0663"),  # digits of other scripts
    *("9" * 5000, "=1+1", '"', "'", "\0", "\ufeff", "\u2028", "\x85", "\x0c", "\x1b[2J", "\u202e"),
    *("é", "e\u0301", "../../x", "/", "a" * 300, "[[" * 600, "{" * 600, "null", "true", "1e-320"),
    *("é" * 200, "-" * 3, ";", "\t", ",", "\\", "%s", "{}", "[bold]", "@1", "~", "*"),
)
INSERTED = (
    *(b"\xff", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n", b"\n\n", b"\x1a", b"\xc3"),
    *(b"[" * 2000, b"{" * 2000, b'"', b"'" * 3, b'"""', b"\xed\xa0\x80", b"1" * 6000, b"#", b"="),
    *(b",", b"\t", b"\\ud800", b"NaN", b"-Infinity", b"1e999", b"[[x]]", b"\x80" * 9),
)


def case(
    folder: Path, store: Path, rng: random.Random, only: list[str]
) -> tuple[str, list[tuple[str, ...]]]:
    """What was made in `folder`, and commands that read it; `store` is a folder with a whole store
    and the images that it was made of."""
    name = rng.choice(only or sorted(KINDS))
    content, ending, commands = KINDS[name](folder, store, rng)
    path = folder / f"given{ending}"
    if isinstance(content, bytes):
        how, changed = spoilt(content, rng)
        path.write_bytes(changed)
    else:
        how = content
    return f"{name}: {how}", [
        (*arguments, "--store", str(folder / "store")) for arguments in commands(path)
    ]


def spoilt(content: bytes, rng: random.Random) -> tuple[str, bytes]:
    """The content with one to three changes, of bytes or of what stands between separators."""
    said = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        how = rng.choice(("flip", "cut", "insert", "value", "value", "value", "line", "double"))
        at = rng.randrange(len(content) + 1)
        if how == "flip" and at < len(content):
            content = (
                content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
            )
        elif how == "cut":
            content = content[:at]
        elif how == "insert":
            content = content[:at] + rng.choice(INSERTED) + content[at:]
        elif how == "value":
            at = _start_of_word(content, at)
            end = at
            while end < len(content) and content[end : end + 1] not in _SEPARATORS:
                end += 1
            text = rng.choice(TEXTS).encode()
            content = content[:at] + text + content[end:]
        elif how == "line":
            lines = content.split(b"\n")
            del lines[rng.randrange(len(lines))]
            content = b"\n".join(lines)
        else:
            lines = content.split(b"\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            content = b"\n".join(lines)
        said.append(f"{how} at {at}")
    return ", ".join(said), content


_SEPARATORS = frozenset(bytes([b]) for b in b",\t\n=:[]{}\"' ")


def _start_of_word(content: bytes, at: int) -> int:
    while at > 0 and content[at - 1 : at] not in _SEPARATORS:
        at -= 1
    return at


# Tables

_ROWS = [
    {"model": m, "steps": s, "compute": c, "error": e, "images_seen": s * 64, "data_size": 1000}
    for m, s, c, e in (
        *(("S/16", 1000 * 2**k, 1.5 * 2**k, 0.6 * (1 + 2**k) ** -0.2 + 0.1) for k in range(7)),
        *(("B/16", 1000 * 2**k, 6.0 * 2**k, 0.5 * (1 + 2**k) ** -0.25 + 0.08) for k in range(7)),
    )
]


def _csv(rows: list[dict[str, object]], separator: str = ",") -> str:
    lines = [separator.join(rows[0])]
    lines += [separator.join(str(value) for value in row.values()) for row in rows]
    return "\n".join(lines) + "\n"


def _table(folder: Path, store: Path, rng: random.Random) -> Made:
    ending = rng.choice((".csv", ".tsv", ".json", ".jsonl", ".parquet"))
    if ending == ".parquet":
        import pyarrow
        import pyarrow.parquet

        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(_ROWS), sink)
        content = sink.getvalue()
    elif ending == ".json":
        content = json.dumps(_ROWS).encode()
    elif ending == ".jsonl":
        content = "".join(json.dumps(row) + "\n" for row in _ROWS).encode()
    else:
        content = _csv(_ROWS, "\t" if ending == ".tsv" else ",").encode()
    extra: Words = rng.choice(
        (
            (),
            ("--form", rng.choice(("floor", "shift", "power"))),
            ("--where", rng.choice(("model=S/16", "steps>=4000", "compute<1e3", "error!=0.2"))),
            ("--unit", rng.choice(("percent", "fraction", "none"))),
            ("--loss", "error"),
            ("--budget", rng.choice(("100", "1e30", "1e-9", "nan", "x"))),
        )
    )
    command = rng.choice(("fit", "fit", "fit", "plot"))
    if command == "plot":
        extra = ("--theme", "light")
    return content, ending, lambda path: [("scaling", command, str(path), *extra, "--json")]


# Settings

_TOML = b"""name = "test/4"
recipe = "small"

[model]
width = 64
depth = 4
heads = 4
mlp_dim = 256
resolution = 16

[schedule]
kind = "rsqrt"
warmup_steps = 50

[optim]
lr = 1e-3
wd_head = 3.0

[data]
batch = 96
evaluation = { resize = "squash", ratio = 1.0 }

[data.augment]
flip = false
area_min = 0.2
randaugment = { layers = 2, magnitude = 10 }
mixup_alpha = "none"
"""


def _settings(folder: Path, store: Path, rng: random.Random) -> Made:
    command = rng.choice(
        (
            ("pretrain", "--steps", "100", "--mock", "1000", "--print-config"),
            ("plan", "--print-config"),
            ("shard", "digits", "--print-config"),
            ("scaling", "fit", str(store / "runs.csv"), "--print-config"),
        )
    )
    content = _TOML if command[0] in ("pretrain", "plan") else b'shards = 3\nform = "power"\n'
    return content, ".toml", lambda path: [(*command, "--config", str(path))]


def _set(folder: Path, store: Path, rng: random.Random) -> Made:
    key = rng.choice(
        (
            "model.width",
            "schedule.warmup_steps",
            "optim.lr",
            "data.augment.randaugment",
            "name",
            "data.batch",
            "model",
            "optim",
            "data.evaluation",
            "steps",
            "x.y",
            "model.width.x",
            "seed",
        )
    )
    value = rng.choice((*TEXTS, "@x.toml", "[1,2]", "{a=1}", "2e400", "-0.0", "1979-05-27"))
    command = ("pretrain", "--steps", "100", "--mock", "1000", "--print-config")
    setting = f"{key}={value}".replace("\0", "")
    return f"{setting!r:.80}", "", lambda path: [(*command, "--set", setting)]


# Lists beside images


def _source(folder: Path, store: Path) -> Path:
    """Three images in two folders."""
    source = folder / "source"
    for name in ("ant/0.png", "ant/1.png", "bee/0.png"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(store / "images" / name, source / name)
    return source


def _small(store: Path) -> Path:
    """The store of two runs that `hostile.trimmed` leaves, made once beside the whole one."""
    small = store.with_name("small")
    if not small.exists():
        hostile.trimmed(hostile.copied(store, small) / "artifacts")
    return small / "artifacts"


_SHARD = ("--workers", "0", "--val-fraction", "0", "--shards", "1")


def _labels(folder: Path, store: Path, rng: random.Random) -> Made:
    source = _source(folder, store)
    ending = rng.choice((".jsonl", ".csv", ".tsv", ".txt"))
    names = ("ant/0.png", "ant/1.png", "bee/0.png")
    if ending == ".jsonl":
        text = "".join(json.dumps({"id": n, "labels": [n[:3], "insect"]}) + "\n" for n in names)
    elif ending == ".txt":
        text = "".join(f"{n} {n[:3]}\n" for n in names)
    else:
        text = _csv([{"image": n, "label": n[:3]} for n in names], "\t" if "t" in ending else ",")
    command = ("shard", str(source), *_SHARD)
    return text.encode(), ending, lambda path: [(*command, "--labels", str(path))]


def _class_lists(folder: Path, store: Path, rng: random.Random) -> Made:
    source = _source(folder, store)
    option, text = rng.choice(
        (
            ("--classes-from", "ant\nbee\ncat\n"),
            ("--class-titles", "ant\tAnts of all kinds\nbee\tBees\n"),
            ("--exclude", "bee\nant/1.png\n"),
        )
    )
    command = ("shard", str(source), *_SHARD)
    return text.encode(), ".txt", lambda path: [(*command, option, str(path))]


def _class_map(folder: Path, store: Path, rng: random.Random) -> Made:
    (folder / "store").symlink_to(_small(store))
    command = ("evaluate", "--from", "cooled", "--force")
    text = "ant\tant\nbee\tcat\ncat\tbee\n"
    return text.encode(), ".tsv", lambda path: [(*command, "--class-map", str(path))]


# Weights


def _tensors(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A small timm model: width 16, depth 1, patch 4 of 8 pixels, 3 classes."""
    shapes = {
        "cls_token": (1, 1, 16),
        "pos_embed": (1, 5, 16),
        "patch_embed.proj.weight": (16, 3, 4, 4),
        "patch_embed.proj.bias": (16,),
        "blocks.0.norm1.weight": (16,),
        "blocks.0.norm1.bias": (16,),
        "blocks.0.attn.qkv.weight": (48, 16),
        "blocks.0.attn.qkv.bias": (48,),
        "blocks.0.attn.proj.weight": (16, 16),
        "blocks.0.attn.proj.bias": (16,),
        "blocks.0.norm2.weight": (16,),
        "blocks.0.norm2.bias": (16,),
        "blocks.0.mlp.fc1.weight": (64, 16),
        "blocks.0.mlp.fc1.bias": (64,),
        "blocks.0.mlp.fc2.weight": (16, 64),
        "blocks.0.mlp.fc2.bias": (16,),
        "norm.weight": (16,),
        "norm.bias": (16,),
        "head.weight": (3, 16),
        "head.bias": (3,),
    }
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def _safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    header, at = {}, 0
    for name, value in tensors.items():
        header[name] = {
            "dtype": "F32",
            "shape": list(value.shape),
            "data_offsets": [at, at + value.nbytes],
        }
        at += value.nbytes
    text = json.dumps(header).encode()
    data = b"".join(value.tobytes() for value in tensors.values())
    return len(text).to_bytes(8, "little") + text + data


def _weights(folder: Path, store: Path, rng: random.Random) -> Made:
    tensors = _tensors(np.random.default_rng(0))
    ending = rng.choice((".safetensors", ".safetensors", ".npz"))
    names = folder / "names.txt"
    names.write_text("ant\nbee\ncat\n")
    if ending == ".npz":
        sink = io.BytesIO()
        np.savez(sink, **tensors)
        content = sink.getvalue()
    else:
        content = _safetensors(tensors)
        if rng.random() < 0.7:  # mutate the header, not a value: the data is most of the file
            size = 8 + int.from_bytes(content[:8], "little")
            how, head = spoilt(content[8:size], rng)
            content = len(head).to_bytes(8, "little") + head + content[size:]
            (folder / "given.safetensors").write_bytes(content)
            command = ("--classes", str(names), "--heads", "2", "--layout", "timm")
            return (
                f"header {how}",
                ending,
                lambda path: [("import", str(path), *command[: rng.choice((2, 6))])],
            )
    command = ("--classes", str(names), "--heads", "2")
    return content, ending, lambda path: [("import", str(path), *command)]


def _weights_folder(folder: Path, store: Path, rng: random.Random) -> Made:
    """A folder with a configuration beside the weights, which is what is changed."""
    snapshot = folder / "snapshot"
    snapshot.mkdir()
    (snapshot / "model.safetensors").write_bytes(_safetensors(_tensors(np.random.default_rng(0))))
    config = {
        "architecture": "vit_test",
        "num_classes": 3,
        "num_features": 16,
        "pretrained_cfg": {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "input_size": [3, 8, 8],
            "label_names": ["ant", "bee", "cat"],
            "interpolation": "bicubic",
        },
        "model_args": {"num_heads": 2},
        "num_attention_heads": 2,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-6,
        "id2label": {"0": "ant", "1": "bee", "2": "cat"},
    }
    if rng.random() < 0.5:
        how, content = spoilt(json.dumps(config).encode(), rng)
    else:
        where, value = rng.choice(list(hostile.places(config))), rng.choice(hostile.VALUES)
        how = f"{where} = {value!r:.60}"
        content = json.dumps(hostile.changed(config, where, value)).encode()
    (snapshot / "config.json").write_bytes(content)
    return how, "", lambda path: [("import", str(snapshot))]


def _dataset(folder: Path, store: Path, rng: random.Random) -> Made:
    """A whole dataset artifact below another name, of which nothing but a shard is changed, and
    the sizes and hashes made to match."""
    hostile.copied(_small(store), folder / "store")
    (shard,) = rng.sample(sorted((folder / "store").rglob("*.array_record-*")), 1)
    how, content = spoilt(shard.read_bytes(), rng)
    shard.unlink()
    shard.write_bytes(content)
    hostile.reseal(folder / "store")
    data = str(folder / "store" / Path(hostile.MADE["dataset"]["path"]).relative_to("artifacts"))
    commands: tuple[Words, ...] = (
        ("verify", data, "--deep"),
        ("evaluate", "--from", "cooled", "--force"),
        ("fewshot", "--from", "cooled", "--shots", "1", "--draws", "1"),
        ("shard", data, "--name", "again", "--workers", "0", "--layout", "flat"),
        ("finetune", "--from", "cooled", "--batch", "8", "--lr", "0.1", "--steps", "1"),
    )
    chosen = rng.sample(commands, 2)
    return f"{shard.name} {how}", "", lambda path: list(chosen)


Made = tuple[bytes | str, str, Callable[[Path], list[Words]]]
"""A file's content before it is spoilt, or what was changed where that is done; its ending; the
commands that read it."""

KINDS: dict[str, Callable[[Path, Path, random.Random], Made]] = {
    "table": _table,
    "settings": _settings,
    "set": _set,
    "labels": _labels,
    "class-lists": _class_lists,
    "class-map": _class_map,
    "weights": _weights,
    "weights-folder": _weights_folder,
    "dataset": _dataset,
}
