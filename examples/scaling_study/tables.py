"""Tables of the study as Markdown, from the tables of its sweeps.

    python3 tables.py SWEEP...                               print them
    python3 tables.py --into docs/guide/study.md SWEEP...    put each between its marks in a page
    python3 tables.py --csv results SWEEP...                 also copy the sweeps' own tables there

SWEEP is the folder of a sweep, or a table.csv of one under the name of its grid: heads.csv. The
marks are lines: <!-- table heads --> and <!-- end of the table -->.

A cell is a mean over seeds. Its interval is Student's, with the standard deviation of a run pooled
over all cells of its column: three runs alone would say little of it. Of one seed it is the
interval over test images, which the sweep has. What differs from the first row is bold: the 95 %
interval of the difference, with the same deviation, leaves 0 out.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from vitctl.artifacts import Artifact
from vitctl.artifacts.kinds.sweep import CSV
from vitctl.artifacts.references import plain_name
from vitctl.text.quantities import plural, show_count
from vitctl.text.tables import Table, read_table

CONFIDENCE = 0.95
TITLES = {
    "top1": "top-1, %",
    "loss": "loss",
    "new_10shot": "new contours, %",
    "atom_10shot": "atoms, %",
    "digits_10shot": "digits, %",
    "data_size": "images",
    "images_seen": "images seen",
    "wd_head": "decay of the head",
    "kind": "schedule",
    "cooldown_shape": "cooldown",
    "lr": "rate",
}
"""Of columns, for people; others are titled as they are called. Few-shot probes are of 10 shots."""


@dataclass(frozen=True)
class Layout:
    """What a table shows of a sweep.

    rows     columns whose values name a row
    metrics  what is shown of each
    across   a column whose values are columns of the table, each with every metric; None: none
    apart    rows with different values in this column are not compared; None: all are
    compare  whether rows are compared with the first
    """

    rows: tuple[str, ...]
    metrics: tuple[str, ...]
    across: str | None = None
    apart: str | None = None
    compare: bool = True


_GRID = ("model", "data_size")
_PROBES = ("new_10shot", "atom_10shot", "digits_10shot")
LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "study": tuple(
        Layout(_GRID, (metric,), across="images_seen", compare=False)
        for metric in ("top1", "digits_10shot", "atom_10shot")
    ),
    "seeds": tuple(
        Layout(_GRID, (metric,), across="images_seen", compare=False)
        for metric in ("top1", "digits_10shot")
    ),
    "head-decay": (Layout(("wd_head", "lr"), ("top1", "loss", *_PROBES)),),
    "heads": (
        Layout(("images_seen", "head", "lr"), ("top1", "loss", *_PROBES), apart="images_seen"),
    ),
    "schedules": tuple(
        Layout(("kind", "cooldown_shape", "lr"), (metric,), across="images_seen")
        for metric in ("top1", "loss")
    ),
}
"""By the name of a grid; of any other, `layout_of` takes what differs between its rows."""


@dataclass(frozen=True)
class Cell:
    """What was measured at one place: a value for each seed; `images` is the interval over test
    images, or over draws of the shots, its ends the means over seeds."""

    values: tuple[float, ...]
    images: tuple[float, float] | None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


@dataclass(frozen=True)
class Noise:
    """The standard deviation of one run, and the degrees of freedom that it is estimated with."""

    deviation: float
    freedom: int

    def half(self, *counts: int) -> float:
        """Of the interval of a mean of so many runs, or of the difference of two such means."""
        quantile = float(special.stdtrit(self.freedom, (1 + CONFIDENCE) / 2))
        return quantile * self.deviation * math.sqrt(sum(1 / count for count in counts))


def noise_of(cells: Sequence[Cell]) -> Noise | None:
    """Pooled over cells; None where no cell has two runs."""
    freedom = sum(len(cell.values) - 1 for cell in cells)
    if freedom == 0:
        return None
    squares = sum(float(np.sum((np.array(cell.values) - cell.mean) ** 2)) for cell in cells)
    return Noise(math.sqrt(squares / freedom), freedom)


# A sweep -> cells


def cells_of(table: Table, layout: Layout) -> dict[tuple[Any, ...], dict[tuple[Any, str], Cell]]:
    """By row, then by the value of `across` and the metric, both in the order of the table."""
    done = [status == "done" for status in table.column("status")]
    names = [table.column(name) for name in layout.rows]
    places = [None] * len(table) if layout.across is None else table.column(layout.across)
    values: dict[tuple[Any, ...], dict[tuple[Any, str], list[int]]] = {}
    for place in np.flatnonzero(done):
        row = values.setdefault(tuple(column[place] for column in names), {})
        for metric in layout.metrics:
            row.setdefault((places[place], metric), []).append(int(place))
    return {
        name: {key: _cell(table, key[1], places) for key, places in row.items()}
        for name, row in values.items()
    }


def _cell(table: Table, metric: str, places: Sequence[int]) -> Cell:
    value, low, high = (table.numbers(f"{metric}{end}") for end in ("", "_low", "_high"))
    ends = float(np.mean(low[places])), float(np.mean(high[places]))
    return Cell(tuple(map(float, value[places])), None if math.isnan(ends[0]) else ends)


def layout_of(name: str, table: Table) -> tuple[Layout, ...]:
    """Of a grid that is not one of these: models, sizes and durations with all that it varies."""
    if name in LAYOUTS:
        return LAYOUTS[name]
    columns = [*table.columns]
    axes = columns[columns.index("data_size") + 1 : columns.index("seed")]
    metrics = [column.removesuffix("_low") for column in columns if column.endswith("_low")]
    rows = ("model", "data_size", *axes, "images_seen")
    shown = tuple(metric for metric in metrics if metric != "top5")
    return (Layout(rows, shown, compare=False),)


# Cells -> Markdown


def markdown(name: str, table: Table) -> str:
    """All tables of a sweep, each with a line on what its intervals are."""
    parts = [part for layout in layout_of(name, table) for part in _table(table, layout)]
    failed = sum(status != "done" for status in table.column("status"))
    if failed:
        parts.append(f"{plural(failed, 'run')} of {len(table)} failed and are left out.")
    return "\n\n".join(parts)


def _table(table: Table, layout: Layout) -> Iterator[str]:
    rows = cells_of(table, layout)
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    noises = {key: noise_of([row[key] for row in rows.values() if key in row]) for key in keys}
    heads = [*(TITLES.get(name, name) for name in layout.rows), *(_head(key) for key in keys)]
    lines = [_line(heads), _line(["---"] * len(heads))]
    first: dict[Any, dict[tuple[Any, str], Cell]] = {}
    for name, row in rows.items():
        group = None if layout.apart is None else name[layout.rows.index(layout.apart)]
        base = first.setdefault(group, row)
        shown = [
            _in_words(key, row.get(key), base.get(key) if layout.compare else None, noises[key])
            for key in keys
        ]
        lines.append(_line([*map(_name, name), *shown]))
    yield "\n".join(lines)
    yield _remark(rows, keys, noises, layout)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _head(key: tuple[Any, str]) -> str:
    place, metric = key
    title = TITLES.get(metric, metric)
    return title if place is None else f"{title}, {show_count(int(place))} seen"


def _name(value: Any) -> str:
    """Of a row: counts as 2k, other numbers short, words as they are."""
    try:
        number = float(value)
    except ValueError:
        return str(value)
    whole = number.is_integer() and number >= 100
    return show_count(int(number)) if whole else f"{number:g}"


def _in_words(
    key: tuple[Any, str], cell: Cell | None, base: Cell | None, noise: Noise | None
) -> str:
    if cell is None:
        return ""
    if len(cell.values) > 1 and noise is not None:
        half = noise.half(len(cell.values))
        ends: tuple[float, float] | None = (cell.mean - half, cell.mean + half)
    else:
        ends = cell.images
    shown = _number(key, cell.mean)
    if base is not None and base is not cell and noise is not None:
        differs = abs(cell.mean - base.mean) > noise.half(len(cell.values), len(base.values))
        shown = f"**{shown}**" if differs else shown
    return (
        shown if ends is None else f"{shown} ({_number(key, ends[0])} to {_number(key, ends[1])})"
    )


def _number(key: tuple[Any, str], value: float) -> str:
    return f"{value:.3f}" if key[1].endswith("loss") else f"{100 * value:.1f}"


def _remark(
    rows: dict[tuple[Any, ...], dict[tuple[Any, str], Cell]],
    keys: Sequence[tuple[Any, str]],
    noises: dict[tuple[Any, str], Noise | None],
    layout: Layout,
) -> str:
    """What the intervals are, and how far another test set would move a value."""
    pooled = [noise.freedom for noise in noises.values() if noise is not None]
    seeds = [len(cell.values) for row in rows.values() for cell in row.values()]
    if not pooled:
        return "*In brackets: 95 % intervals over test images, one seed.*"
    runs = f"{min(seeds)}" if min(seeds) == max(seeds) else f"{min(seeds)} to {max(seeds)}"
    freedom = sorted({*pooled})
    degrees = (
        " or ".join(map(str, freedom)) if len(freedom) < 3 else f"{freedom[0]} to {freedom[-1]}"
    )
    said = [
        f"Means over {runs} seeds; in brackets 95 % intervals over seeds, by the scatter of all "
        f"runs of the column ({degrees} degrees of freedom)."
    ]
    if layout.compare:
        where = (
            ""
            if layout.apart is None
            else f" with as many {TITLES.get(layout.apart, layout.apart)}"
        )
        said.append(
            f"Bold: differs from the first row{where}, at 95 % and for each value by itself."
        )
    widths: dict[str, list[float]] = {}
    for row in rows.values():
        for key, cell in row.items():
            if cell.images is not None:
                widths.setdefault(key[1], []).append((cell.images[1] - cell.images[0]) / 2)
    if widths:
        each = ", ".join(
            f"{TITLES.get(metric, metric).removesuffix(', %')} {100 * float(np.mean(halves)):.1f}"
            for metric, halves in widths.items()
        )
        said.append(
            f"Other test images or shots would move all of a column by about (points): {each}."
        )
    return f"*{' '.join(said)}*"


# Pages


def into(page: str, name: str, text: str) -> str:
    """The page with a table between its marks."""
    marks = re.compile(
        rf"(<!-- table {re.escape(name)} -->\n).*?(<!-- end of the table -->)", re.DOTALL
    )
    if not marks.search(page):
        raise SystemExit(f"the page has no line <!-- table {name} --> with an end after it")
    return marks.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)


def read(source: Path) -> tuple[str, Path]:
    """The name of a sweep's grid, and the file of its table."""
    if source.is_dir():
        return plain_name(Artifact.load(source)), source / CSV
    return source.stem, source


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweeps", nargs="+", type=Path, metavar="SWEEP")
    parser.add_argument("--into", type=Path, metavar="PAGE")
    parser.add_argument("--csv", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    for source in given.sweeps:
        name, file = read(source)
        text = markdown(name, read_table(file))
        if given.csv is not None:
            given.csv.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, given.csv / f"{name}.csv")
        if given.into is None:
            print(f"## {name}\n\n{text}\n")
        else:
            given.into.write_text(into(given.into.read_text(), name, text))


if __name__ == "__main__":
    main()
