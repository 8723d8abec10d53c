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
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitctl.console.compiled import keep_compiled_programs
from vitctl.console.failure import report
from vitctl.console.session import Options, Session
from vitctl.console.streams import silence_stdout
from vitctl.events import Event

if TYPE_CHECKING:
    from vitctl.console.display import Display

_PLACE = "Where it goes"
_CONFIG = "Configuration"
_OUTPUT = "Output"

_ALWAYS: dict[str, tuple[Any, Any]] = {
    "store": (
        Annotated[
            Path,
            typer.Option(
                help="Directory of artifacts.", envvar="VITCTL_STORE", rich_help_panel=_PLACE
            ),
        ],
        Path("artifacts"),
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
            Path | None,
            typer.Option(help="Exact folder, instead of one in the store.", rich_help_panel=_PLACE),
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


def verb(
    *, makes: bool = True, configurable: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the shared flags. `makes`: the command makes an artifact (--name, --out, --force);
    `configurable`: it has a Config (--set, --config, --print-config)."""
    shared = {
        **(_PLACES if makes else {}),
        **_ALWAYS,
        **(_CONFIGS if configurable else {}),
    }

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        def command(**arguments: Any) -> None:
            picked = {key: arguments.pop(key) for key in shared}
            if configurable:
                picked["settings"] = tuple(picked["settings"] or ())
            code = _guarded(function, Options(**picked), arguments)
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
            for name, (annotation, default) in shared.items()
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


def _guarded(function: Callable[..., None], options: Options, arguments: dict[str, Any]) -> int:
    silence_stdout()
    keep_compiled_programs()
    shown = _Shown(quiet=options.quiet)
    try:
        function(Session(options, shown), **arguments)
    except SystemExit:
        raise
    except BaseException as error:
        shown.stop()
        return report(error)
    finally:
        shown.stop()
    return 0
