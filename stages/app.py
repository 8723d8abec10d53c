"""The typer app: verb -> module. Listing the verbs imports none of their modules."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

import vitctl
from vitctl.console.streams import claim_stdout


@dataclass(frozen=True)
class Verb:
    """Where a command lives and the line that lists it. `module` defines a function of the
    verb's name, or `app`, a typer app with commands of its own."""

    module: str
    help: str
    panel: str


VERBS: dict[str, Verb] = {
    "shard": Verb("stages.shard.command", "Images -> a dataset of ArrayRecord shards.", "Train"),
    "pretrain": Verb("stages.pretrain.command", "Pretrain a ViT; more steps continue it.", "Train"),
    "cooldown": Verb(
        "stages.cooldown.command", "Branch a finished model off any checkpoint.", "Train"
    ),
    "finetune": Verb("stages.finetune.command", "Fine-tune all weights on a dataset.", "Train"),
    "fewshot": Verb("stages.fewshot.command", "Closed-form few-shot linear probe.", "Measure"),
    "evaluate": Verb("stages.evaluate.command", "Top-1, top-5 and loss on a dataset.", "Measure"),
    "scaling": Verb("stages.scaling.command", "Fit and plot scaling laws.", "Measure"),
    "ls": Verb("stages.inspect.ls", "List artifacts and runs.", "Inspect"),
    "show": Verb("stages.inspect.show", "Show one artifact or run.", "Inspect"),
    "lineage": Verb("stages.inspect.lineage", "The tree of inputs of an artifact.", "Inspect"),
    "verify": Verb("stages.inspect.verify", "Check that an artifact is whole.", "Inspect"),
}


class LazyGroup(TyperGroup):
    """Commands named in `VERBS`, imported when they are called or completed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        return TyperCommand(cmd_name, help=verb.help, rich_help_panel=verb.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return (name, load(name), rest) if name in VERBS else (name, command, rest)


def load(name: str) -> Any:
    """Import a verb's module and build its command."""
    module = importlib.import_module(VERBS[name].module)
    if hasattr(module, "app"):
        command = typer.main.get_command(module.app)
    else:
        single = typer.Typer(
            add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False
        )
        single.command(name)(getattr(module, name))
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="vitctl",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(vitctl.__version__)
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Example: vitctl shard photos/ | vitctl pretrain --model S16 | vitctl cooldown

    Pretrain vision transformers as in "Scaling Vision Transformers": each command reads and
    writes versioned artifacts, prints their path on stdout, and so chains in a pipe.
    """


def main() -> None:
    """The console script `vitctl`."""
    claim_stdout()
    app()


if __name__ == "__main__":
    sys.exit(main())
