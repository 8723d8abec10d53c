"""An exception -> one sentence, a hint, an exit code."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import typer

from vitctl import signals, system_errors
from vitctl.console import habits
from vitctl.console.help import arguments_of
from vitctl.console.text import safe, styled
from vitctl.errors import InterruptedRun, OutOfReachError, UsageError, VitctlError
from vitctl.system_errors import causes
from vitctl.text.quoting import as_bytes, quoted
from vitctl.text.suggestions import did_you_mean, nearest, suggest

# typer's base of all errors of usage; it names only some of the classes below it.
_TyperUsageError = typer.BadParameter.__mro__[1]


def as_expected(error: BaseException) -> VitctlError | None:
    """The expected error behind an exception, or None if it is a bug."""
    if (by_signal := stopped(error)) is not None:
        return by_signal
    if isinstance(error, OutOfReachError):
        expected = VitctlError(error.message, hint=error.hint)
        expected.exit_code = error.exit_code
        return expected
    if isinstance(error, Exception) and isinstance(error, _TyperUsageError):
        return _usage(error)
    return system_errors.as_expected(error)


def stopped(error: BaseException | None = None) -> VitctlError | None:
    """What to say if the exception comes of the first signal to a command that the same command
    continues, or if there is no exception yet; None if it does not."""
    owner = signals.owner()
    by_signal = error is None or any(isinstance(c, signals.Interrupted) for c in causes(error))
    if owner is None or not by_signal:
        return None
    if not owner.began:
        return InterruptedRun(f"{owner.name} before work began", hint="run the same command again")
    return InterruptedRun(
        f"{owner.name} between two steps of its work; finished work is kept",
        hint="run the same command again (without --force) to continue",
    )


def report(error: BaseException, *, prefix: str = "") -> int:
    """Tell stderr about an exception and return the exit code. `prefix` says whose it is."""
    expected = as_expected(error)
    if isinstance(error, KeyboardInterrupt) and expected is None:
        return 130
    if expected is None:
        traceback.print_exception(error, file=sys.stderr)
        print("this is a bug in vitctl; please report it with the lines above", file=sys.stderr)
        return 1
    stopped = expected.exit_code == 10
    word = styled("stopped:", "1;33") if stopped else styled("error:", "1;31")
    print(prefix + word, safe(expected.message), file=sys.stderr)
    if expected.hint:
        print(prefix + styled("hint:", "1"), safe(expected.hint), file=sys.stderr)
    return expected.exit_code


def _usage(error: Exception) -> VitctlError:
    """typer's error of usage in our words: one sentence without a capital, then a hint."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "vitctl"
    option = getattr(error, "option_name", None)
    unknown = option if hasattr(error, "possibilities") else None
    if unknown is not None and context is not None:
        options = [name for one in context.command.params for name in one.opts]
        near = nearest(unknown, getattr(error, "possibilities", None) or (), cutoff=0)
        hint = habits.meant(unknown, options) or did_you_mean(near) or f"see {path} --help"
        return UsageError(f"{path} has no option {as_bytes(unknown)}", hint=hint)
    if (sentence := _unreadable(error)) is not None:
        return UsageError(sentence, hint=f"see {path} --help")
    sentence = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    if sentence.startswith("Got unexpected extra argument") and context is not None:
        return _too_many(context)
    sentence = as_bytes(sentence.removesuffix(".").replace("Value error, ", ""))
    if option is not None and context is not None:
        return UsageError(_lower(sentence), hint=_way_to_give(option, context))
    choice = re.search(r"'([^']*)' is not one of (.*)$", sentence)
    if choice:
        options = re.findall(r"'([^']*)'", choice[2])
        habit = habits.chosen(choice[1], options)
        hint = habit or suggest(choice[1], options, otherwise=f"see {path} --help")
        return UsageError(_lower(sentence), hint=hint)
    return UsageError(_lower(sentence), hint=f"see {path} --help")


def _way_to_give(option: str, context: typer.Context) -> str:
    """How an option of a command is written that was given too few values, or one too many."""
    path = context.command_path
    for one in context.command.params:
        record = one.get_help_record(context)
        if option in one.opts and record is not None:
            # As on the help page: `--compare A B`, of several names `-q, --quiet`.
            values = record[0].split(", ")[-1].partition(" ")[2]
            return f"write it as {f'{path} {option} {values}'.rstrip()}; see {path} --help"
    return f"see {path} --help"


def _too_many(context: typer.Context) -> UsageError:
    """Of words behind those that a command takes, as in `vitctl shard folder photos`."""
    path, params = context.command_path, context.command.params
    typed, extra = arguments_of(context)
    shown, help_page = _as_typed(extra), f"see {path} --help"
    arguments = [one for one in params if one.param_type_name == "argument"]
    values = (context.params.get(one.name or "") for one in arguments)
    given = [str(value) for value in values if value is not None]
    empty = next((word for word in (*given, *extra) if not word.strip()), None)
    if empty is not None:
        hint = f"{_as_typed([empty])} is an empty word, as of a variable that is not set"
    elif not arguments:
        options = [one for one in ("--from", "--data") if any(one in p.opts for p in params)]
        named = " or ".join(f"{option} {_as_typed(extra[:1])}" for option in options)
        # An option takes no word that looks like another one.
        is_name = bool(named) and not extra[0].startswith("-")
        hint = f"inputs are named by options: {named}" if is_name else help_page
    elif len(extra) == 1 and typed[:1] == given[:1] and typed[0].lower() in habits.KINDS_OF_INPUT:
        hint = f"leave out the word {typed[0]}: {path} {_as_typed(typed[1:])}"
    else:
        hint = f"quote a name with spaces; {help_page}"
    if not arguments:
        return UsageError(f"{path} takes no arguments (got {shown})", hint=hint)
    names = " ".join(_shown(one) for one in arguments)
    return UsageError(f"{path} takes {names} alone (got {shown} behind it)", hint=hint)


def _as_typed(arguments: Sequence[str]) -> str:
    """Words as a shell takes them; one that cannot be printed as messages quote it."""
    return " ".join(shlex.quote(word) if word.isprintable() else quoted(word) for word in arguments)


_NUMBERS = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
}


def _unreadable(error: Exception) -> str | None:
    """A sentence on a value that its option cannot be read from, which pydantic checks for typer;
    None for other errors. Choices and parsers of our own have messages of their own."""
    problems, option = getattr(error.__cause__, "errors", None), getattr(error, "param", None)
    if problems is None or option is None:
        return None
    first = problems()[0]
    said = first["msg"].removeprefix("Input should be ")
    said = said.replace("greater than or equal to", "at least")
    said = _NUMBERS.get(first["type"]) or said.replace("less than or equal to", "at most")
    if first["type"] in ("value_error", "literal_error", "enum"):
        return None
    name = option.opts[0] if option.param_type_name == "option" else _shown(option)
    return f"{name} must be {said} (got {quoted(first['input'])})"


def _shown(argument: Any) -> str:
    """An argument as help pages have it."""
    return argument.metavar or argument.name.upper()


def _lower(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
