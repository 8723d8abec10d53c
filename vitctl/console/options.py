"""Reading of flags that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from vitctl import durations
from vitctl.errors import UsageError

CacheDir = Annotated[
    Path | None,
    Option(envvar="VITCTL_CACHE_DIR", help="Copy shards to this local folder and read them there."),
]


def count(text: str | None, name: str) -> int | None:
    """`20k` -> 20000; None stays None."""
    return None if text is None else durations.parse_count(text, name=name)


def duration(**given: str | None) -> tuple[float, durations.Unit] | None:
    """The one of steps=, images=, epochs= that was given, if any. UsageError for several."""
    named = {unit: text for unit, text in given.items() if text is not None}
    if len(named) > 1:
        flags = " and ".join(f"--{unit}" for unit in named)
        raise UsageError(f"{flags} both give the length", hint="keep one of them")
    for unit, text in named.items():
        read = durations.parse_amount if unit == "epochs" else durations.parse_count
        return read(text, name=f"--{unit}"), unit  # type: ignore[return-value]
    return None
