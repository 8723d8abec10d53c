"""The result of a check, and what a check is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vitctl.places import Place, place

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class CheckRequest:
    """The places to check: the store, and the dataset if there is one."""

    store: Place
    dataset: Place | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"store": str(self.store), "dataset": str(self.dataset) if self.dataset else None}

    @classmethod
    def from_json(cls, record: dict[str, str | None]) -> CheckRequest:
        dataset = record["dataset"]
        return cls(place(record["store"] or "."), place(dataset) if dataset else None)


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
      check: name of the check.
      message: one sentence, with the numbers.
      hint: a remedy.
      numbers: the measured values alone; the unit is the end of a key (`free_bytes`, `skew_s`).
      exit_code: of the command if the check failed: 2 a wrong set-up, 3 damaged data, 4 no such
        bucket, 6 too little memory, disk space or open files, 10 a store that does not respond.
      seconds: how long the check took.
    """

    check: str
    verdict: Verdict
    message: str
    hint: str | None = None
    numbers: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 2
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As `vitctl doctor --json` prints it; docs/schemas/doctor.schema.json."""
        return {_JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Finding:
        return cls(**{_FIELDS.get(key, key): value for key, value in record.items()})


_JSON_KEYS = {"message": "told", "numbers": "measured"}
"""Keys of the JSON that differ from the fields: they are public and keep their names."""
_FIELDS = {key: name for name, key in _JSON_KEYS.items()}


def exit_code(findings: Sequence[Finding]) -> int:
    """0 if no check failed, else the code of the first failure."""
    return next((f.exit_code for f in findings if f.verdict == "fail"), 0)


def worst(findings: Sequence[Finding]) -> Verdict:
    """The worst verdict of all checks."""
    verdicts = {finding.verdict for finding in findings}
    return "fail" if "fail" in verdicts else "warn" if "warn" in verdicts else "ok"
