"""What `data.augment.jpeg_oversampling` changes, and how much faster the input is with it:

    python -m tests.bench.jpeg_scales [--seconds 10] [--repeats 3]

    pixels  crops of real photos in full and at a smaller scale, after resizing: differences in
            grey levels of 255, and how far each is from the same crop resized with antialiasing,
            which neither is
    feed    `vitctl bench feed` with and without it, in turns, on the photos of `tests.bench.feed`
            and on some of 4000 x 3000 px

The photos are the two that scikit-learn has (`load_sample_images`, 640 x 427 px) and Matplotlib's
portrait of Grace Hopper (512 x 600 px), encoded at quality 90; the larger ones are windows of the
first two, enlarged, so they have less detail than a camera's.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.bench.feed import photos, sharded
from vitctl.artifacts import Store
from vitctl.data.config import AugmentConfig
from vitctl.data.preprocess import crop, resized_crop
from vitctl.data.tensorflow import load_tensorflow

_CROPS = 300
_SETTINGS: tuple[float | None, ...] = (None, 2.0, 1.0)


def real_photos() -> list[bytes]:
    """JPEGs, colours at half resolution as cameras store them."""
    from matplotlib.cbook import get_sample_data
    from sklearn.datasets import load_sample_images

    with get_sample_data("grace_hopper.jpg") as file, Image.open(file) as portrait:
        pictures = [*map(Image.fromarray, load_sample_images().images), portrait.convert("RGB")]
    encoded = []
    for picture in pictures:
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90, subsampling=2)
        encoded.append(out.getvalue())
    return encoded


def psnr(squares: Sequence[float]) -> float:
    """In decibels, of mean squared errors."""
    return round(float(10 * np.log10(255**2 / np.mean(squares))), 1)


def pixels(encoded: list[bytes], *, resolution: int, oversampling: float) -> dict[str, Any]:
    """Of random crops that are decoded smaller."""
    tf = load_tensorflow()
    augment = AugmentConfig(jpeg_oversampling=oversampling)
    in_full = AugmentConfig()
    squares: dict[str, list[float]] = {"change": [], "in_full": [], "smaller": []}
    means: list[float] = []
    most = 0.0
    for number in range(_CROPS):
        for data in map(tf.constant, encoded):
            seed = tf.constant([number, 17])
            before = crop(data, seed, resolution=resolution, augment=in_full)
            after = crop(data, seed, resolution=resolution, augment=augment)
            if before.shape == after.shape:
                continue
            one, other = (
                resized_crop(data, seed, resolution=resolution, augment=how).numpy().astype(float)
                for how in (in_full, augment)
            )
            side = [resolution, resolution]
            smooth = tf.image.resize(before, side, method="bilinear", antialias=True).numpy()
            means.append(float(np.abs(other - one).mean()))
            most = max(most, float(np.abs(other - one).max()))
            squares["change"].append(float(np.mean((other - one) ** 2)))
            squares["in_full"].append(float(np.mean((one - smooth) ** 2)))
            squares["smaller"].append(float(np.mean((other - smooth) ** 2)))
    if not means:
        return {"resolution": resolution, "oversampling": oversampling, "smaller": 0}
    return {
        "resolution": resolution,
        "oversampling": oversampling,
        "smaller": round(len(means) / (_CROPS * len(encoded)), 3),
        "mean": round(float(np.mean(means)), 2),
        "max": round(most, 1),
        "psnr": psnr(squares["change"]),
        "antialiased_in_full_psnr": psnr(squares["in_full"]),
        "antialiased_smaller_psnr": psnr(squares["smaller"]),
    }


def feed(folder: Path, *, resolution: int, seconds: float, repeats: int) -> None:
    from stages.api import bench_feed

    store = folder / "store"
    dataset = sharded(folder / "photos", store=store)
    for _ in range(repeats):
        for oversampling in _SETTINGS:
            augment = {} if oversampling is None else {"jpeg_oversampling": oversampling}
            report = bench_feed(
                data=dataset,
                set={"resolution": resolution, "augment": augment},
                runtime={"seconds": seconds},
                store=Store(store),
            ).as_json()
            names = ("cpu_ms", "decode_only_cpu_ms", "images_per_second")
            answer = {name: round(report[name], 3) for name in names}
            parts = {name: round(value, 3) for name, value in report["parts_cpu_ms"].items()}
            about = {"resolution": resolution, "oversampling": oversampling}
            print(json.dumps({**about, **answer, "parts": parts}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    encoded = real_photos()
    for resolution in (32, 64, 96, 160, 224):
        for times in (1.0, 2.0):
            answer = pixels(encoded, resolution=resolution, oversampling=times)
            print(json.dumps(answer), flush=True)
    sizes = [((300, 400), (350, 450), 600, (224, 96, 64)), ((3000,) * 2, (4000,) * 2, 48, (224,))]
    for heights, widths, images, resolutions in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            photos(folder / "photos", images=images, heights=heights, widths=widths)
            print(json.dumps({"heights": heights, "widths": widths, "images": images}), flush=True)
            for resolution in resolutions:
                feed(folder, resolution=resolution, seconds=given.seconds, repeats=given.repeats)


if __name__ == "__main__":
    main()
