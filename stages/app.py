"""The typer app: verb -> module. Listing the verbs imports none of their modules."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from vitctl import signals
from vitctl.console import completion_script, habits
from vitctl.console.help import Command, Group
from vitctl.console.streams import claim_stdout
from vitctl.errors import UsageError
from vitctl.text.quoting import quoted
from vitctl.text.suggestions import did_you_mean, suggest
from vitctl.version import __version__

_CTRL_C = 130


@dataclass(frozen=True)
class Verb:
    """Where a command lives and the line that lists it. `module` defines a function of the
    verb's name (`import_` where that is a keyword of Python), or `app`, a typer app with commands
    of its own. `resumes`: the same command continues one that was stopped."""

    module: str
    help: str
    panel: str
    resumes: bool = False


VERBS: dict[str, Verb] = {
    "shard": Verb("stages.shard.command", "Make a dataset from images.", "Data", True),
    "merge": Verb("stages.merge.command", "Join the parts of a dataset.", "Data", True),
    "subset": Verb("stages.subset.command", "Select images of a dataset, without copies.", "Data"),
    "dedup": Verb(
        "stages.dedup.command", "Remove images that other datasets have, too.", "Data", True
    ),
    "cluster": Verb(
        "stages.cluster.command", "Label images by clusters of their features.", "Data", True
    ),
    "mix": Verb("stages.mix.command", "Combine datasets by weight, without copies.", "Data"),
    "pretrain": Verb(
        "stages.pretrain.command", "Pretrain a ViT; more steps continue it.", "Train", True
    ),
    "cooldown": Verb(
        "stages.cooldown.command", "Branch a finished model off any checkpoint.", "Train", True
    ),
    "finetune": Verb(
        "stages.finetune.command", "Fine-tune all weights on a dataset.", "Train", True
    ),
    "average": Verb("stages.average.command", "Average the weights of checkpoints.", "Train"),
    "fewshot": Verb("stages.fewshot.command", "Measure few-shot accuracy of features.", "Measure"),
    "evaluate": Verb(
        "stages.evaluate.command", "Score a model on a dataset: top-1, top-5, loss.", "Measure"
    ),
    "vtab": Verb(
        "stages.vtab.command", "Fine-tune on 1,000 images of many datasets.", "Measure", True
    ),
    "sweep": Verb(
        "stages.sweep.command", "Train a grid of models, sizes and durations.", "Measure", True
    ),
    "scaling": Verb("stages.scaling.command", "Fit and plot scaling laws.", "Measure"),
    "predict": Verb("stages.predict.command", "Name the likeliest classes of images.", "Use"),
    "embed": Verb("stages.embed.command", "Store a model's features of images.", "Use", True),
    "import": Verb(
        "stages.import_.command", "Turn weights of another library into a run.", "Use", True
    ),
    "export": Verb("stages.export.command", "Write a model for another library.", "Use"),
    "ls": Verb("stages.inspect.ls.command", "List artifacts and runs.", "Results"),
    "show": Verb("stages.inspect.show.command", "Show one artifact or run.", "Results"),
    "lineage": Verb(
        "stages.inspect.lineage.command", "Draw the inputs of an artifact as a tree.", "Results"
    ),
    "report": Verb("stages.report.command", "Write results as one page of HTML.", "Results"),
    "replay": Verb("stages.replay.command", "Show the batch that a step trained on.", "Results"),
    "verify": Verb(
        "stages.inspect.verify.command", "Check that artifacts are undamaged.", "Results"
    ),
    "rm": Verb("stages.rm.command", "Remove artifacts, and what only they need.", "Results"),
    "plan": Verb(
        "stages.plan.command", "Predict memory, speed and cost, also on other TPUs.", "Hardware"
    ),
    "advise": Verb(
        "stages.advise.command", "Choose model, length and batch for a budget.", "Hardware"
    ),
    "bench": Verb("stages.bench.command", "Measure the speed of this machine.", "Hardware"),
    "doctor": Verb("stages.doctor.command", "Check that this machine can train.", "Hardware"),
}


class LazyGroup(Group):
    """Commands named in `VERBS`, imported when they are called or completed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The line that lists a command; completion of its options needs the command itself."""
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        return Command(cmd_name, help=verb.help, rich_help_panel=verb.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name in VERBS:
            return name, load(name), args[1:]
        if not name.startswith("-") and not ctx.resilient_parsing:
            hint: str | None
            if habit := habits.COMMANDS.get(name):
                hint = did_you_mean([habit])
            elif name == "version":
                hint = "vitctl --version"
            else:
                hint = suggest(name, VERBS, otherwise="see vitctl --help")
            raise UsageError(f"there is no command {quoted(name)}", hint=hint)
        return super().resolve_command(ctx, args)


def load(name: str) -> Any:
    """Import a verb's module and build its command."""
    module = importlib.import_module(VERBS[name].module)
    if hasattr(module, "app"):
        several: typer.Typer = module.app
        several.info.cls = Group
        for info in several.registered_commands:
            info.cls = Command
        command = typer.main.get_command(several)
    else:
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        settings = {"help_option_names": ["-h", "--help"]}
        single.command(name, cls=Command, context_settings=settings)(
            getattr(module, f"{name}_" if keyword.iskeyword(name) else name)
        )
        command = typer.main.get_command(single)
    command.name = name
    return command


app = typer.Typer(
    cls=LazyGroup,
    name="vitctl",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version and stop."
        ),
    ] = False,
) -> None:
    """Example: vitctl shard photos/ | vitctl pretrain --model S16 | vitctl cooldown

    Pretrain vision transformers as in "Scaling Vision Transformers". Each command reads and writes
    artifacts (datasets, runs, results) in a folder, and prints their paths on stdout, so that
    commands chain in a pipe. vitctl COMMAND --help shows the options of a command.
    """


def _resumes(arguments: Sequence[str]) -> bool:
    verb = VERBS.get(arguments[0]) if arguments else None
    return verb is not None and verb.resumes


def _leave() -> None:
    from vitctl.console.multiprocess import leave

    leave()


def main(args: Sequence[str] | None = None) -> None:
    """The console script `vitctl`."""
    completion_script.use()
    claim_stdout()
    signals.keep_interrupts()
    code: object
    try:
        if args is None and _resumes(sys.argv[1:]):
            signals.own_signals(_leave)
        # Not standalone: typer would print its own errors in a style of its own.
        code = typer.main.get_command(app).main(args, prog_name="vitctl", standalone_mode=False)
        if code == _CTRL_C:  # typer's own answer
            signals.raise_if_asked()
        signals.settle()
    except (Exception, signals.Interrupted) as error:
        signals.settle()
        from vitctl.console.multiprocess import failed

        code = failed(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
