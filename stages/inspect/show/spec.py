"""What `vitctl show` shows."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.artifacts import Artifact, Run


@dataclass(frozen=True)
class Inputs:
    """An artifact or run as it was named, and the step of RUN@STEP, if it was named so."""

    named: Artifact | Run
    step: int | None = None

    def entry(self) -> Artifact | Run:
        """What is shown: of RUN@STEP the checkpoint."""
        if isinstance(self.named, Run) and self.step is not None:
            return self.named.checkpoint(self.step, check=False)
        return self.named
