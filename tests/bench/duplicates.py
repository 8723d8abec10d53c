"""`vitctl dedup`'s matching, beside other libraries' hashes, and its time by numbers of hashes.

    pip install -r tests/bench/duplicates-requirements.txt
    pip install --no-deps imagededup
    python -m tests.bench.duplicates recall
    python -m tests.bench.duplicates time 10000 100000 1000000
    taskset -c 0 python -m tests.bench.duplicates hash

recall  share of made pairs (a picture and a changed copy) that are matched, and share of pairs of
        different pictures that are, by `dedup` and by the hashes of imagededup (of imagehash where
        that is not installed); tiles of the photos that scikit-image, scikit-learn and matplotlib
        have in their packages
time    seconds of comparing N random hashes with 10,000 others, and with each other
hash    images a second of one thread that reads and hashes JPEGs of two sizes
"""

from __future__ import annotations

import importlib.util
import io
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
from PIL import Image

from tests.duplicates.pictures import CHANGES, as_jpeg, as_png, crop
from vitctl.duplicates.matching import Against, Rules, within
from vitctl.duplicates.prints import PRINT, prints

SIDE = 160
OTHERS = 10_000
HASHED = 200
REPEATS = 5


def photos() -> list[Image.Image]:
    tiles = []
    for package, folder in (
        ("skimage", "data"),
        ("sklearn", "datasets/images"),
        ("matplotlib", "mpl-data/sample_data"),
    ):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for file in sorted((Path(spec.origin).parent / folder).iterdir()):
            if file.suffix in (".png", ".jpg"):
                tiles += _tiles(Image.open(file).convert("RGB"))
    return tiles


def _tiles(image: Image.Image) -> list[Image.Image]:
    boxes = [
        (left, top, left + SIDE, top + SIDE)
        for top in range(0, image.height - SIDE + 1, SIDE)
        for left in range(0, image.width - SIDE + 1, SIDE)
    ]
    tiles = [image.crop(box) for box in boxes]
    return [tile for tile in tiles if np.asarray(tile.convert("L")).std() > 12]


def other_hashes() -> dict[str, Callable[[bytes], int]]:
    """Name -> a function of an encoded image that gives 64 bits."""
    if importlib.util.find_spec("imagededup") is None:
        import imagehash

        def of_imagehash(name: str) -> Callable[[bytes], int]:
            method = getattr(imagehash, name)
            return lambda data: int(str(method(Image.open(io.BytesIO(data)))), 16)

        names = ("phash", "dhash", "average_hash", "whash")
        return {f"imagehash {name}": of_imagehash(name) for name in names}
    # The package imports torch for its networks, which no hash needs.
    for module in ("methods.cnn", "utils.models", "utils.data_generator"):
        sys.modules.setdefault(f"imagededup.{module}", MagicMock())
    from imagededup.methods import hashing

    def encoder(name: str) -> Callable[[bytes], int]:
        method = getattr(hashing, name)(verbose=False)
        return lambda data: int(
            method.encode_image(
                image_array=np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
            ),
            16,
        )

    return {f"imagededup {name}": encoder(name) for name in ("PHash", "DHash", "AHash", "WHash")}


def recall() -> None:
    tiles = photos()
    changes = {
        **CHANGES,
        "crop, half, JPEG 60": lambda image: as_jpeg(
            _half(Image.open(io.BytesIO(crop(image, seed=3)))), 60
        ),
    }
    print(f"{len(tiles)} pictures\n")
    print(f"{'':<28}" + "".join(f"{name:>20}" for name in changes) + f"{'other pairs':>16}")
    originals = [as_png(tile) for tile in tiles]
    copies = {name: [change(tile) for tile in tiles] for name, change in changes.items()}
    for label, rules in (
        ("dedup, 6 bits", Rules(6)),
        ("dedup --flip, 6 bits", Rules(6, flip=True)),
        ("dedup --no-crop, 6 bits", Rules(6, crop=False)),
        ("dedup, 8 bits", Rules(8)),
    ):
        with ThreadPoolExecutor(2) as threads:
            own = prints(originals, mapping=threads.map)
            made = {name: prints(images, mapping=threads.map) for name, images in copies.items()}
        shares = [
            np.mean([Against(own[[i]], rules).matches(of[[i]]).any[0] for i in range(len(tiles))])
            for of in made.values()
        ]
        wrong = sum(
            int(Against(own[[i]], rules).matches(own[i + 1 :]).any.sum())
            for i in range(len(tiles) - 1)
        )
        _row(label, shares, wrong, len(tiles))
    for label, encode in other_hashes().items():
        own_bits = np.array([encode(data) for data in originals], np.uint64)
        made_bits = {
            name: np.array([encode(data) for data in images], np.uint64)
            for name, images in copies.items()
        }
        differ = np.bitwise_count(own_bits[:, None] ^ own_bits[None])
        pairs = differ[np.triu_indices(len(tiles), 1)]
        for most in (6, 10):
            shares = [np.mean(np.bitwise_count(own_bits ^ of) <= most) for of in made_bits.values()]
            _row(f"{label}, {most} bits", shares, int((pairs <= most).sum()), len(tiles))


def _half(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.BICUBIC)


def _row(label: str, shares: list[float], wrong: int, count: int) -> None:
    rate = f"{wrong} of {count * (count - 1) // 2}"
    print(f"{label:<28}" + "".join(f"{share:>20.3f}" for share in shares) + f"{rate:>16}")


def times(counts: list[int]) -> None:
    rng = np.random.default_rng(0)
    rules = Rules(6)
    others = _random(OTHERS, rng)
    # One that warms up.
    Against(others, rules).matches(others)
    for count in counts:
        own = _random(count, rng)
        began = time.process_time()
        matches = Against(others, rules).matches(own)
        against = time.process_time() - began
        began = time.process_time()
        within(own, rules)
        inner = time.process_time() - began
        print(
            f"{count:>10,} hashes: {against:8.1f} s against {OTHERS:,}, {inner:8.1f} s with each "
            f"other (CPU); {matches.any.sum()} match",
            flush=True,
        )


def hashing() -> None:
    tiles = photos()[:HASHED]
    with ThreadPoolExecutor(1) as threads:
        for size in ((224, 224), (500, 375)):
            images = [as_large(tile, size) for tile in tiles]
            prints(images, mapping=threads.map)  # warms up
            seconds = []
            for _ in range(REPEATS):
                began = time.process_time()
                prints(images, mapping=threads.map)
                seconds.append(time.process_time() - began)
            rates = ", ".join(f"{len(images) / second:.0f}" for second in seconds)
            kilobytes = sum(map(len, images)) / len(images) / 1e3
            print(f"{size[0]} x {size[1]}, {kilobytes:.0f} kB: {rates} images a second (CPU)")


def as_large(tile: Image.Image, size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    tile.resize(size, Image.Resampling.BICUBIC).save(out, "JPEG", quality=95)
    return out.getvalue()


def _random(count: int, rng: np.random.Generator) -> np.ndarray:
    out = np.zeros(count, PRINT)
    for name in ("bytes", "pixels"):
        out[name] = rng.integers(1, 2**63, (count, 2))
    out["looks"] = rng.integers(0, 2**64, (count, 6), dtype=np.uint64)
    out["readable"] = True
    return out


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["recall"]:
            recall()
        case ["time", *numbers]:
            times([int(number) for number in numbers] or [10_000, 100_000, 1_000_000])
        case ["hash"]:
            hashing()
        case _:
            sys.exit(__doc__)
