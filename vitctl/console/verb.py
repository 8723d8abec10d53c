"""A function with the shared flags added, ready for typer.

    @verb(sets=Flags(ShardConfig, (Flag("classes", "Only these classes."),)))
    def shard(session: Session, src: Annotated[str, Argument()] = "digits") -> None:
        \"\"\"Example: vitctl shard ~/photos ...\"\"\"

typer sees `src`, `--classes` and the shared flags; the function gets `src`, and a `Session` in
place of all flags.
"""

from __future__ import annotations

import inspect
import threading
import typing
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitctl import processes, signals
from vitctl.console import completion, multiprocess
from vitctl.console.flag import Flags
from vitctl.console.help import show_all
from vitctl.console.native_output import NativeOutput, wanted
from vitctl.console.session import Options, Session
from vitctl.console.streams import silence_stdout, terminal
from vitctl.events import Activity, Answering, Doing, Emit, Event, Next, Note
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.hardware.machine import settle_platform
from vitctl.places import place
from vitctl.processes import cluster
from vitctl.settings.config import Config

if TYPE_CHECKING:
    from vitctl.console.display import Display

_PLACE = "Where it goes"
_CONFIG = "Configuration"
_OUTPUT = "Output"
_SEVERAL = "Processes"

_ALWAYS: dict[str, tuple[Any, Any]] = {
    "store": (
        Annotated[
            Any,
            typer.Option(
                parser=place,
                metavar="DIR|URL",
                help="Store of artifacts: a folder, gs:// or s3:// (default: artifacts).",
                envvar="VITCTL_STORE",
                show_default=False,
                rich_help_panel=_PLACE,
            ),
        ],
        "artifacts",
    ),
    "json": (
        Annotated[
            bool,
            typer.Option(
                "--json",
                help="Print the answer as JSON.",
                rich_help_panel=_OUTPUT,
            ),
        ],
        False,
    ),
    "quiet": (
        Annotated[
            bool,
            typer.Option(
                "--quiet", "-q", help="Print nothing but errors on stderr.", rich_help_panel=_OUTPUT
            ),
        ],
        False,
    ),
}
_PLACES: dict[str, tuple[Any, Any]] = {
    "name": (
        Annotated[
            str | None,
            typer.Option(
                help="Name of the result's folder (default: from the input's name).",
                rich_help_panel=_PLACE,
            ),
        ],
        None,
    ),
    "out": (
        Annotated[
            Any,
            typer.Option(
                parser=place,
                metavar="DIR|URL",
                help="Exact folder of the result, instead of one in the store.",
                rich_help_panel=_PLACE,
            ),
        ],
        None,
    ),
    "force": (
        Annotated[
            bool,
            typer.Option(
                "--force",
                help="Start again from nothing, even if the result exists.",
                rich_help_panel=_PLACE,
            ),
        ],
        False,
    ),
}
_PROCESSES: dict[str, tuple[Any, Any]] = {
    "processes": (
        Annotated[
            int | None,
            typer.Option(
                metavar="N",
                help="Number of processes in this run; 1 ignores a cluster (default: the "
                "cluster's, else 1).",
                envvar=cluster.PROCESSES,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "process_id": (
        Annotated[
            int | None,
            typer.Option(
                metavar="I",
                help="Index of this process, from 0 (default: the cluster's).",
                envvar=cluster.PROCESS_ID,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "coordinator": (
        Annotated[
            str | None,
            typer.Option(
                metavar="HOST:PORT",
                help="Address of process 0 (default: the cluster's).",
                envvar=cluster.COORDINATOR,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "start_timeout": (
        Annotated[
            int | None,
            typer.Option(
                metavar="SECONDS",
                min=1,
                help="Seconds to wait until all processes have connected (default: 300).",
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "hang_timeout": (
        Annotated[
            float | None,
            typer.Option(
                metavar="SECONDS",
                min=0.1,
                help="Seconds after which a step counts as hanging (default: from the times of "
                "earlier steps).",
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
}
_RARE = {"out", "force", *_PROCESSES}
"""Shared flags that `--help` leaves out where it leaves out others, too."""


def _configs(model: type[Config]) -> dict[str, tuple[Any, Any]]:
    """The flags that take any setting of `model`."""
    return {
        "settings": (
            Annotated[
                list[str] | None,
                typer.Option(
                    "--set",
                    metavar="KEY=VALUE",
                    help="Set any setting that --print-config shows; repeatable.",
                    autocompletion=completion.settings_of(model),
                    rich_help_panel=_CONFIG,
                ),
            ],
            None,
        ),
        "config": (
            Annotated[
                Path | None,
                typer.Option(
                    metavar="FILE.toml",
                    help="Read settings from a file; flags and --set win over it.",
                    rich_help_panel=_CONFIG,
                ),
            ],
            None,
        ),
        "print_config": (
            Annotated[
                bool,
                typer.Option(
                    "--print-config",
                    help="Print all resolved settings as TOML and stop.",
                    rich_help_panel=_CONFIG,
                ),
            ],
            False,
        ),
    }


_HELP_ALL = Annotated[
    bool,
    typer.Option(
        "--help-all",
        callback=show_all,
        is_eager=True,
        expose_value=False,
        help="Show all options and stop.",
    ),
]


def verb(
    *,
    sets: Flags | None = None,
    runs: Flags | None = None,
    makes: bool = True,
    parallel: bool = False,
    computes: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the flags that a command declares, and those that commands share.

    Args:
      sets: of a command that has a Config: flags that set parts of it; --set, --config and
        --print-config come with them. The command gets them as `session.overrides`.
      runs: flags of its Runtime; the command gets them by `session.runtime()`.
      makes: the command makes an artifact (--name, --out, --force).
      parallel: several processes may run it together (--processes, ...), where of other commands
        only the first process does.
      computes: C++ code of jax or TensorFlow works in this process, as in what is parallel, and
        writes to stderr.
    """
    shared = {
        **(_PLACES if makes else {}),
        **_ALWAYS,
        **(_configs(sets.model) if sets is not None else {}),
    }
    several = _PROCESSES if parallel else {}
    tables = [table for table in (sets, runs) if table is not None]
    declared = {name: both for table in tables for name, both in table.parameters().items()}
    rare = frozenset().union(*(table.rare for table in tables))
    if rare:
        rare |= _RARE & {*shared, *several}

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        def command(**arguments: Any) -> None:
            picked = {key: arguments.pop(key) for key in shared}
            if "settings" in picked:
                picked["settings"] = tuple(picked["settings"] or ())
            arguments.pop("help_all", None)
            processes = {key: arguments.pop(key) for key in several}
            code = _guarded(
                function,
                lambda emit: Options(
                    **picked,
                    flags=sets.taken(arguments, emit=emit) if sets is not None else {},
                    running=runs.taken(arguments) if runs is not None else {},
                ),
                arguments,
                quiet=picked["quiet"],
                processes_flags=processes if parallel else None,
                computes=computes or parallel,
            )
            if code:
                raise SystemExit(code)

        hints = typing.get_type_hints(function, include_extras=True)
        own = [
            parameter.replace(annotation=hints[name])
            for name, parameter in inspect.signature(function).parameters.items()
            if name != "session"
        ]
        extra = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
            )
            for name, (annotation, default) in {**declared, **shared, **several}.items()
        ]
        if rare:
            extra.append(
                inspect.Parameter(
                    "help_all",
                    inspect.Parameter.KEYWORD_ONLY,
                    default=False,
                    annotation=_HELP_ALL,
                )
            )
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*own, *extra]
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.rare = rare  # type: ignore[attr-defined]
        return command

    return wrap


class _Shown:
    """The display, made with the first event: looking often has none, and rich takes 0.1 s."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.caught: NativeOutput | None = None
        self._display: Display | None = None
        self._making = threading.Lock()
        self._activity: Activity | None = None

    def awaited(self, signal: str) -> str:
        """What happens after the first signal."""
        doing = "finishing and saving the current work"
        if self._activity == "compile":
            doing = "a compilation cannot be broken off; when it is finished, the work is saved"
        return f"{signal}: {doing}; a second one stops at once"

    def catch(self) -> None:
        """From now on what libraries write to stderr is shown as part of the display."""
        if wanted():
            self.caught = NativeOutput(
                lambda sentence: self(Note(sentence)),
                terminal=terminal(),
                errors_only=lambda: self.quiet,
            )
            self.caught.begin()

    def __call__(self, event: Event) -> None:
        if isinstance(event, Doing):
            self._activity = event.activity
        if self.quiet:
            return
        if isinstance(event, Answering | Next) and self.caught is not None:
            self.caught.tell_repeated()
        with self._making:
            if self._display is None:
                if isinstance(event, Answering):
                    return
                from vitctl.console.display import Display

                self._display = Display()
        self._display(event)

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()

    def end(self) -> None:
        """Nothing more is shown or caught."""
        self.stop()
        if self.caught is not None:
            self.caught.end()


def _guarded(
    function: Callable[..., None],
    options: Callable[[Emit], Options],
    arguments: dict[str, Any],
    *,
    quiet: bool,
    processes_flags: dict[str, Any] | None,
    computes: bool,
) -> int:
    """Run a command and give its exit code. `options` may raise for a flag that makes no sense."""
    silence_stdout()
    keep_compiled_programs()
    settle_platform()
    shown = _Shown(quiet=quiet)
    if (owner := signals.owner()) is not None:
        owner.leave = partial(multiprocess.leave, shown.stop)
        owner.acknowledge = lambda: shown(Note(shown.awaited(owner.name)))
    if computes:
        shown.catch()
    try:
        place_in_cluster = cluster.in_environment() if processes_flags is None else None
        if place_in_cluster is not None and place_in_cluster[0] > 0:
            index, count = place_in_cluster
            shown(
                Note(f"process {index} of {count} does nothing here: process 0 runs this command")
            )
            return 0
        if processes_flags is not None:
            multiprocess.connect(processes_flags, stop_display=shown.stop)
            shown.quiet = shown.quiet or not processes.first()
        with signals.ending_if_deaf(shown.stop) if computes else nullcontext():
            session = Session(options(shown), shown)
            function(session, **arguments)
        signals.settle()
        shown.stop()
        multiprocess.finish()
    except SystemExit:
        raise
    except BaseException as error:
        signals.settle()
        shown.end()
        return multiprocess.failed(error)
    finally:
        shown.end()
    return 0
