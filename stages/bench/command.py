"""`vitctl bench`: how fast this machine does a part of the work."""

from __future__ import annotations

import typer

from stages.bench.feed.command import feed

app = typer.Typer(
    help="Measure the speed of this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def bench() -> None:
    """Measure the speed of this machine."""


app.command("feed")(feed)
