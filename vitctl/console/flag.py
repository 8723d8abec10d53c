"""A flag says what it sets: its help and the key of a setting in one line.

    Flag("data.batch", "Images per step, over all devices.")

adds `--batch` with the type that the setting has, and what a user gives is set there; `verb`
collects the flags of a command into one tree.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from vitctl.events import Emit, silent
from vitctl.settings.config import Config
from vitctl.settings.trees import Tree, from_keys

_PLAIN = (int, float, bool, str, Path)


@dataclass(frozen=True)
class Flag:
    """A flag of the command line that stands for one setting.

    Attributes:
      key: of the setting, dotted, or a field of the Runtime.
      help: one sentence; it says the default, where there is one.
      name: None takes the last part of the key, `data.batch` being `--batch`.
      short: another, of one letter.
      reads: makes the value of a text, called with `name=` for its errors; None takes the text as
        the setting's type says.
      remarks: `reads` is called with `emit=`, too, and shows what was unusual.
      sets: makes it a switch that sets this value.
      many: the flag may be repeated; the setting is the tuple of all values.
      rare: shown by `--help-all` only.
      complete: the words a shell offers for an unfinished one.
    """

    key: str
    help: str
    name: str | None = None
    short: str | None = None
    reads: Callable[..., Any] | None = None
    remarks: bool = False
    sets: Any = None
    many: bool = False
    rare: bool = False
    metavar: str | None = None
    panel: str | None = None
    envvar: str | None = None
    complete: Callable[..., Iterable[Any]] | None = None

    @property
    def flag(self) -> str:
        return self.name or "--" + self.key.rsplit(".", 1)[-1].replace("_", "-")

    @property
    def parameter(self) -> str:
        """The name of the parameter behind the flag."""
        return self.flag.removeprefix("--").replace("-", "_")

    def annotation(self, model: type[Config]) -> Any:
        """The type of the parameter, and how typer is to read and show it.

        Raises KeyError if `model` has no such setting.
        """
        declared = _declared(model, self.key)
        kind: Any = str if self.reads is not None else _plain(declared)
        if self.sets is not None:
            kind = bool
        if self.many:
            kind = list[str]
        declarations = [self.flag]
        if kind is bool and self.sets is None:  # can be switched off, too
            declarations = [f"{self.flag}/--no-{self.flag.removeprefix('--')}"]
        if self.short is not None:
            declarations.append(self.short)
        option = typer.Option(
            *declarations,
            help=self.help,
            metavar=self.metavar,
            envvar=self.envvar,
            rich_help_panel=self.panel,
            autocompletion=self.complete,
            show_default=False,
        )
        return Annotated[kind | None, option]

    def value(self, given: Any, *, emit: Emit = silent) -> Any:
        """What is set; None if the flag was not given."""
        if given is None or (self.sets is not None and not given):
            return None
        if self.many:
            return tuple(self._read(text, emit) for text in given) or None
        if self.sets is not None:
            return self.sets
        return self._read(given, emit)

    def _read(self, given: Any, emit: Emit) -> Any:
        if self.reads is None:
            return given
        return self.reads(given, name=self.flag, **({"emit": emit} if self.remarks else {}))


@dataclass(frozen=True)
class Flags:
    """The flags of a command that set settings of one Config."""

    model: type[Config]
    flags: tuple[Flag, ...]

    def parameters(self) -> dict[str, tuple[Any, Any]]:
        """Parameter -> (its type, its default)."""
        return {flag.parameter: (flag.annotation(self.model), None) for flag in self.flags}

    def taken(self, arguments: dict[str, Any], *, emit: Emit = silent) -> Tree:
        """The settings that were given. Removes the flags' values from `arguments`."""
        values = {
            flag.key: flag.value(arguments.pop(flag.parameter), emit=emit) for flag in self.flags
        }
        return from_keys({key: value for key, value in values.items() if value is not None})

    @property
    def rare(self) -> frozenset[str]:
        """The parameters that `--help` leaves out."""
        return frozenset(flag.parameter for flag in self.flags if flag.rare)


def none_of(model: type[Config]) -> Flags:
    """No flags: the settings come from --config and --set alone."""
    return Flags(model, ())


def _declared(model: type[Config], key: str) -> Any:
    """The annotation of the setting under a dotted key."""
    *tables, last = key.split(".")
    for table in tables:
        below = _config_in(model.model_fields[table].annotation)
        if below is None:
            raise KeyError(f"{key}: {table} is not a table of settings")
        model = below
    return model.model_fields[last].annotation


def _config_in(annotation: Any) -> type[Config] | None:
    options = typing.get_args(annotation) or (annotation,)
    return next((o for o in options if isinstance(o, type) and issubclass(o, Config)), None)


def _plain(annotation: Any) -> Any:
    """The type a person writes a setting in: `PositiveInt | None` is an int, a choice its words;
    what has no such type is a text, which the Config reads."""
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _plain(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        options = [o for o in typing.get_args(annotation) if o is not types.NoneType]
        return _plain(options[0]) if len(options) == 1 else str
    if origin is Literal or annotation in _PLAIN:
        return annotation
    return str
