"""The parameters of a fitted law: all that a list of artifacts shows of a fit."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from vitctl.summaries import Summary


class FitLine(Summary):
    """The first fields of `vitctl.scaling.summary.FitSummary`, whose forty tables take longer to
    import than a store to list."""

    a: float = Field(description="Parameter a of error = a (compute + d)^-b + c.")
    b: float = Field(description="Parameter b of error = a (compute + d)^-b + c.")
    c: float = Field(description="Parameter c of error = a (compute + d)^-b + c.")
    d: float = Field(description="Parameter d of error = a (compute + d)^-b + c.")

    def phrases(self) -> Iterable[str]:
        for name in ("a", "b", "c", "d"):
            yield f"{name} {getattr(self, name):.3g}"
