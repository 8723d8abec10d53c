"""Benchmarks, each a ratio against something run in the same process: `just bench [NAME ...]`.

Beside other programs, in environments of theirs, each `python -m tests.bench.NAME`: steps (timm),
sharding (tar, TFDS, webdataset), feed (PyTorch's DataLoader), duplicates (imagededup).
Also `python -m tests.bench.memory`: what a training has in memory, over 10,000 steps.
Also `python -m tests.bench.formula`: pictures a second of both makers of formula images.
Also `python -m tests.bench.starting`: what `--help` and the start of commands take; and
`python -m tests.bench.overhead`: how long devices wait for the host between two steps.
Also `python -m tests.bench.first_hour`: what decides whether a few hundred images are learned.

input       images/s of training batches: all threads against one
step        images/s of the train step: scanned layers with full remat against without
classes     seconds a plan of 65,529 images in 21,843 classes takes, against 2,184 of them
files       processor time and memory a file that is listed and planned: 1,000,000 of them against
            100,000
names       seconds of evaluating, probing and showing by name: 21,843 classes against 2,184
listing     milliseconds an artifact of `ls` and `ls --json`: 10,000 of them against 1,000
classes-from  seconds of `shard --classes-from FILE` before it reads an image: 21,843 names against
            2,184
removal     seconds of `rm --dry-run`: of a dataset that all others were made from, and of 1,000 and
            100 artifacts by their paths, among 10,000
lookup      milliseconds a reference by path, name, id, `show` and completion take among 10,000
show        milliseconds `show` of a run takes: of 1,000,000 rows of training alone against 1,000
probe       processor seconds a ridge regression of 1,000 classes takes, of the 4 and 12 of a draw
            (draws share nothing), against scikit-learn's of the same shots; wall seconds; twice,
            with features that tell classes apart badly and well. OPENBLAS_NUM_THREADS=1 where
            others use the machine: threads that wait for each other count as processor time
checkpoint  seconds a save of S/16 stops training, against the time of one step of 8 images
saves       seconds a save of a tiny model takes, each described anew by orbax, or by the first
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vitctl.places.local import based

REPEATS = 5


def timed(work: Callable[[], Any]) -> list[float]:
    """Seconds of `REPEATS` calls after one that warms up."""
    work()
    return [second for _ in range(REPEATS) for second in seconds(work)]


def seconds(work: Callable[[], Any]) -> list[float]:
    """How long one call takes."""
    began = time.perf_counter()
    work()
    return [time.perf_counter() - began]


def print_rates(name: str, rates: dict[str, list[float]], unit: str) -> None:
    """Median and range of each, and the ratio of the medians."""
    medians = {}
    for label, values in rates.items():
        medians[label] = statistics.median(values)
        print(f"{name:<10} {label:<24} {medians[label]:10.4g} {unit}", end="")
        print(f"   ({min(values):.4g} to {max(values):.4g})")
    first, second, *_ = medians.values()
    print(f"{name:<10} ratio {first / second:.2f}\n")


def photos(folder: Path, *, images: int = 256, side: int = 256) -> Path:
    """JPEG files of smooth noise in two classes, sharded into a dataset."""
    from stages.shard import run as shard
    from stages.shard.spec import Inputs, ShardConfig, ShardRuntime
    from vitctl.artifacts import Store

    rng = np.random.default_rng(0)
    for i in range(images):
        place = folder / "photos" / f"class{i % 2}"
        place.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
        out = io.BytesIO()
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        (place / f"{i}.jpg").write_bytes(out.getvalue())
    cfg = ShardConfig(val_fraction=0.0)
    artifact = shard.run(
        cfg,
        Inputs(str(folder / "photos")),
        store=Store(folder / "store"),
        runtime=ShardRuntime(workers=0),
    )
    return artifact.path


def bench_input() -> None:
    from vitctl.data.config import AugmentConfig
    from vitctl.data.dataset import Dataset
    from vitctl.data.pipeline import train_batches
    from vitctl.hardware.machine import available_cores

    batch, batches = 32, 8
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.load(photos(Path(folder)))
        rates = {}
        for workers in (available_cores(), 1):
            stream = train_batches(
                dataset,
                resolution=224,
                augment=AugmentConfig(),
                seed=0,
                batch=batch,
                workers=workers,
            )
            seconds = timed(lambda stream=stream: [next(stream) for _ in range(batches)])
            rates[f"{workers} threads, 224 px"] = [batch * batches / s for s in seconds]
    print_rates("input", rates, "images/s")


def small_run(*, depth: int = 4) -> tuple[Any, Any, Any]:
    """A configuration, a layout and a state for S/16 at 224 px, by default cut to four layers."""
    from vitctl.model.config import from_name
    from vitctl.optim.schedules import ScheduleConfig
    from vitctl.sharding import layout as layouts
    from vitctl.train.config import DataConfig, TrainConfig
    from vitctl.train.program import state

    model = from_name("S16", classes=1000).model_copy(update={"depth": depth})
    cfg = TrainConfig(
        name=f"S/16, {depth} layers",
        recipe="paper",
        model=model,
        loss="sigmoid",
        data=DataConfig(batch=8),
        schedule=ScheduleConfig(peak_lr=1e-3, total_steps=10),
        precision="float32",
    )
    devices = layouts.make(devices=1)
    return cfg, devices, state.fresh(cfg, layout=devices)


def bench_step() -> None:
    import jax

    from vitctl.train.program import run_numbers
    from vitctl.train.program.step import make_step

    cfg, devices, current = small_run()
    numbers = run_numbers.of(cfg)
    images = np.zeros((cfg.data.batch, 224, 224, 3), np.float32)
    labels = np.zeros((cfg.data.batch, 1), np.int32)
    rates = {}
    for remat in ("none", "full"):
        step = make_step(cfg, layout=devices, remat=remat)

        def once(step: Any = step) -> None:
            nonlocal current
            current, _ = step(current, images, labels, np.float32(1e-3), np.int32(0), numbers)
            jax.block_until_ready(current)

        rates[f"{cfg.name}, remat {remat}"] = [cfg.data.batch / s for s in timed(once)]
    print_rates("step", rates, "images/s")


def bench_checkpoint() -> None:
    import jax

    from vitctl.checkpoints import arrays
    from vitctl.train.program import run_numbers
    from vitctl.train.program.step import make_step
    from vitctl.train.run import saving

    cfg, devices, current = small_run(depth=12)
    numbers = run_numbers.of(cfg)
    step = make_step(cfg, layout=devices, remat="none")
    images = np.zeros((cfg.data.batch, 224, 224, 3), np.float32)
    labels = np.zeros((cfg.data.batch, 1), np.int32)

    def once() -> None:
        nonlocal current
        current, _ = step(current, images, labels, np.float32(1e-3), np.int32(0), numbers)
        jax.block_until_ready(current)

    with tempfile.TemporaryDirectory() as folder:
        places = iter(range(3 * REPEATS))
        under_way: list[arrays.Writing] = []

        def begin() -> None:
            place = based(folder) / str(next(places))
            place.mkdir()
            under_way.append(arrays.begin(place, parts=saving.parts(current), position={}))

        def finish() -> None:
            while under_way:
                under_way.pop().finish()

        steps, beside, stalls, rests = timed(once), [], [], []
        for _ in range(REPEATS):
            stalls += seconds(begin)
            beside += seconds(once)
            rests += seconds(finish)
    print_rates(
        "checkpoint",
        {"stall": stalls, "step": steps, "step while one is written": beside, "rest": rests},
        "s",
    )


def bench_saves() -> None:
    from tests.train.conftest import ADAFACTOR, config
    from vitctl.artifacts import Recipe, Store
    from vitctl.checkpoints import arrays
    from vitctl.checkpoints.series import Series
    from vitctl.sharding import layout as layouts
    from vitctl.train.program import state
    from vitctl.train.run import saving

    parts = saving.parts(state.fresh(config(8, **ADAFACTOR), layout=layouts.make(devices=1)))
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        recipe = Recipe(stage="pretrain", version=1, kind="run", config={})
        with Store(folder).open_run(recipe, name="tiny") as run:
            steps = iter(range(10**6))
            for label, begin in (("as the first", arrays.begin), ("after it", Series().begin)):

                def save(begin: Any = begin) -> None:
                    step = next(steps)
                    begin(run.empty_place(step), parts=parts, position={}).finish()
                    run.publish(step, summary={}, started="", volatile=arrays.VOLATILE)
                    run.drop(step)

                rates[label] = timed(save)
    print_rates("saves", rates, "s")


def plan_of(classes: int, folder: Path) -> None:
    """What `vitctl shard --classes-from FILE` works out before it reads an image, 3 a class."""
    from stages.shard.source import class_list
    from vitctl.data.classes import select_classes
    from vitctl.events import silent
    from vitctl.ingest.columns import EntriesBuilder
    from vitctl.ingest.listing import Listing
    from vitctl.ingest.pixels.storage import ImageStorage
    from vitctl.ingest.sources.digits import InMemory
    from vitctl.ingest.write.shard_plan import assign_splits, make_units

    names = [f"n{i:08d}" for i in range(classes)]
    file = folder / f"{classes}.txt"
    file.write_text("\n".join(names))
    entries = EntriesBuilder()
    for number, name in enumerate(names):
        for i in range(3):
            entries.add(f"{name}/{i}.jpg".encode(), size=100, mtime_ns=0, labels=(number,))
    listing = Listing("bench", InMemory(b""), entries.build(), names)
    _, listed = class_list(listing, file, emit=silent)
    select_classes(",".join(names), available=names)
    splitting = assign_splits(listing, val_fraction=0.1)
    make_units(
        splitting.by_split,
        names=names,
        classes=listed,
        shard_bytes=10**9,
        shards=None,
        storage=ImageStorage(max_pixels=10**9),
    )


def bench_classes() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rates = {
            f"{classes:,} classes": timed(lambda n=classes: plan_of(n, Path(folder)))
            for classes in (21_843, 2_184)
        }
    print_rates("classes", rates, "s")  # ten times the classes: a ratio above 15 is not linear


def listed_files(root: str) -> None:
    """What `vitctl shard FOLDER` works out of so many files before it reads an image: processor
    seconds, and bytes of memory a file above those of a folder that is nearly empty."""
    import resource

    from stages.shard.planning import plan
    from stages.shard.spec import Inputs, ShardConfig
    from vitctl.events import silent

    def peak_bytes() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    plan(ShardConfig(), Inputs(f"{root}/few"), own=(), emit=silent).units()
    before, began = peak_bytes(), time.process_time()
    planned = plan(ShardConfig(), Inputs(f"{root}/many"), own=(), emit=silent)
    planned.units()
    _ = planned.recipe
    bytes_a_file = (peak_bytes() - before) / len(planned.listing.entries)
    print(json.dumps([time.process_time() - began, bytes_a_file]))


def bench_files() -> None:
    """Names of one file, which cost memory some 200 bytes each, in 1,000 folders."""
    import subprocess

    classes = 1000
    times, memory = {}, {}
    for files in (1_000_000, 100_000):
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            one = Path(folder, "one.jpg")
            one.write_bytes(b"\xff\xd8\xff")
            for name, count in (("few", 2 * classes), ("many", files)):
                for number in range(classes):
                    below = f"{folder}/{name}/n{number:08d}"
                    os.makedirs(below)
                    for i in range(count // classes):
                        os.link(one, f"{below}/n{number:08d}_{i}.JPEG")
            script = f"from tests.bench.__main__ import listed_files; listed_files({folder!r})"
            done = subprocess.run(
                [sys.executable, "-c", script], stdout=subprocess.PIPE, check=True
            )
            processor_s, bytes_a_file = json.loads(done.stdout)
        label = f"{files:,} files"
        times[label], memory[label] = [1e6 * processor_s / files], [bytes_a_file]
    print_rates("files", times, "us of processor a file")  # 60 is a minute for a million
    print_rates("files", memory, "bytes a file")


def names_of(classes: int) -> None:
    """What commands do with the names of classes besides images: `evaluate` of a model whose
    classes have another order, the choice of `fewshot`, and the lines of `show`."""
    from stages.evaluate.targets import _mapping
    from stages.inspect.show.text import of_artifact
    from stages.inspect.text import labelled
    from tests.artifacts.making import checkpoint_summary, made, recipe
    from vitctl.artifacts import Store
    from vitctl.data.classes import sort_classes, titles_for
    from vitctl.probe.draws import classes_with_enough, positions_by_class

    names = tuple(sort_classes([f"n{i:08d}" for i in range(classes)]))
    renamed = {name: f"model {name}" for name in names}
    _mapping(names[::-1], model=tuple(renamed.values()), class_map=renamed)
    titles_for(names, renamed)
    labels = np.repeat(np.arange(classes, dtype=np.int32), 3)
    positions = positions_by_class(labels, classes=classes)
    classes_with_enough(positions, shots=2, names=names, leave_out=True)
    with tempfile.TemporaryDirectory() as folder:
        summary = checkpoint_summary(5, classes=list(names))
        artifact = made(Store(folder), recipe("pretrain", "checkpoint"), summary=summary)
        labelled(artifact)
        list(of_artifact(artifact))


def bench_names() -> None:
    rates = {
        f"{classes:,} classes": timed(lambda n=classes: names_of(n)) for classes in (21_843, 2_184)
    }
    print_rates("names", rates, "s")  # ten times the classes: a ratio above 15 is not linear


def filled(folder: Path, *, artifacts: int, descend: bool = False) -> Any:
    """A store of so many small datasets: one is made as ever, the others are written as copies of
    it with an id of their own (0.2 ms each, where making one takes several); with `descend` all
    were made from the first."""
    from tests.artifacts.making import dataset_summary, made, recipe
    from vitctl.artifacts import Store
    from vitctl.artifacts.manifest import MANIFEST, manifest_bytes

    store = Store(folder)
    summary = dataset_summary({"train": 6, "val": 3})
    first = made(store, recipe(number=0), name="photos0", summary=summary)
    parents = (first.as_parent("dataset"),) if descend else ()
    for number in range(1, artifacts):
        request = recipe(number=number, parents=parents)
        copy = folder / "shard" / f"photos{number}-{request.id[:8]}"
        copy.mkdir()
        (copy / "data.bin").write_bytes(b"content")
        changes = {"config": request.config, "id": request.id, "parents": parents}
        manifest = first.manifest.model_copy(update=changes)
        (copy / MANIFEST).write_bytes(manifest_bytes(manifest))
    return store


def bench_listing() -> None:
    from stages.inspect.ls.run import rows
    from stages.inspect.ls.text import cells

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for artifacts in (10_000, 1_000):
            store = filled(Path(folder) / str(artifacts), artifacts=artifacts)
            works: dict[str, Callable[[], Any]] = {
                "": lambda store=store: [cells(row) for row in rows(store)],
                " --json": lambda store=store: [json.dumps(row.as_json()) for row in rows(store)],
            }
            for flag, work in works.items():
                listed = [1000 * s / artifacts for s in timed(work)]
                rates[f"ls{flag}, {artifacts:,} artifacts"] = listed
    print_rates("listing", rates, "ms")


def bench_removal() -> None:
    """By name, not by number: a thousand references among ten thousand are no ten million looks."""
    from stages.rm.run import run
    from stages.rm.spec import Inputs
    from vitctl.events import silent

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder), artifacts=10_000, descend=True)
        paths = [str(path) for path in sorted((Path(folder) / "shard").iterdir())]
        source = next(path for path in paths if Path(path).name.startswith("photos0-"))
        works = {
            "1,000 by path": Inputs(tuple(paths[:1000]), "keep", dry_run=True),
            "100 by path": Inputs(tuple(paths[:100]), "keep", dry_run=True),
            "with 9,999 descendants": Inputs((source,), "remove", dry_run=True),
        }
        for word, given in works.items():
            rates[word] = timed(lambda given=given: list(run(given, store=store, emit=silent)))
    print_rates("removal", rates, "s")


def bench_classes_from() -> None:
    from stages.shard.planning import plan
    from stages.shard.spec import Inputs, ShardConfig
    from vitctl.events import silent
    from vitctl.places import place

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        names = [f"n{i:08d}" for i in range(21_843)]
        for name in names[:2]:
            (Path(folder) / "images" / name).mkdir(parents=True)
            for number in range(10):
                (Path(folder) / "images" / name / f"{number}.jpg").write_bytes(b"x")
        for count in (21_843, 2_184):
            file = Path(folder) / f"{count}.txt"
            file.write_text("".join(f"{name}\n" for name in names[:count]))
            inputs = Inputs(f"{folder}/images", classes_from=place(str(file)))
            rates[f"{count:,} names"] = timed(
                lambda inputs=inputs: plan(ShardConfig(), inputs, own=(), emit=silent).units()
            )
    print_rates("classes-from", rates, "s")  # ten times the names: above 15 is not linear


def bench_lookup() -> None:
    from types import SimpleNamespace

    from stages.inspect.show.text import of_artifact
    from vitctl.artifacts.references import find
    from vitctl.console import completion
    from vitctl.errors import NotFoundError

    with tempfile.TemporaryDirectory() as folder:
        store = filled(Path(folder), artifacts=10_000)
        entry, _ = find("photos500", store=store)
        context: Any = SimpleNamespace(params={"store": Path(folder)})

        def misspelled() -> None:
            with contextlib.suppress(NotFoundError):
                find("phtos500", store=store)

        works: dict[str, Callable[[], Any]] = {
            "path": lambda: find(str(entry.path), store=store),
            "name": lambda: find("photos500", store=store),
            "id": lambda: find(entry.path.name[-8:], store=store),
            "no such name": misspelled,
            "show by name": lambda: list(of_artifact(find("photos500", store=store)[0])),
            "completion": lambda: completion.artifacts(context, "photos50"),
        }
        rates = {word: [1000 * s for s in timed(work)] for word, work in works.items()}
    print_rates("lookup", rates, "ms")


def bench_show() -> None:
    """Without held-out scores and saves, whose rows it looks for, too."""
    from stages.inspect.show.text import of_run
    from tests.artifacts.making import recipe, trained
    from vitctl.artifacts import Run, Store

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in (1_000_000, 1_000):
            run = Run.load(trained(Store(folder), recipe("pretrain", "run", rows=rows), steps=(1,)))
            with run.metrics.open("wb") as file:
                for step in range(rows):
                    row = {"kind": "train", "step": step, "loss": 2.5, "lr": 1e-3, "img_per_s": 1e4}
                    file.write(json.dumps(row).encode() + b"\n")
            rates[f"{rows:,} rows"] = [1000 * s for s in timed(lambda run=run: list(of_run(run)))]
    print_rates("show", rates, "ms")


def imagenet_like(
    *, classes: int, width: int, test: int, shots: int, noise: float
) -> tuple[Any, ...]:
    """Features of classes in groups of 20: train [n, d], their rows [classes, k], test, its labels
    [m, 1]."""
    rng = np.random.default_rng(0)
    groups = rng.standard_normal((1 + classes // 20, width), np.float32)
    centres = groups[np.arange(classes) // 20]
    centres += 0.7 * rng.standard_normal(centres.shape, np.float32)
    rows = np.arange(classes * shots).reshape(classes, shots)
    train = np.repeat(centres, shots, axis=0)
    train += noise * rng.standard_normal(train.shape, np.float32)
    labels = rng.integers(classes, size=test)
    scored = centres[labels]
    scored += noise * rng.standard_normal(scored.shape, np.float32)
    return train, rows, scored, labels.astype(np.int32)[:, None]


def bench_probe() -> None:
    probe_of("harder", noise=6.0)
    probe_of("easier", noise=3.0)


def probe_of(name: str, *, noise: float) -> None:
    """Benchmark a ridge probe of classes that `noise` hides more or less."""
    import scipy.linalg
    from sklearn.linear_model import Ridge

    from vitctl.probe import ridge
    from vitctl.probe.scoring import Scorer

    shots, penalties = (1, 5, 10, 25), (64.0, 1024.0, 16384.0)
    data = imagenet_like(classes=1000, width=1664, test=50_000, shots=25, noise=noise)
    train, rows, test, labels = data
    accuracies: list[Any] = []

    def ours(l2s: tuple[float, ...]) -> None:
        equations = ridge.nested(train, rows, shots=shots)
        fitted = [one for some in equations for one in some.solved(l2s)]
        answers = Scorer.of(test, labels, like=train).answers(fitted)
        accuracies.append(answers.right.mean(axis=1))

    def theirs(k: int) -> None:
        x = train[rows[:, :k].reshape(-1)].astype(np.float64)
        mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-5
        y = 2.0 * np.eye(1000)[np.repeat(np.arange(1000), k)] - 1
        model = Ridge(alpha=ridge.L2, solver="cholesky").fit((x - mean) / scale, y)
        right = model.predict((test - mean) / scale).argmax(axis=1) == labels[:, 0]
        accuracies.append(right.mean())

    def products() -> None:
        """The products of one regression's scores, in fp32, and nothing else."""
        weights = np.ones((1664, 1000), np.float32)
        for first in range(0, len(test), 4096):
            scipy.linalg.blas.sgemm(1.0, weights.T, test[first : first + 4096].T)

    # One of each after the other, so that what else the machine does meets all of them.
    rates: dict[str, list[float]] = {}
    walls: dict[str, list[float]] = {}
    for label, work, count in (
        *((f"scikit-learn, {k} shots", lambda k=k: theirs(k), 1) for k in shots),
        ("1 penalty", lambda: ours((1024.0,)), len(shots)),
        ("3 penalties", lambda: ours(penalties), len(shots) * len(penalties)),
        ("fp32 products alone", products, 1),
    ):
        began = time.process_time()
        walls[label] = seconds(work)
        rates[label] = [(time.process_time() - began) / count]
        print(name, label, np.round(accuracies[-1], 4), flush=True)
    mean = statistics.mean(rates[f"scikit-learn, {k} shots"][0] for k in shots)
    rates = {"scikit-learn, their mean": [mean], **rates}
    print_rates(name, rates, "s of processor a regression")
    print_rates(name, walls, "s in all")


def main(names: list[str]) -> None:
    benches = {
        "input": bench_input,
        "step": bench_step,
        "classes": bench_classes,
        "names": bench_names,
        "files": bench_files,
        "classes-from": bench_classes_from,
        "listing": bench_listing,
        "removal": bench_removal,
        "lookup": bench_lookup,
        "show": bench_show,
        "probe": bench_probe,
        "checkpoint": bench_checkpoint,
        "saves": bench_saves,
    }
    for name in names or benches:
        benches[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
