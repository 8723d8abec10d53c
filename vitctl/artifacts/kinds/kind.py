"""What is known of a kind of artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from vitctl.artifacts.artifact import Artifact
from vitctl.errors import InputError
from vitctl.settings.config import first_problem
from vitctl.summaries import Summary

S = TypeVar("S", bound=Summary)


@dataclass(frozen=True)
class Kind(Generic[S]):
    """One kind of artifact.

    name      as manifests have it
    phrase    what one is called in a sentence, with its article
    commands  those that make one, as they are typed; with a flag where only that makes one
    load      imports the class of its summary, which most commands do without
    example   a command line that makes one; None for what is only made on the way
    line      imports the part of that class that has the words, where the whole is large
    """

    name: str
    phrase: str
    commands: tuple[str, ...]
    load: Callable[[], type[S]]
    example: str | None = None
    line: Callable[[], type[Summary]] | None = None

    @property
    def noun(self) -> str:
        """What one is called, without an article."""
        return self.phrase.partition(" ")[2]

    @cached_property
    def model(self) -> type[S]:
        """The class of its summary."""
        return self.load()

    @cached_property
    def _line(self) -> type[Summary]:
        return self.model if self.line is None else self.line()

    @property
    def stages(self) -> tuple[str, ...]:
        """The folders of a store that have those that commands answered with."""
        return tuple(command.partition(" --")[0].replace(" ", "-") for command in self.commands)

    def summary(self, artifact: Artifact) -> S:
        """The typed summary of an artifact of this kind.

        Raises InputError for one that is something else: made by hand, or damaged and unsealed.
        """
        try:
            return self.model.model_validate(artifact.summary)
        except ValidationError as error:
            problem = first_problem(error, whole="it")
            raise InputError(
                f"the summary of {artifact.path} is not that of {self.phrase}: {problem}",
                hint=f"see it: vitctl show {artifact.path}",
            ) from None

    def in_one_line(self, summary: Mapping[str, Any]) -> str | None:
        """A recorded summary in one line; None if it is not one of this kind."""
        try:
            parts = self._line.model_validate(summary).phrases()
            return ", ".join(part for part in parts if part)
        except ValidationError:
            return None
