"""The writers of TensorFlow Datasets and webdataset on a folder of classes; run by
`tests.bench.sharding` with a Python that has tests/bench/sharding-requirements.txt.

    python sharding_peers.py tfds|webdataset FOLDER OUT

Both copy the bytes of the files and look at none.
"""

from __future__ import annotations

import sys
from pathlib import Path

_SHARD_BYTES = 256 * 2**20


def with_webdataset(folder: Path, out: Path) -> None:
    import webdataset

    classes = sorted(child.name for child in folder.iterdir())
    with webdataset.ShardWriter(
        str(out / "train-%05d.tar"), maxsize=_SHARD_BYTES, maxcount=10**9, verbose=0
    ) as writer:
        for number, name in enumerate(classes):
            for path in sorted((folder / name).iterdir()):
                key = f"{name}/{path.stem}"
                writer.write({"__key__": key, "jpg": path.read_bytes(), "cls": str(number)})


def with_tfds(folder: Path, out: Path) -> None:
    import tensorflow_datasets as tfds

    class Photos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = Path(__file__).parent  # where it looks for a description

        def _info(self):
            names = sorted(child.name for child in folder.iterdir())
            image = tfds.features.Image(encoding_format="jpeg")
            features = {"image": image, "label": tfds.features.ClassLabel(names=names)}
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(features), disable_shuffling=False
            )

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples()}

        def _generate_examples(self):
            for path in sorted(folder.rglob("*.jpg")):
                key = f"{path.parent.name}/{path.name}"
                yield key, {"image": str(path), "label": path.parent.name}

    Photos(data_dir=str(out), file_format="array_record").download_and_prepare()


if __name__ == "__main__":
    how, folder, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    {"tfds": with_tfds, "webdataset": with_webdataset}[how](folder, out)
