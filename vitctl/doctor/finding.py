"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from vitctl.places import Place, place

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Request:
    """What to look at: the store, and the dataset if there is one."""

    store: Place
    dataset: Place | None = None

    def as_json(self) -> dict[str, str | None]:
        return {"store": str(self.store), "dataset": str(self.dataset) if self.dataset else None}

    @classmethod
    def from_json(cls, found: dict[str, str | None]) -> Request:
        dataset = found["dataset"]
        return cls(place(found["store"] or "."), place(dataset) if dataset else None)


@dataclass(frozen=True)
class Finding:
    """`told` is a sentence with the numbers, `measured` the numbers alone.

    `exit_code` is what a failure means for the command: 2 a set-up that is wrong, 3 data that is
    damaged, 4 no such bucket, 6 too little memory, disk or files, 10 a store that does not answer.
    """

    check: str
    verdict: Verdict
    told: str
    hint: str | None = None
    measured: dict[str, Any] = field(default_factory=dict)
    exit_code: int = 2
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def exit_code(findings: Sequence[Finding]) -> int:
    """0 if nothing failed, else that of the first failure."""
    return next((f.exit_code for f in findings if f.verdict == "fail"), 0)


def worst(findings: Sequence[Finding]) -> Verdict:
    """The verdict on the whole."""
    found = {finding.verdict for finding in findings}
    return "fail" if "fail" in found else "warn" if "warn" in found else "ok"
