"""The section of a page on one kind of artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from vitctl.artifacts.catalog import tail_of
from vitctl.report.html import Content, Html, element, name_of
from vitctl.report.pictures import Album
from vitctl.report.privacy import Redaction
from vitctl.report.subjects import Contents, ReportEntry
from vitctl.summaries import Interval, WeightsName

NO_BREAK = "\u00a0"


@dataclass(frozen=True)
class Number:
    """A result: what it is, its value, how sure it is, and what it was measured on."""

    title: str
    value: str
    interval: str = ""
    on: str = ""

    def as_html(self) -> Html:
        return element(
            "span",
            element("span", self.title, class_="tag"),
            " ",
            self.value,
            _in_brackets(self),
            class_="num",
        )

    def as_cell(self) -> Html:
        """Without its title."""
        return element("span", self.value, _in_brackets(self))


@dataclass
class Context:
    """The whole report while a section is written. Sections add to `problems` what they could not
    read, as sentences."""

    contents: Contents
    redaction: Redaction
    album: Album
    problems: list[str] = field(default_factory=list)

    def problem(self, subject: ReportEntry, error: str) -> Html:
        """A sentence on a part that cannot be shown; it is also among the problems of the page."""
        sentence = self.redaction(error)
        self.problems.append(f"{subject.label}: {sentence}")
        return element("p", sentence, class_="note")


Article = tuple[ReportEntry, Content]


@dataclass(frozen=True)
class SectionBody:
    """The content of a section: what concerns all its subjects, then an article for each."""

    overview: Content
    articles: Sequence[Article] = ()


@dataclass(frozen=True)
class Section:
    """Of one kind.

    heading   of the part of the page
    numbers   the results of one subject, the first being the one to quote
    part      tables, charts and pictures of all subjects of the kind
    """

    heading: str
    numbers: Callable[[ReportEntry], Iterable[Number]]
    part: Callable[[Sequence[ReportEntry], Context], SectionBody]


def share(value: float, *, digits: int = 1) -> str:
    """0.953 -> 95.3 %."""
    return f"{100 * value:.{digits}f}{NO_BREAK}%"


def share_with(title: str, value: float, interval: Interval | None, *, on: str = "") -> Number:
    """A share in percent with its interval."""
    return Number(title, share(value), bounds(interval, percent=True), on)


def bounds(interval: tuple[float | None, float | None] | None, *, percent: bool = False) -> str:
    """ "0.4 to 0.6", "none" where there is no end; empty without an interval."""
    if interval is None:
        return ""
    low, high = (
        "none" if end is None else f"{100 * end:.1f}" if percent else f"{end:.3g}"
        for end in interval
    )
    return f"{low} to {high}"


def dataset_name(folder: str) -> str:
    """The name of a dataset as results record it, without the part of its id."""
    tail = tail_of(folder)
    return folder if tail is None else folder.removesuffix(f"-{tail}")


def weights_of(model: str, step: int | None, weights: WeightsName | None) -> str:
    """Which weights a result is of; the model alone where it is of no checkpoint."""
    at = "" if step is None else f" at step {step:,}"
    return f"{model}{at}{', averaged' if weights == 'ema' else ''}"


def link(subject: ReportEntry) -> Html:
    """Its name, leading to its place in the page."""
    return element("a", name_of(subject.label), href=f"#{subject.anchor}")


def count(value: int) -> str:
    return f"{value:,}"


def sheet(uri: str | None, description: str) -> Html | None:
    """A picture of many images."""
    if uri is None:
        return None
    return element("img", src=uri, alt=description, class_="sheet", loading="lazy")


def _in_brackets(number: Number) -> Html | None:
    if not number.interval:
        return None
    return element("span", f" ({number.interval})", class_="ci")
