"""The flags of `vitctl bench feed`, and what it prints."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.bench.feed.settings import resolve
from stages.bench.feed.spec import FeedConfig, FeedRuntime, Inputs
from vitctl.console import completion
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.settings.overrides import build

_SETTINGS = (
    Flag("resolution", "Side of the images in pixels (default: 224).", name="--res", metavar="N"),
    Flag("batch", "Images in a batch (default: 32).", metavar="N"),
    Flag("split", "Split to read (default: train).", metavar="NAME"),
)
_RUNNING = (
    Flag(
        "seconds",
        "How long to measure, in seconds; the start of TensorFlow adds 5 to 20 (default: 20).",
        metavar="SECONDS",
    ),
    Flag("workers", "Threads that decode images (default: one per core).", metavar="N"),
)


@verb(
    makes=False,
    sets=Flags(FeedConfig, _SETTINGS),
    runs=Flags(FeedRuntime, _RUNNING),
    computes=True,
)
def feed(
    session: Session,
    data: Annotated[
        str | None,
        Option(
            metavar="REF",
            help="Dataset whose images are read (default: the newest).",
            autocompletion=completion.datasets,
        ),
    ] = None,
) -> None:
    """Example: vitctl bench feed --data imagenet --res 224 --batch 256

    Measure how many images per second reach training on this machine, against decoding alone, and
    how much processor time each part of the input takes. The images are augmented as pretrain
    augments them with the same --set augment.KEY=VALUE; without any, by crop and flip. No model is
    trained.
    """
    cfg = resolve(session.overrides)
    runtime = build(FeedRuntime, session.options.running)
    if session.options.print_config:
        session.print_config(cfg)
        return
    inputs = Inputs(session.one("dataset", data, option="--data", needs_labels=False))
    from stages.bench.feed.run import run

    report = run(cfg, inputs, runtime=runtime, emit=session.emit)
    if session.options.json:
        session.answer_json(report.as_json())
    else:
        from stages.bench.feed.text import as_text

        session.answer_text(as_text(report))
