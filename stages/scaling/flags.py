"""What the flags of both commands mean together."""

from __future__ import annotations

from vitctl.errors import UsageError


def only_one_metric(
    *, error: str | None, accuracy: str | None, loss: str | None, unit: str | None
) -> None:
    """Raise UsageError unless one column at most is named, and `--unit` fits it."""
    named = {"--error": error, "--accuracy": accuracy, "--loss": loss}
    given = [flag for flag, column in named.items() if column is not None]
    if len(given) > 1:
        raise UsageError(
            f"{' and '.join(given)} are both given", hint="keep the one that the column holds"
        )
    if loss is not None and unit not in (None, "none"):
        raise UsageError(
            f"--loss {loss} has no --unit {unit}: a loss is fitted as it is",
            hint=f"if it is an error rate: --error {loss} --unit {unit}",
        )
