"""Which artifact was made from which, drawn from left to right, and the same as sentences."""

from __future__ import annotations

from dataclasses import dataclass

from vitctl.report.html import Html, element, name_of, separated, text
from vitctl.report.subjects import Contents, Missing, ReportEntry

MOST_NODES = 120
_WIDTH, _HEIGHT = 168.0, 46.0
_ACROSS, _DOWN = 38.0, 14.0
_LETTERS = 19
"""That fit a box."""


@dataclass(frozen=True)
class _Box:
    column: int
    row: float

    @property
    def x(self) -> float:
        return self.column * (_WIDTH + _ACROSS) + 1

    @property
    def y(self) -> float:
        return self.row * (_HEIGHT + _DOWN) + 1


def lineage(contents: Contents) -> Html:
    """The graph, and below it a list for who cannot see it."""
    drawn = _drawn(contents) if 1 < len(contents.subjects) <= MOST_NODES else None
    return Html((drawn or "") + _sentences(contents))


def _drawn(contents: Contents) -> Html:
    places = _places(contents)
    columns = max(box.column for box in places.values()) + 1
    height = max(box.y for box in places.values()) + _HEIGHT + 1
    width = columns * (_WIDTH + _ACROSS) - _ACROSS + 2
    edges = [
        _edge(places[given.id], places[subject.id], role)
        for subject in contents.subjects
        for role, given in _direct(subject, contents)
    ]
    all_named = all(subject.named for subject in contents.subjects)
    boxes = [
        _node(subject, places[subject.id], framed=subject.named and not all_named)
        for subject in contents.subjects
    ]
    arrow = element(
        "marker",
        element("path", d="M0,0 L8,4 L0,8 z"),
        id="arrow",
        viewbox="0 0 8 8",
        refX="8",
        refY="4",
        markerWidth="7",
        markerHeight="7",
        orient="auto",
    )
    return element(
        "div",
        element(
            "svg",
            element("title", "Lineage: each arrow leads from an input to what was made from it"),
            element("defs", arrow),
            edges,
            boxes,
            class_="graph",
            role="group",
            width=f"{width:g}",
            height=f"{height:g}",
            viewbox=f"0 0 {width:g} {height:g}",
            xmlns="http://www.w3.org/2000/svg",
        ),
        class_="wide",
        tabindex="0",
    )


def _direct(subject: ReportEntry, contents: Contents) -> list[tuple[str, ReportEntry]]:
    """Its inputs but for those that another of its inputs was made from, too: the dataset of a
    cooldown is its trunk's."""
    inputs = [
        (role, given) for role, given in contents.reported_inputs(subject) if given is not subject
    ]
    before = {given.id: _ancestors(given, contents) for _, given in inputs}
    return [
        (role, given)
        for role, given in inputs
        if not any(other != given.id and given.id in ids for other, ids in before.items())
    ]


def _ancestors(subject: ReportEntry, contents: Contents) -> set[str]:
    ids: set[str] = set()
    queue = [subject]
    while queue:
        for _, given in contents.reported_inputs(queue.pop()):
            if given.id not in ids:
                ids.add(given.id)
                queue.append(given)
    return ids


def _places(contents: Contents) -> dict[str, _Box]:
    """Columns by the longest way from a source; rows near those of their inputs."""
    columns: dict[str, int] = {}
    for subject in contents.subjects:  # inputs come first
        before = [columns.get(given.id, 0) for _, given in contents.reported_inputs(subject)]
        columns[subject.id] = max(before, default=-1) + 1
    rows: dict[str, float] = {}
    for column in range(max(columns.values(), default=0) + 1):
        members = [subject for subject in contents.subjects if columns[subject.id] == column]

        def wanted(subject: ReportEntry) -> float:
            above = [
                rows[given.id] for _, given in contents.reported_inputs(subject) if given.id in rows
            ]
            # What it was made from last lies in the column before: near that.
            return max(above, default=0.0)

        members.sort(key=wanted)
        free = 0.0
        for subject in members:
            rows[subject.id] = max(free, wanted(subject))
            free = rows[subject.id] + 1
    return {identity: _Box(columns[identity], rows[identity]) for identity in columns}


def _edge(source: _Box, target: _Box, role: str) -> Html:
    x1, y1 = source.x + _WIDTH, source.y + _HEIGHT / 2
    x2, y2 = target.x - 1, target.y + _HEIGHT / 2
    bend = min(40.0, max(20.0, (x2 - x1) / 2))
    path = f"M{x1:g},{y1:g} C{x1 + bend:g},{y1:g} {x2 - bend:g},{y2:g} {x2:g},{y2:g}"
    return element("path", element("title", role), d=path, class_="edge", marker_end="url(#arrow)")


def _node(subject: ReportEntry, box: _Box, *, framed: bool) -> Html:
    name = subject.label
    if len(name) > _LETTERS:
        name = f"{name[: _LETTERS - 8]}…{name[-7:]}"
    what = kind_in_words(subject)
    return element(
        "a",
        element("title", f"{what} {subject.label}: {subject.in_words}"),
        element(
            "rect",
            x=f"{box.x:g}",
            y=f"{box.y:g}",
            width=f"{_WIDTH:g}",
            height=f"{_HEIGHT:g}",
            rx="6",
            class_="named" if framed else None,
        ),
        element("text", what, x=f"{box.x + 10:g}", y=f"{box.y + 18:g}", class_="what"),
        element("text", text(name), x=f"{box.x + 10:g}", y=f"{box.y + 36:g}", class_="who"),
        href=f"#{subject.anchor}",
    )


def kind_in_words(subject: ReportEntry) -> str:
    """ "run, cooldown": what a subject is, and what made it where that is not plain."""
    if subject.kind == "checkpoint":
        return {"pretrain": "pretraining run", "finetune": "fine-tuning run"}.get(
            subject.stage, f"{subject.stage} run"
        )
    return subject.noun


def _sentences(contents: Contents) -> Html:
    def given(role: str, thing: ReportEntry | Missing, step: int | None) -> Html:
        if isinstance(thing, ReportEntry):
            link = element("a", name_of(thing.label), href=f"#{thing.anchor}")
            at = "" if step is None else f" at step {step:,}"
            return element("span", f"{role}: ", link, at)
        what = "a source outside" if thing.problem is None else "missing"
        if thing.parent.kind != "source":
            what = f"{thing.parent.kind} {thing.parent.id[:8]}, not in this report"
        return element("span", f"{role}: {what}")

    rows = []
    for subject in contents.subjects:
        inputs = [given(*one) for one in contents.inputs[subject.id]]
        rows.append(
            element(
                "li",
                kind_in_words(subject),
                " ",
                element("a", name_of(subject.label), href=f"#{subject.anchor}"),
                " — " if inputs else None,
                separated(inputs),
            )
        )
    return element(
        "details",
        element("summary", "The same as a list"),
        element("ul", rows, class_="plain"),
        open=len(contents.subjects) > MOST_NODES,
    )
