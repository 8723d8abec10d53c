"""The flags of `vitctl show`, and what it prints."""

from __future__ import annotations

from stages.inspect.show.spec import Inputs
from vitctl.console.flags import Reference
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(makes=False)
def show(
    session: Session,
    ref: Reference = None,
) -> None:
    """Example: vitctl show RUN@20k

    Show one artifact or run: its settings, summary, inputs, files, and how it was made.
    --json prints everything that is recorded.
    """
    from stages.inspect.show.run import run
    from stages.inspect.show.text import lines

    for number, (named, step) in enumerate(session.named(ref)):
        inputs = Inputs(named, step)
        if session.options.json:
            session.answer_json(run(inputs))
        else:
            session.answer_text("\n".join([*([""] if number else []), *lines(inputs.entry())]))
