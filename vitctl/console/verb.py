"""A function with the shared flags added, ready for typer.

    @verb(configurable=True)
    def shard(session: Session, src: Annotated[str, Argument()] = "digits") -> None:
        \"\"\"Example: vitctl shard ~/photos ...\"\"\"

typer sees `src` and the shared flags; the function gets a `Session` in place of the flags.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitctl import processes, signals
from vitctl.console import multiprocess
from vitctl.hardware.compilation_cache import keep_compiled_programs
from vitctl.console.flags import TRAINING
from vitctl.console.session import Options, Session
from vitctl.console.streams import silence_stdout
from vitctl.events import Event, Note
from vitctl.hardware.machine import settle_platform
from vitctl.places import place
from vitctl.processes import cluster

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
                help="Where artifacts lie; a folder, or gs:// or s3://.",
                envvar="VITCTL_STORE",
                rich_help_panel=_PLACE,
            ),
        ],
        "artifacts",
    ),
    "json": (
        Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=_OUTPUT)],
        False,
    ),
    "quiet": (
        Annotated[
            bool,
            typer.Option("--quiet", "-q", help="Errors only.", rich_help_panel=_OUTPUT),
        ],
        False,
    ),
}
_PLACES: dict[str, tuple[Any, Any]] = {
    "name": (
        Annotated[str | None, typer.Option(help="Name of its folder.", rich_help_panel=_PLACE)],
        None,
    ),
    "out": (
        Annotated[
            Any,
            typer.Option(
                parser=place,
                metavar="DIR|URL",
                help="Exact folder, instead of one in the store.",
                rich_help_panel=_PLACE,
            ),
        ],
        None,
    ),
    "force": (
        Annotated[
            bool,
            typer.Option("--force", help="Make it again from nothing.", rich_help_panel=_PLACE),
        ],
        False,
    ),
}
_CONFIGS: dict[str, tuple[Any, Any]] = {
    "settings": (
        Annotated[
            list[str] | None,
            typer.Option(
                "--set",
                metavar="KEY=VALUE",
                help="Override any setting; may be repeated.",
                rich_help_panel=_CONFIG,
            ),
        ],
        None,
    ),
    "config": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE.toml", help="Settings from a file.", rich_help_panel=_CONFIG
            ),
        ],
        None,
    ),
    "print_config": (
        Annotated[
            bool,
            typer.Option(
                "--print-config",
                help="Print the resolved settings as TOML and stop.",
                rich_help_panel=_CONFIG,
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
                help="So many train together; 1 ignores a cluster.",
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
                help="Which of them this is, from 0.",
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
                help="Where process 0 is reached.",
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
                help="Wait so long for all to come; 300 if left out.",
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
                help="A step that takes longer hangs; from the steps' own times if left out.",
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
}


def verb(
    *,
    makes: bool = True,
    configurable: bool = False,
    parallel: bool = False,
    trains: bool = False,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the shared flags. `makes`: the command makes an artifact (--name, --out, --force);
    `configurable`: it has a Config (--set, --config, --print-config); `parallel`: several processes
    may do it together (--processes, ...), where others leave it to the first; `trains`: it takes a
    TrainRuntime (--mesh, --checkpoint-every, ...)."""
    shared = {
        **(_PLACES if makes else {}),
        **_ALWAYS,
        **(_CONFIGS if configurable else {}),
    }
    several = _PROCESSES if parallel else {}
    training = TRAINING if trains else {}

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        def command(**arguments: Any) -> None:
            picked = {key: arguments.pop(key) for key in shared}
            if configurable:
                picked["settings"] = tuple(picked["settings"] or ())
            asked = {key: arguments.pop(key) for key in several}
            options = Options(**picked, training={key: arguments.pop(key) for key in training})
            code = _guarded(function, options, arguments, asked=asked if parallel else None)
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
            for name, (annotation, default) in {**training, **shared, **several}.items()
        ]
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*own, *extra]
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        return command

    return wrap


class _Shown:
    """The display, made with the first event: looking often has none, and rich takes 0.1 s."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self._display: Display | None = None

    def __call__(self, event: Event) -> None:
        if self.quiet:
            return
        if self._display is None:
            from vitctl.console.display import Display

            self._display = Display()
        self._display(event)

    def stop(self) -> None:
        if self._display is not None:
            self._display.stop()


def _guarded(
    function: Callable[..., None],
    options: Options,
    arguments: dict[str, Any],
    *,
    asked: dict[str, Any] | None,
) -> int:
    silence_stdout()
    keep_compiled_programs()
    settle_platform()
    shown = _Shown(quiet=options.quiet)
    if (owner := signals.owner()) is not None:
        owner.leave = partial(multiprocess.leave, shown.stop)
        owner.acknowledge = lambda: shown(
            Note(f"{owner.name}: what is under way is finished and saved; once more stops at once")
        )
    try:
        if asked is None and (told := cluster.told()) is not None and told[0] > 0:
            index, count = told
            shown(Note(f"process {index} of {count} leaves this to process 0"))
            return 0
        if asked is not None:
            multiprocess.connect(asked, stop_display=shown.stop)
            shown.quiet = shown.quiet or not processes.first()
        function(Session(options, shown), **arguments)
        signals.settle()
        shown.stop()
        multiprocess.finish()
    except SystemExit:
        raise
    except BaseException as error:
        signals.settle()
        shown.stop()
        return multiprocess.failed(error)
    finally:
        shown.stop()
    return 0
