"""Help pages: the example first, then what it does, then the options in panels.

Drawn here and not by typer's own formatter, which imports a Markdown parser and a syntax
highlighter (0.2 s) to draw boxes that leave half of 80 columns to the text.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Collection
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from vitctl.console.text import styled, wrapped

_WIDEST = 100
_NARROWEST = 50
_NAMES = 28
_LEAST_TEXT = 40
"""Columns of text beside the names; with fewer it goes below them."""
# typer's base of all errors of usage, which it does not export.
_TyperUsageError: Any = typer.BadParameter.__mro__[1]

_BELOW = 6
_EXAMPLE = "Example: "
_TYPED = "vitctl.typed"
"""Where a context has the words that its command was given."""

Rows = list[tuple[str, str]]


class Command(TyperCommand):
    """A command with such a help page, in whose words `~/` is the home folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from vitctl.places.home import expanded_word  # where only verbs are listed, never loaded

        ctx.meta[_TYPED] = typed = [expanded_word(word) for word in args]
        try:
            return super().parse_args(ctx, [*typed])  # which takes words out of its list
        except _TyperUsageError as error:
            # Its parser raises some errors without the context, so without the command's name.
            error.ctx = error.ctx or ctx
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx))


class Group(TyperGroup):
    """Several commands under one name, with such a help page."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            print(page(self, ctx), file=sys.stderr)
            raise typer.Exit(2)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(page(self, ctx))


def arguments_of(ctx: Any) -> tuple[list[str], list[str]]:
    """The words behind a command's name, and those of them that are more arguments than it takes.

    typer's own error joins the latter with spaces, where an empty word and a space within a word
    cannot be seen.
    """
    typed = ctx.meta[_TYPED]
    _, extra, _ = ctx.command.make_parser(ctx).parse_args([*typed])
    return typed, extra


def show_all(ctx: typer.Context, value: bool) -> None:
    """`--help-all`: print the page with all options, and end the command."""
    if value and not ctx.resilient_parsing:
        typer.echo(page(ctx.command, ctx, rare=True), nl=False)
        raise typer.Exit


def page(command: Any, ctx: Any, *, rare: bool = False) -> str:
    """The help page of a command or group; without `rare` a command's rare options are counted."""
    width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _WIDEST))
    paragraphs = _paragraphs(command.help or "")
    if isinstance(command, TyperGroup) and not paragraphs[0].startswith(_EXAMPLE):
        paragraphs.insert(0, _borrowed_example(command, ctx))
    parts = [_prose(paragraph, width=width) for paragraph in paragraphs]
    usage = " ".join([ctx.command_path, *_pieces(command, ctx)])
    parts.append(f"{_bold('Usage:')} {usage}")
    if isinstance(command, TyperGroup):
        parts += _panels(_commands(command, ctx), width=width)
    left_out: frozenset[str] = (
        frozenset() if rare else getattr(command.callback, "rare", frozenset())
    )
    parts += _panels(_options(command, ctx, left_out=left_out), width=width)
    if left_out:
        parts.append(f"{len(left_out)} more options: {ctx.command_path} --help-all")
    return "\n\n".join(parts) + "\n"


def _borrowed_example(group: TyperGroup, ctx: Any) -> str:
    """The example of the first command of a group that has none of its own."""
    first = group.get_command(ctx, group.list_commands(ctx)[0])
    return _paragraphs((first and first.help) or "")[0]


def _pieces(command: Any, ctx: Any) -> list[str]:
    if isinstance(command, TyperGroup):
        return ["COMMAND", "[OPTIONS]"]
    arguments = [p for p in command.get_params(ctx) if p.param_type_name == "argument"]
    names = [_argument(p) if p.required else f"[{_argument(p)}]" for p in arguments]
    return [*names, "[OPTIONS]"]


def _argument(parameter: Any) -> str:
    return (parameter.metavar or parameter.name.upper()) + "..." * (parameter.nargs != 1)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _prose(paragraph: str, *, width: int) -> str:
    """A sentence, wrapped, or an example (`Example: vitctl ...`), which is not: it is there to be
    pasted. Only sentences end in a full stop."""
    if not paragraph.endswith("."):
        label, colon, line = paragraph.partition(": ")
        return f"{_bold(label + colon.strip())} {line}" if colon else paragraph
    return "\n".join(wrapped(paragraph, width))


def _commands(group: TyperGroup, ctx: Any) -> dict[str, Rows]:
    panels: dict[str, Rows] = {}
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if command is None or command.hidden:
            continue
        panel = getattr(command, "rich_help_panel", None)
        row = (name, _first_sentence(command.short_help or command.help or ""))
        panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append(row)
    return panels


def _first_sentence(text: str) -> str:
    """Of a docstring the first sentence behind its example; a one-line help is taken whole."""
    paragraphs = [part for part in _paragraphs(text) if not part.startswith(_EXAMPLE)]
    if len(_paragraphs(text)) < 2:
        return "".join(paragraphs[:1])
    return paragraphs[0].split(". ")[0].rstrip(".") + "." if paragraphs else ""


_LIMIT = re.compile(r"\[x>=([\d.]+)\]")


def _options(command: Any, ctx: Any, *, left_out: Collection[str]) -> dict[str, Rows]:
    panels: dict[str, Rows] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is None or parameter.name in left_out:
            continue
        usual, (name, text) = "Options", record
        if parameter.param_type_name == "argument":
            usual, name = "Arguments", _argument(parameter)
        panel = getattr(parameter, "rich_help_panel", None)
        row = (name.replace(" range>", ">"), _LIMIT.sub(r"At least \1.", text))
        panels.setdefault(panel if isinstance(panel, str) else usual, []).append(row)
    return panels


def _panels(panels: dict[str, Rows], *, width: int) -> list[str]:
    """One block a panel; all share the width of their first column, where there is room for it."""
    lengths = [len(name) for rows in panels.values() for name, _ in rows if len(name) <= _NAMES]
    column = max(lengths, default=0) + 4
    if width - column < _LEAST_TEXT:
        column = _BELOW
    return [
        "\n".join([_bold(title), *(_row(*row, column=column, width=width) for row in rows)])
        for title, rows in panels.items()
    ]


def _row(name: str, text: str, *, column: int, width: int) -> str:
    first, *rest = wrapped(" ".join(text.split()), width - column)
    names = [f"  {_cyan(line)}" for line in _name_lines(name, width=width - 2)]
    if len(name) + 4 <= column:
        names = [(names[0] + " " * (column - 2 - len(name)) + first).rstrip()]
    else:
        rest = [first, *rest]
    return "\n".join([*names, *(" " * column + line for line in rest)])


def _name_lines(name: str, *, width: int) -> list[str]:
    """`--figure a|b|c`, broken behind a `|` where one line does not hold it."""
    lines = [""]
    for part in re.findall(r"[^|]*\|?", name):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("  ")
        lines[-1] += part
    return lines


def _bold(text: str) -> str:
    return styled(text, "1", terminal=sys.stdout.isatty())


def _cyan(text: str) -> str:
    return styled(text, "36", terminal=sys.stdout.isatty())
