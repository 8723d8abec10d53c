"""Datasets of the field in few files, with the folders, names and lists of their makers' archives.

After their own read-me files and the loaders of TensorFlow Datasets and torchvision, which read the
same layouts.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.io import savemat

from tests.ingest.trees.test_folder import make


def lines(root: Path, **files: object) -> None:
    """Text files: `meta__train` becomes meta/train.txt, of a line for each item."""
    for name, rows in files.items():
        path = root / (name.replace("__", "/") + ".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{row}\n" for row in rows))


def mat(path: Path, **variables: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with io.BytesIO() as file:
        savemat(file, variables, do_compression=True)
        path.write_bytes(file.getvalue())


def cell(*texts: str) -> np.ndarray:
    """A cell array of texts, 1 x n."""
    array = np.empty((1, len(texts)), object)
    array[0] = texts
    return array


def food101(root: Path) -> None:
    classes = ("apple_pie", "baby_back_ribs")
    # Numbers of photos, which two classes may share.
    names = [f"{name}/{number}" for name in classes for number in (1005649, 1014775, 1026328)]
    make(root, *(f"images/{name}.jpg" for name in names), "license_agreement.txt", "README.txt")
    lines(
        root,
        meta__classes=classes,
        meta__labels=("Apple pie", "Baby back ribs"),
        meta__train=[name for name in names if not name.endswith("6328")],
        meta__test=[name for name in names if name.endswith("6328")],
    )
    (root / "meta/train.json").write_text('{"apple_pie": ["apple_pie/1005649"]}')


def cub200(root: Path) -> None:
    classes = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    names = [f"{name}/{name[4:]}_{i:04d}_{i}.jpg" for name in classes for i in (46, 9, 2)]
    make(root, *(f"images/{name}" for name in names), "README")
    lines(
        root,
        images=[f"{i} {name}" for i, name in enumerate(names, 1)],
        image_class_labels=[f"{i} {1 + i // 4}" for i in range(1, 7)],
        train_test_split=[f"{i} {i % 2}" for i in range(1, 7)],
        classes=[f"{i} {name}" for i, name in enumerate(classes, 1)],
        bounding_boxes=[f"{i} 60.0 27.0 325.0 304.0" for i in range(1, 7)],
        attributes__image_attribute_labels=[f"{i} {i} 0 3 27.7080" for i in range(1, 7)],
        attributes__class_attribute_labels_continuous=["0.0 5.3 4.2"] * 2,
        parts__parts=["1 back", "2 beak"],
        parts__part_locs=[f"{i} 1 0.0 0.0 0" for i in range(1, 7)],
    )


def dtd(root: Path, partitions: int = 10) -> None:
    names = [f"{name}/{name}_{i:04d}.jpg" for name in ("banded", "blotchy") for i in range(2, 8)]
    make(root, *(f"images/{name}" for name in names), "imdb/imdb.mat")
    lines(root, labels__labels_joint_anno=[f"{name} {name.split('/')[0]} " for name in names])
    for part in range(1, partitions + 1):
        for place, split in enumerate(("train", "val", "test")):
            own = [name for i, name in enumerate(names) if (i + part) % 3 == place]
            lines(root, **{f"labels__{split}{part}": own})


def sun397(root: Path) -> None:
    classes = ("/a/abbey", "/a/apartment_building/outdoor", "/b/ballroom")
    make(root, *(f"{name[1:]}/sun_{i:03d}.jpg" for name in classes for i in range(3)))
    lines(root, ClassName=classes)


def sun397_partitions(root: Path) -> None:
    """Partitions.zip, unpacked."""
    classes = ("/a/abbey", "/a/apartment_building/outdoor", "/b/ballroom")
    lines(root, ClassName=classes)
    for place, part in enumerate(("01", "02")):
        numbers = [i for i in range(3) if i != place]
        train = [f"{name}/sun_{i:03d}.jpg" for name in classes for i in numbers]
        test = [f"{name}/sun_{place:03d}.jpg" for name in classes]
        lines(root, **{f"Training_{part}": train, f"Testing_{part}": test})


AIRCRAFT = (
    ("707-320", "Boeing 707", "Boeing"),
    ("727-200", "Boeing 727", "Boeing"),
    ("A300B4", "A300", "Airbus"),
)


def aircraft(root: Path) -> None:
    names = [f"{1025794 + i}" for i in range(9)]
    make(root, *(f"data/images/{name}.jpg" for name in names), "README.md", "evaluation.m")
    levels = ("variant", "family", "manufacturer")
    files: dict[str, object] = {"data__images_box": [f"{n} 3 144 998 431" for n in names]}
    for place, (level, plural) in enumerate(
        zip(levels, ("variants", "families", "manufacturers"), strict=True)
    ):
        of = [AIRCRAFT[i // 3][place] for i in range(9)]
        files[f"data__{plural}"] = sorted(set(of))
        for split in ("train", "val", "trainval", "test"):
            rows = [i for i in range(9) if ("train", "val", "test")[i % 3] in split]
            files[f"data__images_{level}_{split}"] = [f"{names[i]} {of[i]}" for i in rows]
            files[f"data__images_{split}"] = [names[i] for i in rows]
    lines(root, **files)


PETS = ("Abyssinian", "Bengal", "american_bulldog", "american_pit_bull_terrier")


def pets(root: Path) -> None:
    names = [f"{name}_{i}" for name in PETS for i in (100, 101, 102)]
    make(root, *(f"images/{name}.jpg" for name in names), "images/Abyssinian_101.mat")
    make(root, *(f"annotations/trimaps/{name}.png" for name in names), "annotations/README")
    make(root, *(f"annotations/trimaps/._{name}.png" for name in names))
    rows = []
    for name in names:
        breed = PETS.index(name.rsplit("_", 1)[0])
        rows.append(f"{name} {breed + 1} {1 + breed // 2} {1 + breed % 2}")
    lines(
        root,
        annotations__list=["#Image CLASS-ID SPECIES BREED ID", "#ID: 1:37 Class ids", *rows],
        annotations__trainval=[row for row in rows if not row.split()[0].endswith("102")],
        annotations__test=[row for row in rows if row.split()[0].endswith("102")],
    )


def flowers102(root: Path) -> None:
    """102flowers.tgz, imagelabels.mat and setid.mat."""
    make(root, *(f"jpg/image_{i:05d}.jpg" for i in range(1, 10)))
    mat(root / "imagelabels.mat", labels=np.array([[1, 1, 1, 77, 77, 77, 102, 102, 102]], np.uint8))
    mat(
        root / "setid.mat",
        trnid=np.array([[1, 4, 7]], np.uint16),
        valid=np.array([[2, 5, 8]], np.uint16),
        tstid=np.array([[3, 6, 9]], np.uint16),
    )


def _annotations(names: list[str], labels: list[int] | None) -> np.ndarray:
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", *(["class"] if labels else []), "fname"]
    rows = np.empty((1, len(names)), [(field, object) for field in fields])
    for i, name in enumerate(names):
        boxes = [np.array([[value]], np.uint16) for value in (39, 116, 569, 375)]
        own = [np.array([[labels[i]]], np.uint8)] if labels else []
        rows[0, i] = (*boxes, *own, name)
    return rows


CARS = ("AM General Hummer SUV 2000", "Acura RL Sedan 2012")


def cars(root: Path) -> None:
    """cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat."""
    names = [f"{i:05d}.jpg" for i in range(1, 7)]
    make(root, *(f"cars_{split}/{name}" for split in ("train", "test") for name in names))
    mat(root / "devkit/cars_meta.mat", class_names=cell(*CARS))
    mat(root / "devkit/cars_train_annos.mat",
        annotations=_annotations(names, [2, 1, 2, 1, 2, 1]))  # fmt: skip
    mat(root / "devkit/cars_test_annos.mat", annotations=_annotations(names, None))
    mat(root / "cars_test_annos_withlabels.mat",
        annotations=_annotations(names, [1, 1, 1, 2, 2, 2]))  # fmt: skip
    lines(root, devkit__train_perfect_preds=[2, 1, 2, 1, 2, 1])
    (root / "devkit/README.txt").write_text("This file gives documentation for the cars dataset.")


def cars_in_one(root: Path) -> None:
    """car_ims.tgz and cars_annos.mat."""
    names = [f"car_ims/{i:06d}.jpg" for i in range(1, 7)]
    make(root, *names)
    fields = ("relative_im_path", "bbox_x1", "class", "test")
    rows = np.empty((1, 6), [(field, object) for field in fields])
    for i, name in enumerate(names):
        number = np.array([[1 + i // 3]], np.uint8)
        rows[0, i] = (name, number, number, np.array([[i % 3 == 2]], np.uint8))
    mat(root / "cars_annos.mat", annotations=rows, class_names=cell(*CARS))


def dogs(root: Path) -> None:
    """Stanford Dogs: images.tar and lists.tar."""
    names = [f"{name}/{name[:9]}_{i}.jpg" for name in ("n02085620-Chihuahua", "n02105162-malinois")
             for i in (7, 5927, 574)]  # fmt: skip
    make(root, *(f"Images/{name}" for name in names))
    labels = np.array([[1], [1], [1], [2], [2], [2]], np.uint8)
    for split, rows in (("file", range(6)), ("train", (0, 1, 3, 4)), ("test", (2, 5))):
        own = [names[i] for i in rows]
        column = cell(*own).reshape(-1, 1)
        notes = cell(*(name.removesuffix(".jpg") for name in own)).reshape(-1, 1)
        mat(root / f"{split}_list.mat", file_list=column, annotation_list=notes,
            labels=labels[list(rows)])  # fmt: skip


def caltech101(root: Path) -> None:
    """caltech-101.zip, its archives unpacked."""
    for name in ("BACKGROUND_Google", "accordion", "airplanes"):
        make(root, *(f"101_ObjectCategories/{name}/image_{i:04d}.jpg" for i in range(1, 4)))
        make(root, *(f"Annotations/{name}/annotation_{i:04d}.mat" for i in range(1, 4)))
    make(root, "show_annotation.m")


def places365(root: Path) -> None:
    """Places365-Standard: train_256_places365standard.tar and its file lists."""
    classes = ("/a/airfield", "/b/bazaar/indoor")
    names = [f"{name}/{i:08d}.jpg" for name in classes for i in (1, 2)]
    make(root, *(f"data_256{name}" for name in names))
    make(root, *(f"val_256/Places365_val_{i:08d}.jpg" for i in (1, 2)))
    lines(
        root,
        categories_places365=[f"{name} {i}" for i, name in enumerate(classes)],
        places365_train_standard=[f"{name} {i // 2}" for i, name in enumerate(names)],
        places365_val=["Places365_val_00000001.jpg 1", "Places365_val_00000002.jpg 0"],
    )


def domain_net(root: Path) -> None:
    files: dict[str, object] = {}
    for domain in ("clipart", "real"):
        names = [f"{domain}/{name}/{domain}_{i:06d}.jpg" for name in ("bee", "zebra")
                 for i in range(1, 4)]  # fmt: skip
        make(root, *names)
        files[f"{domain}_train"] = [f"{n} {i // 3}" for i, n in enumerate(names) if i % 3]
        files[f"{domain}_test"] = [f"{n} {i // 3}" for i, n in enumerate(names) if not i % 3]
    lines(root, **files)


ALL: dict[str, Callable[[Path], None]] = {
    one.__name__: one
    for one in (
        *(food101, cub200, dtd, sun397, aircraft, pets, flowers102, cars, cars_in_one, dogs),
        *(caltech101, places365, domain_net),
    )
}
