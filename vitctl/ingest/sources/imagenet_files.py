"""Where ImageNet is; read without an array library."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ImageNetFiles:
    """Where ImageNet is: tars of the images, and the development kit; or Kaggle's files.

    train   ILSVRC2012_img_train.tar, or a tar of ImageNet-21k with a tar for each class
    val     ILSVRC2012_img_val.tar
    devkit  ILSVRC2012_devkit_t12.tar.gz, or the folder that it was unpacked to
    kaggle  the zip of the ImageNet Object Localization Challenge, or the folder or .tar.gz from it
    """

    train: Path | None = None
    val: Path | None = None
    devkit: Path | None = None
    kaggle: Path | None = None

    @property
    def given(self) -> dict[str, Path]:
        """Option -> file."""
        files = {
            "--train": self.train,
            "--val": self.val,
            "--devkit": self.devkit,
            "--kaggle": self.kaggle,
        }
        return {option: path for option, path in files.items() if path is not None}
