"""What is recorded of drawn figures."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.summaries import Many, Part, Summary


class Drawn(Part):
    """One file of a figure."""

    figure: str = Field(description="Which figure.")
    theme: str = Field(description="light or dark.")
    format: str = Field(description="svg or png.")
    file: str = Field(description="Its file in the artifact.")


class Plots(Summary):
    """Figures, made by `vitctl scaling plot`."""

    figures: Many[Drawn] = Field(description="The files that were drawn.")

    def phrases(self) -> Iterable[str]:
        yield from dict.fromkeys(drawn.figure for drawn in self.figures)
