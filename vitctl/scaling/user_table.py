"""A user's table -> points: columns and units are resolved, and written into the Config."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitctl.errors import InputError, UsageError
from vitctl.scaling.config import ColumnsConfig
from vitctl.scaling.points import Points
from vitctl.scaling.seeds import Seeds, pool
from vitctl.text.suggestions import either, nearest
from vitctl.text.tables import Table

_USUAL = {
    "model": "model",
    "data_size": "data_size",
    "images": "images_seen",
    "seed": "seed",
}
_PERCENT_WORDS = ("pct", "percent", "%")
_LOSS_WORDS = ("loss", "nll", "xent", "entropy", "perplexity", "ppl", "bpb", "bpd", "mse")


def resolve(columns: ColumnsConfig, table: Table) -> ColumnsConfig:
    """The columns without open questions. Raises UsageError where the table doesn't answer one."""
    columns_by_role = {
        name: usual
        for name, usual in _USUAL.items()
        if getattr(columns, name) is None and usual in table.columns
    }
    compute = columns.compute or _default("compute", table, flags="--compute COLUMN")
    columns_by_role |= {"compute": compute, "compute_unit": columns.compute_unit or compute}
    return resolve_metric(columns, table).model_copy(update=columns_by_role)


def resolve_metric(columns: ColumnsConfig, table: Table) -> ColumnsConfig:
    """The same for the column of errors or accuracies and its unit only."""
    if columns.metric is None:
        name = "accuracy" if "accuracy" in table.columns else "error"
        column = _default(name, table, flags="--error, --accuracy or --loss COLUMN")
        columns = columns.model_copy(update={name: column})
    metric = columns.metric or ""
    unit = columns.unit or _unit(
        table.where(columns.where).numbers(metric), metric, is_error=columns.accuracy is None
    )
    return columns.model_copy(update={"unit": unit})


def guesses(given: ColumnsConfig, resolved: ColumnsConfig, table: Table) -> dict[str, str]:
    """Everything that was guessed about the table, with the flag that overrides it."""
    out = {}
    if given.compute is None and resolved.compute is not None:
        out["compute"] = f"column {resolved.compute} (--compute)"
    kind = "error" if resolved.accuracy is None else "accuracy"
    if given.metric is None:
        out[kind] = f"column {resolved.metric} (--error, --accuracy or --loss)"
    if given.unit is None and resolved.metric is not None:
        values = table.where(resolved.where).numbers(resolved.metric)
        known = values[np.isfinite(values)]
        out["unit"] = (
            f"{resolved.unit}, as {resolved.metric} goes from {known.min():g} to {known.max():g} "
            "(--unit; none for a loss)"
        )
    for name in _USUAL:
        if getattr(given, name) is None and (column := getattr(resolved, name)) is not None:
            out[name.replace("_", " ")] = f"column {column} (--set columns.{name}=)"
    return out


def repeats_seeds(table: Table, columns: ColumnsConfig) -> bool:
    """Whether some rows of resolved columns are the same cell with different seeds."""
    if not columns.seed:
        return False
    chosen = table.where(columns.where)
    lengths = [columns.data_size, columns.images or columns.compute]
    cells: list[list[Any]] = [chosen.numbers(name).tolist() for name in lengths if name]
    cells += [chosen.texts(columns.model).tolist()] if columns.model else []
    return len(set(zip(*cells, strict=True))) < len(chosen)


def read_points(table: Table, columns: ColumnsConfig) -> tuple[Points, int, Seeds | None]:
    """The points of resolved columns, how many rows were skipped for an empty cell, and what
    repeated seeds tell, if the table has any.

    Conditions are applied first, so that they can leave bad rows out.
    """
    assert columns.compute is not None
    assert columns.metric is not None
    chosen = table.where(columns.where)
    needed = [columns.compute, columns.metric, columns.data_size, columns.images]
    needed.append(columns.seed or None)
    empty = np.zeros(len(chosen), bool)
    for name in (name for name in (*needed, columns.model) if name is not None):
        gaps = np.array([cell in ("", None) for cell in chosen.column(name)], bool)
        if gaps.any() and columns.missing == "refuse":
            raise InputError(
                f"{name} is empty in row {chosen.rows[int(np.argmax(gaps))]} of {table.source}",
                hint="skip such rows: --set columns.missing=skip",
            )
        empty |= gaps
    if empty.all():
        raise InputError(f"no row of {table.source} is complete")
    chosen = chosen.take(np.flatnonzero(~empty))
    metric = errors_or_losses(chosen, columns)
    # Decimal accuracies make decimal errors: 1 - 0.849 is 0.151, not 0.15100000000000002.
    error = metric if columns.accuracy is None else np.round(1.0 - metric, 12)
    points = Points(
        compute=chosen.numbers(columns.compute),
        error=error,
        row=np.array(chosen.rows),
        model=chosen.texts(columns.model) if columns.model else None,
        data_size=_positive(chosen, columns.data_size),
        images=_positive(chosen, columns.images),
        measure="loss" if columns.unit == "none" else "error",
    )
    skipped = int(empty.sum())
    if not columns.seed:
        return points, skipped, None
    points, seeds = pool(points, chosen.texts(columns.seed))
    return points, skipped, seeds


