"""`vitctl scaling`: the commands on scaling laws."""

from __future__ import annotations

import typer

from stages.scaling.fit.command import fit
from stages.scaling.plot.command import plot

app = typer.Typer(
    help="Fit and plot scaling laws.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit")(fit)
app.command("plot")(plot)
