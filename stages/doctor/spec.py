"""The inputs and the report of `vitctl doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import PositiveFloat

from vitctl.doctor.finding import Finding, worst
from vitctl.places import Place
from vitctl.settings.config import Config


@dataclass(frozen=True)
class Inputs:
    """The store that is checked, and the dataset of which a batch is read (None: the newest of the
    store, if the store answers)."""

    store: Place
    dataset: Place | None


class DoctorRuntime(Config):
    """`timeout_s`: what each check may take instead of its own time."""

    timeout_s: PositiveFloat | None = None


@dataclass(frozen=True)
class Report:
    """The findings in the order of the checks, and the dataset of which a batch was read."""

    store: Place
    dataset: Place | None
    findings: tuple[Finding, ...]

    def as_json(self) -> dict[str, Any]:
        """What `vitctl doctor --json` prints; docs/schemas/doctor.schema.json."""
        return {
            "verdict": worst(self.findings),
            "store": str(self.store),
            "dataset": str(self.dataset) if self.dataset else None,
            "checks": [finding.as_json() for finding in self.findings],
        }
