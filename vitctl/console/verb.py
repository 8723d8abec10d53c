"""A function with the shared flags added, ready for typer.

    @verb(sets=Flags(ShardConfig, (Flag("classes", "Only these classes."),)))
    def shard(session: Session, src: Annotated[str, Argument()] = "digits") -> None:
        \"\"\"Example: vitctl shard ~/photos ...\"\"\"

typer sees `src`, `--classes` and the shared flags; the function gets `src`, and a `Session` in
place of all flags.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from typer.models import OptionInfo

from vitctl.console import habits
from vitctl.console.flag import Flags
from vitctl.console.guarded import run_guarded
from vitctl.console.session import Options, Session
from vitctl.console.shared_flags import ALWAYS, HELP_ALL, PLACES, PROCESSES, RARE, of_settings
from vitctl.settings.overrides import check_keys, keys_of


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
        **(PLACES if makes else {}),
        **ALWAYS,
        **(of_settings(sets.model) if sets is not None else {}),
    }
    several = PROCESSES if parallel else {}
    tables = [table for table in (sets, runs) if table is not None]
    declared = {name: both for table in tables for name, both in table.parameters().items()}
    rare = frozenset().union(*(table.rare for table in tables))
    if rare:
        rare |= RARE & {*shared, *several}

    def wrap(function: Callable[..., None]) -> Callable[..., None]:
        def checked(session: Session, **arguments: Any) -> None:
            # Before it may wait for another command's answer on stdin, which can take hours.
            if sets is not None:
                given = {name for name, value in arguments.items() if value is not None}
                check_keys(sets.model, session.overrides.tree(), meant=partial(meant, given=given))
            function(session, **arguments)

        def meant(key: str, *, given: Collection[str]) -> str | None:
            assert sets is not None
            keys = list(keys_of(sets.model))
            return habits.setting(key, options, keys, command=function.__name__, given=given)

        def command(**arguments: Any) -> None:
            picked = {key: arguments.pop(key) for key in shared}
            if "settings" in picked:
                picked["settings"] = tuple(picked["settings"] or ())
            arguments.pop("help_all", None)
            processes = {key: arguments.pop(key) for key in several}
            code = run_guarded(
                checked,
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
                    annotation=HELP_ALL,
                )
            )
        own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*own, *extra]
        options = _options(parameters, sets)
        command.__name__ = function.__name__
        command.__doc__ = function.__doc__
        command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in parameters}
        command.__module__ = function.__module__
        command.rare = rare  # type: ignore[attr-defined]
        command.tables = tables  # type: ignore[attr-defined]
        command.shared = frozenset({*shared, *several})  # type: ignore[attr-defined]
        return command

    return wrap


def _options(parameters: Iterable[inspect.Parameter], sets: Flags | None) -> dict[str, str | None]:
    """Each option of a command, and the setting that it sets, if it sets one."""
    keys = {} if sets is None else {flag.flag: flag.key for flag in sets.flags}
    options: dict[str, str | None] = {}
    for parameter in parameters:
        for declared in getattr(parameter.annotation, "__metadata__", ()):
            if isinstance(declared, OptionInfo):
                # In an annotation typer takes the first name for a default, until it reads it.
                names = (declared.default, *(declared.param_decls or ()))
                usual = "--" + parameter.name.replace("_", "-")
                first = next((n for n in names if isinstance(n, str) and n[:1] == "-"), usual)
                option = first.partition("/")[0]
                options[option] = keys.get(option)
    return options
