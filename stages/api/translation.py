"""Errors for a caller in Python: they name arguments, where the command line has flags.

    --data DATASET   data=DATASET                  an argument of the function
    --batch 64       set={"data.batch": 64}        a setting
    --workers 0      runtime={"workers": 0}        how to run
    --force          force=True

Sentences are written once, with the flags of the command line, and are translated where they leave
the API. Whole command lines (`vitctl ls --kind checkpoint`) stay: they are what they say.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import keyword
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar, cast, get_args, get_type_hints

from vitctl.errors import VitctlError
from vitctl.system_errors import as_expected

P = ParamSpec("P")
T = TypeVar("T")

_COMMAND_LINE = re.compile(r"vitctl [a-z].*?(?=$|\n|[,;)](?: |$))")
_FLAG = re.compile(
    r"--(?P<no>no-)?(?P<name>[a-z][a-z0-9-]*)(?:(?P<between>[= ])(?P<value>[\w./:-]*\w))?"
)
_SETTING = re.compile(r"--set (?P<key>[a-z][\w.]*)=(?P<value>[^\s,;]*)")
_RENAMED = {"from": ("from_", "source")}


def in_python(function: Callable[P, T]) -> Callable[P, T]:
    """The function, whose expected errors name its arguments."""

    @functools.wraps(function)
    def call(*positional: P.args, **named: P.kwargs) -> T:
        with _as_expected(function):
            result = function(*positional, **named)
        return cast(T, _each(result, function)) if isinstance(result, Iterator) else result

    return call


def _each(results: Iterator[Any], function: Callable[..., Any]) -> Iterator[Any]:
    with _as_expected(function):
        yield from results


@contextmanager
def _as_expected(function: Callable[..., Any]) -> Iterator[None]:
    """Errors that the command line has a sentence for are raised as that, of the system and of
    libraries, too."""
    try:
        yield
    except VitctlError as error:
        _translate(error, function)
        raise
    except Exception as error:
        expected = as_expected(error)
        if expected is None:
            raise
        _translate(expected, function)
        raise expected from error


def _translate(error: VitctlError, function: Callable[..., Any]) -> None:
    error.message = translated(error.message, function)
    error.hint = None if error.hint is None else translated(error.hint, function)
    error.args = (error.message, *error.args[1:])


def translated(sentence: str, function: Callable[..., Any]) -> str:
    """With the arguments of `function` in place of flags."""
    if "--" not in sentence:
        return sentence
    parts, end = [], 0
    for command_line in _COMMAND_LINE.finditer(sentence):
        parts += [_arguments(sentence[end : command_line.start()], function), command_line[0]]
        end = command_line.end()
    return "".join([*parts, _arguments(sentence[end:], function)])


def _arguments(text: str, function: Callable[..., Any]) -> str:
    text = _SETTING.sub(lambda match: f'set={{"{match["key"]}": {_literal(match["value"])}}}', text)
    return _FLAG.sub(lambda match: _argument(match, function), text)


def _argument(match: re.Match[str], function: Callable[..., Any]) -> str:
    arguments = _arguments_of(function)
    name, off = match["name"].replace("-", "_"), match["no"] is not None
    if f"no_{name}" in arguments:
        name, off = f"no_{name}", False
    text = match["value"] or ""
    as_it_was = f"{match['between']}{text}" if text else ""

    def with_value(kind: Any) -> tuple[str | None, str]:
        """The value in Python, if one is given, and what else follows the flag."""
        if kind is bool:
            return str(not off), as_it_was
        is_value = re.fullmatch(r"\d[\w.]*|[A-Z][A-Z_:.]*|\.\.\.", text) or text in _choices(kind)
        return (_literal(text), "") if text and is_value else (None, as_it_was)

    if name == "compare":
        return f"api.compare{as_it_was}"  # a function of its own
    for own in _RENAMED.get(name, (f"{name}_" if keyword.iskeyword(name) else name,)):
        if own in arguments:
            value, rest = with_value(arguments[own])
            return own + (f"={value}" if value else "") + rest
    if (setting := _settings_of(function).get(name)) is not None:
        where, key, kind = setting
        value, rest = with_value(kind)
        return f'{where}={{"{key}": {value or "..."}}}{rest}'
    return match[0]


def _choices(kind: Any) -> set[str]:
    """The words that a type takes."""
    if isinstance(kind, str):
        return {kind}
    return set().union(*(_choices(one) for one in get_args(kind)))


def _literal(text: str) -> str:
    """A value as Python writes it; placeholders stay as they are."""
    if not text or re.fullmatch(r"\d+(\.\d+)?|[A-Z][A-Z_]*|\.\.\.", text):
        return text
    return {"true": "True", "false": "False", "none": "None"}.get(text, f'"{text}"')


@functools.cache
def _arguments_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Argument -> its type, those of `**options` too."""
    arguments: dict[str, Any] = {}
    own = inspect.unwrap(function)
    # Of what it returns some names are there for type checkers only.
    taken = {name: kind for name, kind in own.__annotations__.items() if name != "return"}
    hints = get_type_hints(SimpleNamespace(__annotations__=taken), own.__globals__)
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= get_type_hints(*get_args(hints[name]))
        else:
            arguments[name] = hints[name]
    return arguments


def _kind(flag: Any, model: Any) -> Any:
    """The type of a flag's value."""
    kind, *_ = get_args(flag.annotation(model))
    plain = [one for one in get_args(kind) if one is not type(None)] or [kind]
    return bool if plain == [bool] else kind


@functools.cache
def _settings_of(function: Callable[..., Any]) -> dict[str, tuple[str, str, Any]]:
    """Flag of the command -> where the setting is given, its key and type. The table of flags alone
    knows, and it needs typer: it is imported for an error only."""
    names = function.__name__.rstrip("_").split("_")
    for package in (
        f"stages.{'.'.join(names)}",
        f"stages.{function.__name__}",
        f"stages.inspect.{names[0]}",
    ):
        try:
            module = importlib.import_module(f"{package}.command")
        except ModuleNotFoundError:
            continue
        command = next(v for v in vars(module).values() if hasattr(v, "tables"))
        has_settings = "settings" in command.shared
        rows: dict[str, tuple[str, str, Any]] = {}
        for number, table in enumerate(command.tables):
            where = "set" if number == 0 and has_settings else "runtime"
            rows |= {
                flag.parameter: (where, flag.key, _kind(flag, table.model)) for flag in table.flags
            }
        return rows
    return {}
