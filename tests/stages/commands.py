"""All commands, those of groups too, as the command line has them."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.app import VERBS

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Command:
    """`verbs`: what follows `vitctl`; `function`: what typer calls, as `verb` made it."""

    verbs: tuple[str, ...]
    function: Callable[..., None]

    def __str__(self) -> str:
        return " ".join(self.verbs)

    @property
    def module(self) -> str:
        """The one that defines it."""
        return self.function.__module__

    @property
    def package(self) -> str:
        return self.module.rpartition(".")[0]

    @property
    def folder(self) -> Path:
        return Path(str(sys.modules[self.module].__file__)).parent

    @property
    def in_python(self) -> str:
        """The name of its function in `stages.api`."""
        name = "_".join(self.verbs)
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def makes_an_artifact(self) -> bool:
        return "force" in self.function.shared  # type: ignore[attr-defined]

    @property
    def has_settings(self) -> bool:
        return "print_config" in self.function.shared  # type: ignore[attr-defined]


def _commands() -> list[Command]:
    commands = []
    for name, verb in VERBS.items():
        module: Any = importlib.import_module(verb.module)
        if hasattr(module, "app"):
            for info in module.app.registered_commands:
                commands.append(Command((name, str(info.name)), info.callback))
        else:
            function = f"{name}_" if keyword.iskeyword(name) else name
            commands.append(Command((name,), getattr(module, function)))
    return commands


COMMANDS = _commands()
