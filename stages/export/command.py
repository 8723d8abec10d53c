"""The flags of `vitctl export`, and what it prints."""

from __future__ import annotations

from stages.export.settings import resolve
from stages.export.spec import ExportConfig, ExportRuntime, Inputs
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb

_SETTINGS = (
    Flag(
        "to",
        "Library or format to write for: safetensors, timm, huggingface, big_vision, stablehlo or "
        "onnx. Required.",
        metavar="NAME",
    ),
    Flag(
        "features",
        "Leave the classifier out: the exported model returns features, not classes.",
        name="--no-classifier",
        sets=True,
    ),
    flags.WEIGHTS,
    Flag(
        "license",
        "Licence of the weights for the model card, an identifier of the SPDX list such as "
        "Apache-2.0 (default: the card names none).",
        metavar="NAME",
    ),
)


@verb(sets=Flags(ExportConfig, _SETTINGS), runs=Flags(ExportRuntime, ()))
def export(session: Session, source: flags.Source = None) -> None:
    """Example: vitctl export --from RUN --to timm

    Write a model's weights for another library, with a model card. The files are read back and
    compared with the model on the same images; the largest difference is shown.
    """
    runtime = session.runtime(ExportRuntime)
    for checkpoint in session.many("checkpoint", source, option="--from"):
        cfg = resolve(session.overrides, checkpoint, emit=session.emit)
        session.deliver("export", cfg, Inputs(checkpoint), runtime=runtime)
