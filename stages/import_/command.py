"""The flags of `vitctl import`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from stages.import_.settings import resolve
from stages.import_.spec import ImportConfig, ImportRuntime
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb

_SETTINGS = (
    Flag(
        "layout",
        "Library that named the tensors: timm, timm-naflex, hf-vit, hf-dinov2, hf-siglip, hf-clip, "
        "open-clip, open-clip-timm or big-vision (default: detected).",
        metavar="NAME",
    ),
    Flag(
        "resolution",
        "Side of the square input images from now on, in pixels; position embeddings are resampled "
        "(default: the model's).",
        name="--res",
    ),
    Flag(
        "patch",
        "Side of a patch in pixels; the patch embedding is resized by pseudo-inverse (default: "
        "the model's).",
    ),
    Flag("heads", "Number of attention heads (default: as the files say, or usual for this size)."),
    Flag(
        "grid",
        "Rows and columns of the position embeddings, if they are not square, for example 12x16.",
        metavar="ROWSxCOLUMNS",
    ),
    Flag(
        "pixels",
        "How pixels are scaled: to [-1, 1] (half), or by mean and standard deviation of ImageNet "
        "or of CLIP (default: as the files say).",
    ),
    Flag("gelu", "Activation of the MLPs (default: as the files say).", rare=True),
    Flag("norm_epsilon", "Epsilon of the norms (default: as the files say).", rare=True),
)


@verb(sets=Flags(ImportConfig, _SETTINGS), runs=Flags(ImportRuntime, ()), computes=True)
def import_(
    session: Session,
    src: Annotated[
        Path,
        Argument(
            metavar="FILE|FOLDER",
            help="Weights: a .safetensors or .npz file, or a folder with one and its config.json, "
            "such as a snapshot in a Hugging Face cache.",
            show_default=False,
        ),
    ],
    classes: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="File with the names of the classifier's classes, one per line (default: as the "
            "files say).",
        ),
    ] = None,
) -> None:
    """Example: vitctl import model.safetensors --classes names.txt

    Turn weights of timm, Hugging Face transformers (ViT, DeiT, DINOv2, CLIP, SigLIP), open_clip,
    big_vision or vision_transformer into a run for fewshot, evaluate and finetune. Every tensor is
    matched by name and shape, or nothing is imported. Nothing is downloaded.
    """
    cfg, inputs = resolve(session.overrides, src, classes=classes)
    session.deliver("import_", cfg, inputs, runtime=session.runtime(ImportRuntime))
