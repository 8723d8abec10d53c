"""The flags of `vitctl predict`, and what it prints."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

from typer import Argument, Option

from stages.predict.settings import resolve
from stages.predict.spec import Failure, Inputs, PredictConfig, PredictRuntime
from vitctl.console import flags
from vitctl.console.flag import Flag, Flags
from vitctl.console.session import Session
from vitctl.console.streams import stdin_is_pipe
from vitctl.console.verb import verb
from vitctl.errors import InputError, NotFoundError, UsageError
from vitctl.events import Note, Progress
from vitctl.model.config import are_independent
from vitctl.text.quantities import plural

_STDIN = "-"
_SETTINGS = (
    Flag("top", "Number of classes to show per image (default: 5).", metavar="N"),
    flags.WEIGHTS,
)
_RUNNING = (flags.LOOK_BATCH, flags.DEVICES, flags.WORKERS)


@verb(
    sets=Flags(PredictConfig, _SETTINGS),
    runs=Flags(PredictRuntime, _RUNNING),
    makes=False,
    computes=True,
)
def predict(
    session: Session,
    paths: Annotated[
        list[str] | None,
        Argument(
            metavar="IMAGE|FOLDER|-",
            help="Image files, and folders of them; - reads paths from stdin, one per line.",
        ),
    ] = None,
    source: flags.Source = None,
    null: Annotated[
        bool,
        Option(
            "--null", "-0", help="Paths on stdin end in a NUL byte, as find -print0 writes them."
        ),
    ] = False,
) -> None:
    """Example: vitctl predict --from RUN photos/

    Name the likeliest classes of images, with probabilities, as vitctl evaluate computes them.
    Paths may come as a stream: each line is written once its image is classified. An image that
    cannot be read is reported in its line, and the exit code at the end is not 0.

    A stream: find photos/ -name '*.jpg' | vitctl predict --from RUN -
    """
    from stages.predict import names

    given = list(paths or ())
    if not given:
        if not stdin_is_pipe():
            raise UsageError(
                "no image is given",
                hint="give files or folders, or - to read paths from stdin",
            )
        given = [_STDIN]
    streams = given.count(_STDIN)
    if streams > 1 or (streams and source == _STDIN):
        raise UsageError(
            "- is given twice, but stdin can be read once",
            hint="name the run with --from, and read the paths of images from stdin",
        )
    checkpoint = session.one("checkpoint", source, option="--from", stdin=not streams)
    cfg = resolve(session.overrides, checkpoint, store=session.store, emit=session.emit)
    if session.options.print_config:
        session.print_config(cfg)
        return
    files = names.files(given, separator=b"\0" if null else b"\n", descriptor=0, emit=session.emit)
    _answer(session, cfg, Inputs(checkpoint, files, endless=bool(streams)))


def _answer(session: Session, cfg: PredictConfig, inputs: Inputs) -> None:
    """Print the answers batch by batch, until nobody reads them any more."""
    from stages.predict import text
    from stages.predict.run import run

    table = text.GrowingTable(repeats=not session.answers_on_screen)
    done, failures = 0, 0
    missing = True
    runtime = session.runtime(PredictRuntime)
    with closing(
        run(cfg, inputs, store=session.store, runtime=runtime, emit=session.emit)
    ) as batches:
        try:
            for answers in batches:
                failed = [answer for answer in answers if isinstance(answer, Failure)]
                done, failures = done + len(answers), failures + len(failed)
                missing = missing and all(answer.missing for answer in failed)
                if session.options.json:
                    independent = are_independent(cfg.loss)
                    rows = [text.as_json(answer, independent=independent) for answer in answers]
                    is_read = session.answer_json_lines(rows)
                else:
                    is_read = session.answer_lines(table.lines(answers))
                if not is_read:
                    return
                if not session.answers_on_screen:
                    session.emit(Progress("predict", done, None, "images"))
        except KeyboardInterrupt:
            images = plural(done, "image", grouped=True)
            session.emit(Note(f"interrupted after {images}; all answers so far are complete"))
            raise
    if failures:
        error = NotFoundError if missing else InputError
        raise error(
            "the image has no prediction"
            if done == 1
            else f"{failures:,} of {done:,} images have no prediction",
            hint="its line says why" if failures == 1 else "the line of each says why",
        )
