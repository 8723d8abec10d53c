"""The top of a report: its title, its key numbers, and a table of all results."""

from __future__ import annotations

from vitctl.artifacts import Run
from vitctl.artifacts.kinds.fewshot import Fewshot
from vitctl.report import graph
from vitctl.report.html import Html, element, separated, table
from vitctl.report.sections import section_of
from vitctl.report.sections.section import Number, link
from vitctl.report.subjects import Contents, ReportEntry
from vitctl.report.times import day

_MOST_KEYS = 8
_MOST_NAMES = 3


def title(given: Contents) -> str:
    """Names of results that nothing else in the report was made from: what it is about. Of many
    their number."""
    inputs = {one.id for subject in given.subjects for _, one in given.reported_inputs(subject)}
    named = [subject.label for subject in given.subjects if subject.id not in inputs]
    if 0 < len(named) <= _MOST_NAMES:
        return ", ".join(named)
    return f"Report of {len(given.subjects):,} results"


def lead(given: Contents) -> str:
    """How much of what, and when the last of it was finished."""
    counts: dict[str, int] = {}
    for subject in given.subjects:
        noun = "run" if isinstance(subject.entry, Run) else subject.noun
        counts[noun] = counts.get(noun, 0) + 1
    what = ", ".join(f"{number} {_plural(noun, number)}" for noun, number in counts.items())
    finished = max((subject.finished for subject in given.subjects), default="")
    last = f"; the last was finished on {day(finished)}" if finished else ""
    ancestors = sum(not subject.named for subject in given.subjects)
    verb = "is an input" if ancestors == 1 else "are inputs"
    inputs_note = f" {ancestors} of them {verb} of what was asked for." if ancestors else ""
    return f"{what}{last}.{inputs_note}"


def _plural(noun: str, number: int) -> str:
    if number == 1:
        return noun
    first, _, rest = noun.partition(" of ")
    return f"{first}s of {rest}" if rest else f"{noun}{'es' if noun.endswith('ch') else 's'}"


def keys(given: Contents) -> Html | None:
    """The first number of each measurement, large: of those asked for before the others."""
    kinds = ("evaluation", "fewshot", "vtab", "sweep", "scaling-fit", "checkpoint")
    rows = []
    for kind in kinds:
        subjects = sorted(given.of_kind(kind), key=lambda subject: not subject.named)
        for subject in subjects:
            numbers = list(section_of(subject).numbers(subject))
            if numbers and not _is_baseline(subject):
                rows.append((subject, numbers[0]))
        if rows and kind == "scaling-fit":
            break  # scores of training matter where nothing was measured
    if not rows:
        return None
    return element(
        "ul", [_key(subject, number) for subject, number in rows[:_MOST_KEYS]], class_="keys"
    )


def _is_baseline(subject: ReportEntry) -> bool:
    """Whether a probe is of pixels or of an untrained model."""
    summary = subject.summary
    return isinstance(summary, Fewshot) and summary.features in ("pixels", "untrained")


def _key(subject: ReportEntry, number: Number) -> Html:
    return element(
        "li",
        element("span", f"{number.title}{number.on and f' on {number.on}'}", class_="what"),
        element("span", number.value, class_="value"),
        element(
            "span",
            f"{number.interval} · " if number.interval else None,
            link(subject),
            class_="more",
        ),
    )


def results(given: Contents) -> Html:
    """All of it in one table."""
    rows = []
    for subject in given.subjects:
        numbers = list(section_of(subject).numbers(subject))[:4]
        numbers_in_words = separated((number.as_html() for number in numbers), " · ")
        rows.append(
            (
                link(subject),
                graph.kind_in_words(subject),
                numbers_in_words or subject.in_words,
                element("span", day(subject.finished), class_="date"),
                element("span", subject.id[:8], class_="mono"),
            )
        )
    return table(
        "Everything in this report, inputs before what was made from them; in brackets 95 % "
        "intervals",
        ("name", "what", "results", "finished", "id"),
        rows,
    )
