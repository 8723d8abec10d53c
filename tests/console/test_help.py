"""Help pages at any width: what is pasted is never broken, and text has room."""

from __future__ import annotations

from typing import Annotated

import pytest
import typer

from vitctl.console import help as pages

LONG = "compute|model-size|data-size|images-seen|schedules|weight-decay"


def made(
    name: Annotated[
        str,
        typer.Option(
            metavar=LONG, help="As --keep-every, for example s-16-of-a-long-name (default: none)."
        ),
    ] = "",
    every: Annotated[
        str, typer.Option("--checkpoint-every", metavar="STEPS", help="Steps between.")
    ] = "",
    n: Annotated[int, typer.Option(min=1, help="Number of things.", show_default=False)] = 1,
) -> None:
    """Example: vitctl made --name s-16 | vitctl of-another-command --keep-every 100 --batch 4

    What a sentence says of s-16 and of an open-ended schedule is wrapped, but never at a hyphen.

    By class: find photos/ -name '*.jpg' | vitctl predict --from RUN-OF-A-LONG-NAME --top 5 -
    """


def page(width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command("made", cls=pages.Command)(made)
    command = typer.main.get_command(app)
    return pages.page(command, typer.Context(command, info_name="vitctl made"))


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_lines_fit_but_for_what_is_pasted(width, monkeypatch):
    lines = page(width, monkeypatch).splitlines()
    assert [line for line in lines if len(line) > width] == [
        line for line in lines if line.startswith(("Example: ", "By class: ")) and len(line) > width
    ]


@pytest.mark.parametrize("width", [50, 60, 80, 100])
def test_nothing_is_broken_within_a_word(width, monkeypatch):
    cells = page(width, monkeypatch).split()
    assert {"--keep-every,", "s-16-of-a-long-name", "open-ended", "s-16"} <= set(cells)
    assert not [word for word in cells if word.endswith("-") and word != "-"]


def test_an_example_is_one_line(monkeypatch):
    lines = page(50, monkeypatch).splitlines()
    assert lines[0].endswith("--batch 4")
    assert next(line for line in lines if line.startswith("By class:")).endswith("--top 5 -")


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (60, "      Number of things. At least 1."),
        (80, "  --n <int>                 Number of things. At least 1."),
    ],
)
def test_text_is_beside_the_names_where_there_is_room(width, row, monkeypatch):
    assert row in page(width, monkeypatch).splitlines()


def test_a_limit_is_a_sentence(monkeypatch):
    assert "Number of things. At least 1." in " ".join(page(80, monkeypatch).split())
