"""The world of README and the guide in miniature: what their command lines name is there, small.

`build` fills a folder; `line_for` makes a line of a page one of that world; `main` is `vitctl` with
what makes a training run of it small. All else of a line is as it is written.
"""

from __future__ import annotations

import io
import os
import re
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from tests.forking import DECODING, shell_command

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("cat", "dog", "owl")
TRAIN_A_CLASS, VAL_A_CLASS = 40, 5

_MODEL = ("width=16", "depth=6", "mlp_dim=32", "heads=2", "position=learned")
_SMALL_RUN = (
    "--batch", "8", "--res", "32", "--warmup", "2", "--checkpoint-every", "4",
    "--keep-every", "4", "--eval-every", "20",
    *(word for setting in _MODEL for word in ("--set", f"model.{setting}")),
)  # fmt: skip

REWRITTEN = (
    (r"(?<![\w.])(\d+)k\b", r"\1"),  # thousands of steps and images
    (r"\bRUN_A\b", "S-16@20"),
    (r"\bRUN_B\b", "S-16@40"),
    (r"--compare A B\b", "--compare S-16@20 S-16@40"),
    (r"\bRUN\b", "S-16"),
    (r"\bDATASET\b", "photos"),
    (r"\bOTHER\b", "drawings"),
    (r"\bIMPORT\b", "imported"),
    (r"--res 384\b", "--res 48"),
    (r"--res 256\b", "--res 32"),
    (r"--step 1200\b", "--step 12"),
    (r"--classes 1000 --per-class 1000\b", "--classes 3 --per-class 2"),
    (r"--classes 50 --per-class 400\b", "--classes 3 --per-class 30"),
    (r"--warmup 100\b", "--warmup 1"),
    (r" --ray auto\b", ""),  # the same work without a cluster; tests/workers/test_ray_cluster.py
    (r"/shared/(photos|crawl-007)\b", "photos"),
    # Every part, as `merge` wants all of them, of as many as there are shards: train and val.
    (
        r"vitctl shard (.*)--part 2/(8|64)\b",
        r"for part in 1/2 2/2; do vitctl shard \1--part $part || exit; done",
    ),
    (r"\bimagenet-val\b", "drawings"),
    (r"\bcrawl-000-clean crawl-001-clean\b", "album"),
    (
        r"shard artifacts/shard/photos-[0-9a-f]{8}",
        "shard $(ls -d artifacts/shard/photos-???????? | tail -1)",
    ),
    (r"\bartifacts/shard/photos-[0-9a-f]{8}", "artifacts/shard/photos"),
    (r"^vitctl evaluate \|", "vitctl evaluate --from S-16@36 |"),
    (r"\bS-16-24000\b", "cooled"),
    (r"(vitctl advise .*v5e:4x4)( --data photos)?", r"\1 --examples 1.28M --classes 1000"),
    (r"~/photos --unlabelled", "~/album --unlabelled"),
    (r"\"\$images\"", "album"),
    (r"-k 1000?\b", "-k 3"),
    (r"\b(LABELLED|REF)\b", "photos"),
)
"""Of a line: numbers of a real run, and words that stand for what a reader fills in."""

# Nothing is made from the checkpoints 20 and 40, which a page removes.
_WORLD = """
vitctl shard photos/ --name photos
for name in drawings pets flowers; do vitctl shard $name/ --name $name; done
vitctl shard album/ --name album --unlabelled --val-fraction 0.05
vitctl pretrain --model S16 --data photos --steps 40
vitctl cooldown --from S-16@36 --steps 2 --name cooled
vitctl evaluate --from S-16@36 --data photos
vitctl average S-16@8 S-16@12 --name tuned-a
vitctl average S-16@8 S-16@16 --name tuned-b
vitctl average S-16@12 S-16@16 --name tuned-c
vitctl export --from S-16@32 --to timm --out models/vit_base_patch16_224.augreg
vitctl export --from S-16@32 --to big_vision --out exported
vitctl import models/vit_base_patch16_224.augreg --name imported
"""

_GRID = """
models = [{ name = "tiny", width = 16, depth = 1, mlp_dim = 16, heads = 2, patch = 8 }]
durations = { steps = [2, 4] }
settings = { data.batch = 8, model.resolution = 32, schedule.warmup_steps = 1 }
"""


def line_for(line: str) -> str:
    """A line of a page, for this world."""
    for pattern, replacement in REWRITTEN:
        line = re.sub(pattern, replacement, line)
    return line