def errors_or_losses(table: Table, columns: ColumnsConfig) -> NDArray[np.float64]:
    """Errors or accuracies as fractions, losses as they are. An InputError names the user's own
    value and unit, not the error computed from it."""
    assert columns.metric is not None
    if columns.unit == "none":
        return _losses(table, columns.metric)
    percent = columns.unit == "percent"
    metric = np.round(table.numbers(columns.metric) / (100.0 if percent else 1.0), 12)
    bad = ~((metric >= 0) & (metric <= 1))  # also NaN
    if bad.any():
        first = int(np.argmax(bad))
        value = table.column(columns.metric)[first]
        raise InputError(
            f"{columns.metric} is {'empty' if value in ('', None) else value} in row "
            f"{table.rows[first]} of {table.source}, which is no {columns.unit}",
            hint="correct the table, choose another --unit (none for a loss), or leave the row out "
            "with --where",
        )
    return metric


def _losses(table: Table, column: str) -> NDArray[np.float64]:
    values = table.numbers(column)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        first = int(np.argmax(bad))
        raise InputError(
            f"{column} is {table.column(column)[first]} in row {table.rows[first]} of "
            f"{table.source}, which is no loss: it is not a number from 0 up",
            hint="correct the table, or leave the row out with --where",
        )
    return values


def _default(name: str, table: Table, *, flags: str) -> str:
    if name in table.columns:
        return name
    numeric = [column for column in table.columns if _numeric(table, column)]
    losses = [c for c in numeric if any(word in c.lower() for word in _LOSS_WORDS)]
    if name == "error" and losses:
        raise UsageError(
            f"the column of the error is not clear: give {flags}",
            hint=f"perhaps --loss {losses[0]}, fitted as a loss",
        )
    near = nearest(name, numeric, cutoff=0.4)
    raise UsageError(
        f"the column of the {name} is not clear: give {flags}",
        hint=f"perhaps {either(near)}" if near else f"numbers are in {', '.join(numeric)}",
    )


def _numeric(table: Table, column: str) -> bool:
    try:
        return bool(np.isfinite(table.numbers(column)).any())
    except InputError:
        return False


def _unit(values: NDArray[np.float64], column: str, *, is_error: bool) -> str:
    """Fractions lie in 0..1, percentages nearly always above 1; where the values allow both,
    --unit is required. A column that is named like a loss, or whose values are not percentages, is
    refused as an error rate."""
    known = values[np.isfinite(values)]
    if is_error and any(word in column.lower() for word in _LOSS_WORDS):
        raise UsageError(
            f"{column} is named like a loss, not like an error rate",
            hint=f"fit it as a loss: --loss {column}; if it is an error rate: --unit percent or "
            "--unit fraction",
        )
    if len(known) and (np.median(known) > 100 or np.median(known) < 0):
        raise UsageError(
            f"{column} goes from {known.min():g} to {known.max():g}, so it is not in percent",
            hint=f"if it is a loss: --loss {column}" if is_error else "name another column",
        )
    named = any(word in column.lower() for word in _PERCENT_WORDS)
    if len(known) and (known > 1).all():
        return "percent"
    if len(known) and (known <= 1).all() and not named:
        return "fraction"
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    raise UsageError(
        f"{column} goes from {low:g} to {high:g}: percent or fraction?",
        hint="give --unit percent or --unit fraction; for a loss --unit none",
    )


def _positive(table: Table, column: str | None) -> NDArray[np.float64] | None:
    if column is None:
        return None
    values = table.numbers(column)
    bad = ~(np.isfinite(values) & (values > 0))
    if bad.any():
        raise InputError(
            f"{column} is not a positive number in row {table.rows[int(np.argmax(bad))]} of "
            f"{table.source}",
            hint="correct the table, or leave the row out with --where",
        )
    return values
