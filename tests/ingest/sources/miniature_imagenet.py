"""ImageNet in miniature: archives of exactly its makers' layouts, with four classes of few images.

The numbers of the development kit are in another order than the WordNet ids, as the real ones are,
and it has a synset above the classes. Some images are as odd as real ones: one is a PNG called JPEG
(n02105855_2933.JPEG), one is CMYK (n01739381_1309.JPEG).
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

WORDS = {
    "n01440764": "tench, Tinca tinca",
    "n01739381": "vine snake",
    "n02105855": "Shetland sheepdog, Shetland sheep dog, Shetland",
    "n03995372": "power drill",
}
WNIDS = tuple(WORDS)
ILSVRC_IDS = {"n02105855": 1, "n03995372": 2, "n01440764": 3, "n01739381": 4}
VAL = ("n03995372", "n01440764", "n03995372", "n02105855", "n01739381")
"""Classes of the validation images, from number 1 on."""
TRAIN = {
    "n01440764": (1, 2, 3),
    "n01739381": (1309, 7),
    "n02105855": (2933, 8),
    "n03995372": (4,),
}


def image(seed: int, *, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (4, 5, len(mode)), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels, mode).resize((40, 32)).save(file, kind)
    return file.getvalue()


def train_image(wnid: str, number: int) -> bytes:
    odd = (wnid, number)
    if odd == ("n02105855", 2933):
        return image(number, kind="PNG")
    return image(number, mode="CMYK" if odd == ("n01739381", 1309) else "RGB")


def val_image(number: int) -> bytes:
    return image(10_000 + number)


def val_name(number: int) -> str:
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def class_tar(wnid: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in TRAIN[wnid]:
            _add(archive, f"{wnid}_{number}.JPEG", train_image(wnid, number))
    return file.getvalue()


def train_tar(path: Path, *, top: str = "", mode: str = "w") -> Path:
    """A tar of tars, a class each."""
    with tarfile.open(path, mode) as archive:
        for wnid in WNIDS:
            _add(archive, f"{top}{wnid}.tar", class_tar(wnid))
    return path


def val_tar(path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for number in range(1, len(VAL) + 1):
            _add(archive, val_name(number), val_image(number))
    return path


def meta_mat() -> bytes:
    dtype = [(name, object) for name in ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children")]
    rows = [
        *((ILSVRC_IDS[w], w, WORDS[w], "a gloss", 0) for w in sorted(WNIDS, key=ILSVRC_IDS.get)),
        (5, "n00001740", "entity", "that which is perceived", 2),
    ]
    file = io.BytesIO()
    savemat(file, {"synsets": np.array([[row] for row in rows], dtype)})
    return file.getvalue()


def ground_truth() -> bytes:
    return "".join(f"{ILSVRC_IDS[wnid]}\n" for wnid in VAL).encode()


def devkit(path: Path, *, meta: bytes | None = None, truth: bytes | None = None) -> Path:
    top = "ILSVRC2012_devkit_t12"
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, f"{top}/readme.txt", b"hello")
        _add(archive, f"{top}/data/meta.mat", meta_mat() if meta is None else meta)
        _add(
            archive,
            f"{top}/data/ILSVRC2012_validation_ground_truth.txt",
            ground_truth() if truth is None else truth,
        )
    return path


def solution() -> bytes:
    rows = [f"{val_name(i)[:-5]},{wnid} 85 1 499 272 " for i, wnid in enumerate(VAL, start=1)]
    rows[0] += "n03995372 131 0 499 254 "
    return "\n".join(["ImageId,PredictionString", *reversed(rows), ""]).encode()


def mapping() -> bytes:
    return "".join(f"{wnid} {lemmas}\n" for wnid, lemmas in WORDS.items()).encode()


def kaggle_files() -> dict[str, bytes]:
    images = "ILSVRC/Data/CLS-LOC"
    files = {
        "LOC_sample_submission.csv": b"ImageId,PredictionString\n",
        "LOC_val_solution.csv": solution(),
        "LOC_synset_mapping.txt": mapping(),
        "ILSVRC/Annotations/CLS-LOC/val/ILSVRC2012_val_00000001.xml": b"<annotation/>",
        "ILSVRC/ImageSets/CLS-LOC/val.txt": b"ILSVRC2012_val_00000001 1\n",
        f"{images}/test/ILSVRC2012_test_00000001.JPEG": image(5),
    }
    for wnid in WNIDS:
        for number in TRAIN[wnid]:
            name = f"{images}/train/{wnid}/{wnid}_{number}.JPEG"
            files[name] = train_image(wnid, number)
    for number in range(1, len(VAL) + 1):
        files[f"{images}/val/{val_name(number)}"] = val_image(number)
    return files


def kaggle_zip(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in kaggle_files().items():
            archive.writestr(name, data)
    return path


def kaggle_folder(path: Path) -> Path:
    for name, data in kaggle_files().items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def kaggle_tar(folder: Path) -> Path:
    """imagenet_object_localization_patched2019.tar.gz, and the tables beside it."""
    path = folder / "imagenet_object_localization_patched2019.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, data in kaggle_files().items():
            if name.startswith("ILSVRC/"):
                _add(archive, name, data)
            else:
                (folder / name).write_bytes(data)
    return path


def expected() -> set[tuple[str, str, str, bytes]]:
    """(split, name of the file, class, bytes) of every image with a class."""
    rows = {
        ("train", f"{wnid}_{number}.JPEG", wnid, train_image(wnid, number))
        for wnid, numbers in TRAIN.items()
        for number in numbers
    }
    return rows | {("val", val_name(i), wnid, val_image(i)) for i, wnid in enumerate(VAL, start=1)}