def main() -> None:
    """`vitctl`: the same command, small."""
    from stages.app import main as vitctl

    verb = sys.argv[1] if len(sys.argv) > 1 else ""
    command = sys.argv[2:]
    if verb == "pretrain" and "--model" in command and "test" not in command:
        sys.argv += _SMALL_RUN
        sys.argv += [] if "--name" in command else ["--name", "S-16"]
        # The newest dataset is one that a line above has made: then it would be another run.
        piped = stat.S_ISFIFO(os.fstat(0).st_mode)
        sys.argv += [] if piped or "--data" in command else ["--data", "photos"]
        sys.argv += [] if "--steps" in command else ["--steps", "4"]
    elif verb == "import" and command[0].endswith(".safetensors"):
        sys.argv += ["--heads", "2"]  # known of every usual width
    elif verb == "pretrain" and "--recipe" in command:
        # The page's run is minutes long.
        sys.argv += [] if "--data" in command else ["--data", "photos"]
        sys.argv += ["--steps", "4"]
        sys.argv += [] if "--warmup" in command else ["--warmup", "1"]
    elif verb in ("pretrain", "finetune", "cooldown") and "--mock" not in command:
        sys.argv += [] if "--batch" in command or verb == "cooldown" else ["--batch", "8"]
        sys.argv += ["--steps", "2"] if verb == "finetune" and "--steps" not in command else []
    elif verb == "shard" and "formula" not in command:
        sys.argv += ["--workers", "0"]
    vitctl()


def program(folder: Path) -> Path:
    """`vitctl` for a shell: a fork of a process that has imported it."""
    code = "from tests.miniature_pages import main; main()"
    file = folder / "bin" / "vitctl"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f'#!/bin/sh\nexec {shell_command(code, preload=DECODING)} "$@"\n')
    file.chmod(0o755)
    return file


def build(folder: Path, environment: dict[str, str]) -> None:
    """Photos, archives, datasets, a trunk, models that were made from it, files to import."""
    from tests.ingest.sources import miniature_imagenet  # SciPy, which `vitctl` here needs not

    for number, source in enumerate(("photos", "drawings", "pets", "flowers")):
        _photos(folder / source, seed=number)
    for number in range(40):
        _image(folder / "album" / f"{number}.jpg", seed=5000 + number, tint=number)
    (folder / "page.jpg").write_text("<!DOCTYPE html><html>not found</html>")
    for name in ("cat.jpg", "photo.jpg", "other.png"):
        _image(folder / name, seed=9)
    _tars(folder / "shards")
    _tables(folder)
    miniature_imagenet.train_tar(folder / "ILSVRC2012_img_train.tar")
    miniature_imagenet.val_tar(folder / "ILSVRC2012_img_val.tar")
    miniature_imagenet.devkit(folder / "ILSVRC2012_devkit_t12.tar.gz")
    miniature_imagenet.kaggle_zip(folder / "imagenet-object-localization-challenge.zip")
    program(folder)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", _WORLD],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    weights = (folder / "models/vit_base_patch16_224.augreg/model.safetensors").read_bytes()
    for name in ("vit_base.safetensors", "model.safetensors"):
        (folder / name).write_bytes(weights)
    (exported,) = (folder / "exported").glob("*.npz")
    exported.rename(folder / "B_16.npz")
    (folder / "names.txt").write_text("\n".join(CLASSES) + "\n")
    (folder / "runs.txt").write_text("S-16@20\nS-16@40\n")
    (folder / "hard.txt").write_text("train/cat/0.jpg\ntrain/owl/3.jpg\n")


def _image(path: Path, *, seed: int, tint: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 200, (32, 32, 3), np.uint8)
    pixels[..., tint % 3] += 55
    Image.fromarray(pixels).save(path)


def _photos(folder: Path, *, seed: int) -> None:
    for split, count in (("train", TRAIN_A_CLASS), ("val", VAL_A_CLASS)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                _image(
                    folder / split / name / f"{i}.jpg",
                    seed=1000 * seed + 100 * label + i + (split == "val") * 50,
                    tint=label,
                )


def _tars(folder: Path) -> None:
    """A WebDataset of a hundred shards with an image each."""
    folder.mkdir()
    file = io.BytesIO()
    Image.new("RGB", (24, 24), (90, 20, 200)).save(file, "JPEG")
    for number in range(100):
        with tarfile.open(folder / f"{number:03}.tar", "w") as tar:
            for name, content in (
                (f"{number:06}.jpg", file.getvalue()),
                (f"{number:06}.cls", b"%d" % (number % 3)),
            ):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))


def _tables(folder: Path) -> None:
    (folder / "examples").symlink_to(ROOT / "examples")
    table = (ROOT / "examples/scaling/paper_fewshot.csv").read_text().splitlines()
    head = table[0].replace("tpuv3_core_days", "compute").replace("inet10", "accuracy")
    (folder / "runs.csv").write_text("\n".join([head, *table[1:]]) + "\n")
    (folder / "grid.toml").write_text(_GRID)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 40)
    splits = np.tile(["train"] * 30 + ["val"] * 10, 3)
    features = rng.standard_normal((120, 8), np.float32) + labels[:, None]
    np.savez(folder / "dino.npz", features=features, labels=labels, split=splits)
