"""`python -m tests.kills --kills 50 --terms 50`: a table on stdout, what differs on stderr."""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.data.encoded_images import encode, rgb, rgba, with_orientation
from tests.data.icc_profiles import rgb_profile
from tests.kills import commands, trials
from tests.kills.commands import Command
from tests.kills.trials import Bench, Case

_MODEL = (
    "--model", "test", "--set", "model.depth=1", "--set", "model.width=16", "--set",
    "model.mlp_dim=16", "--set", "model.heads=2",
)  # fmt: skip
_OFTEN = ("--checkpoint-every", 4, "--quiet")
_PRETRAIN = (
    "pretrain", "--mock", *_MODEL, "--res", 16, "--batch", 16, "--warmup", 2, "--ema", 0.9,
    "--skip-spikes", "--set", "optim.name=sgd", "--set", "model.classes=4",
    "--set", "data.mock.examples=40", "--set", "data.mock.eval_examples=8",
    "--set", "data.eval_split=none", *_OFTEN,
)  # fmt: skip
_SHARD = ("shard", "digits", "--shards", 12, "--workers", 0, "--quiet")
_POLICIES = (
    "--max-short-side", 12, "--encode", "webp", "--quality", 80, "--srgb", "--background", "white",
    "--shards", 9, "--workers", 0, "--max-bad-fraction", 0.1, "--quiet",
)  # fmt: skip
STAGES = ("shard", "policies", "pretrain", "cooldown", "finetune", "processes")


def cases(base: Path, names: list[str]) -> list[Case]:
    """The commands; what they branch from is made once, in a store of its own."""

    def once(*arguments: object, folder: str) -> Path:
        place = base / folder
        arguments = (*arguments, "--store", place / "store")
        command = Command(arguments, folder=place, store=place / "store")
        assert command.wait() == 0, command.err
        return Path(command.out.strip())

    cases_ = [
        Case("shard", _SHARD),
        Case("pretrain", (*_PRETRAIN, "--steps", 16)),
    ]
    if "policies" in names:
        photos = archived_photos(base / "photos.tar.gz")
        cases_.append(Case("policies", ("shard", photos, *_POLICIES)))
    if {"cooldown", "finetune"} & set(names):
        trunk = once(*_PRETRAIN, "--steps", 8, folder="trunk")
        cases_.append(Case("cooldown", ("cooldown", "--from", trunk, "--steps", 12, *_OFTEN)))
    if "processes" in names:
        cases_.append(Case("processes", (*_PRETRAIN, "--steps", 16), processes=2))
    if "finetune" in names:
        data = once(*_SHARD, folder="digits")
        tune = ("finetune", "--from", trunk, "--data", data, "--res", 16, "--batch", 16)
        tune += ("--steps", 12, "--set", "data.eval_split=none", *_OFTEN)
        cases_.append(Case("finetune", tune))
    return sorted((case for case in cases_ if case.name in names), key=_place)


def archived_photos(path: Path) -> Path:
    """A tar that is read from front to back, of images that a policy treats in every way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = [
        ("jpg", encode(rgb(30, 40), "JPEG", icc_profile=rgb_profile())),
        ("png", encode(rgba(), "PNG")),
        ("jpg", with_orientation(rgb(24, 36), "JPEG", 6)),
        ("png", encode(rgb(8, 9), "PNG")),
        ("gif", encode(rgb(16, 20).convert("P"), "GIF")),
    ]
    with tarfile.open(path, "w:gz") as archive:
        for i in range(60):
            ending, data = kinds[i % len(kinds)]
            data = data if i != 17 else b"no image"
            info = tarfile.TarInfo(f"class{i % 3}/{i}.{ending}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def _place(case: Case) -> int:
    return STAGES.index(case.name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs of each command")
    parser.add_argument("--terms", type=int, default=50, help="SIGTERMs of each command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--stages", default=",".join(STAGES))
    options = parser.parse_args()
    names = options.stages.split(",")
    results = []
    with tempfile.TemporaryDirectory(prefix="vitctl-kills-") as temporary:
        base = Path(temporary).resolve()
        commands.set_environment(base / "compiled")
        for case in cases(base / "made", names):
            bench = Bench(case, folder=base / case.name, seed=options.seed)
            print(
                f"{case.name}: {bench.whole.seconds:.1f} s, {bench.whole.files} changes of files",
                file=sys.stderr,
                flush=True,
            )
            work = [(bench.kills, options.kills), (bench.terminations, options.terms)]
            if case.processes > 1:
                work = [(bench.kills_of_one, options.kills)]
            for run, count in work:
                if not count:
                    continue
                result = run(count)
                results.append(result)
                for sentence in result.unequal:
                    print(f"{case.name}: {sentence}", file=sys.stderr, flush=True)
                print(trials.table([result]).splitlines()[-1], file=sys.stderr, flush=True)
    print(trials.table(results))
    return 1 if any(result.unequal for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
