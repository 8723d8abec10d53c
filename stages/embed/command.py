"""The flags of `vitctl embed`, and what it prints."""

from __future__ import annotations

from stages.embed.settings import read_splits, resolve
from stages.embed.spec import EmbedConfig
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.recipes.measuring import Measured, MeasuringRuntime

_SETTINGS = (
    Flag(
        "at",
        "Where in the model features are taken: what the classifier sees (pre_logits, the "
        "default), the mean of the last tokens (tokens), or of the tokens after N blocks "
        "(block:N).",
        metavar="POINT",
    ),
    Flag(
        "splits",
        "Splits to read, for example train,val (default: all).",
        reads=lambda text, *, name: read_splits(text),
        metavar="SPLIT,...",
    ),
    flags.WEIGHTS,
)


@verb(
    sets=Flags(EmbedConfig, _SETTINGS), runs=Flags(MeasuringRuntime, flags.LOOKING), parallel=True
)
def embed(
    session: Session,
    source: flags.Sources = None,
    data: flags.InheritedDatasets = None,
) -> None:
    """Example: vitctl embed --from RUN --data DATASET

    Store a model's features of images: a row of numbers per image, in npy files that NumPy reads.
    vitctl fewshot uses stored features instead of computing them again. Images need no labels. The
    same command continues one that was stopped.

    Embed and probe: vitctl embed --from RUN | vitctl fewshot --features -
    """
    runtime = session.runtime(MeasuringRuntime)
    for checkpoint, dataset in session.measurements(source, data):
        cfg = resolve(session.overrides, checkpoint, dataset, emit=session.emit)
        session.deliver("embed", cfg, Measured(checkpoint, dataset), runtime=runtime)
