"""The flags of `vitctl lineage`, and what it prints."""

from __future__ import annotations

from stages.inspect.lineage.spec import Inputs
from vitctl.console.flags import Reference
from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(makes=False)
def lineage(
    session: Session,
    ref: Reference = None,
) -> None:
    """Example: vitctl lineage RUN@20k

    Draw the tree of inputs: which checkpoint, which images and which folder a result was made
    from. Inputs that changed or are missing are marked.
    """
    from stages.inspect.lineage.run import run

    for named, step in session.named(ref):
        lineage = run(Inputs(named, step), store=session.store)
        if session.options.json:
            session.answer_json(lineage.as_json())
        else:
            from stages.inspect.lineage.text import lines  # rich: a help page doesn't need it

            session.answer_text("\n".join(lines(lineage)))
