"""What is on the page: summary, a section for each kind, lineage, commands, versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vitctl.artifacts import Artifact, Store
from vitctl.artifacts.references import Entry
from vitctl.errors import DoesNotFitError
from vitctl.report import graph, origins, overview
from vitctl.report.document import document
from vitctl.report.html import Content, Html, details, element, joined, name_of
from vitctl.report.pictures import Album
from vitctl.report.privacy import Redaction
from vitctl.report.sections import SECTIONS, UNKNOWN, section_of
from vitctl.report.sections.section import Context, SectionBody
from vitctl.report.subjects import Contents, ReportEntry, contents
from vitctl.text import quantities
from vitctl.version import __version__

MOST_BYTES = 24 * 2**20
"""Of a page: what mail servers and browsers on phones still take."""


@dataclass(frozen=True)
class Page:
    """What was written, and what could not be: sentences, which stand on the page as well."""

    content: bytes
    subjects: tuple[ReportEntry, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class PagePart:
    """What has a heading, and a place that the page's list of parts leads to."""

    anchor: str
    heading: str
    content: Content

    def as_html(self) -> Html:
        return element("section", element("h2", self.heading, id=self.anchor), self.content)


def page(
    named: Iterable[tuple[Entry, int | None]],
    *,
    store: Store,
    parents: bool = True,
    title: str | None = None,
) -> Page:
    """The page of what is named, and with `parents` of what that was made from. The same artifacts
    make the same bytes.

    Raises:
      UsageError: more artifacts than a report has.
      DoesNotFitError: the page would be larger than `MOST_BYTES`.
    """
    given = contents(named, store=store, parents=parents)
    redaction = Redaction(hosts=_hosts(given.subjects), roots=_roots(given.subjects, store))
    context = Context(given, redaction, Album())
    about_lineage = element("p", _about_lineage(given), class_="note")
    parts = [
        PagePart("results", "All results", overview.results(given)),
        *_sections(context),
        PagePart("lineage", "Lineage", [about_lineage, graph.lineage(given)]),
        PagePart("reproduce", "Commands", origins.script(context)),
        PagePart("versions", "Versions", origins.versions(given)),
    ]
    problems = [
        *(redaction(problem) for problem in given.problems),
        *(
            redaction(f"{subject.label} is damaged: {problem}")
            for subject in given.subjects
            for problem in subject.problems[:3]
        ),
        *context.problems,
    ]
    if context.album.left_out:
        problems.append(
            f"the page has no room for {context.album.left_out:,} more pictures; a report of fewer "
            "artifacts shows them"
        )
    heading = title or overview.title(given)
    body = [
        element("a", "Skip to the results", href="#results", class_="skip"),
        element(
            "header",
            element("h1", heading),
            element("p", overview.lead(given), class_="lead"),
            _problems(problems),
            overview.keys(given),
        ),
        element(
            "nav",
            element(
                "ul",
                [
                    element("li", element("a", part.heading, href=f"#{part.anchor}"))
                    for part in parts
                ],
            ),
            aria_label="Sections",
        ),
        element("main", [part.as_html() for part in parts]),
        element(
            "footer",
            f"Written by vitctl {__version__}. It loads nothing from a network. Charts: drag "
            "across one to zoom, double-click for all of it; keyboard: arrows, + and -, Escape.",
        ),
    ]
    content = document(heading, body)
    if len(content) > MOST_BYTES:
        raise DoesNotFitError(
            f"the page would have {quantities.show_bytes(len(content))}, more than "
            f"{quantities.show_bytes(MOST_BYTES)}",
            hint="name fewer artifacts, or leave their ancestors out with --no-parents",
        )
    return Page(content, given.subjects, tuple(problems))


# The head of the page


def _about_lineage(given: Contents) -> str:
    named = sum(subject.named for subject in given.subjects)
    framed = " Frames in colour were asked for." if named < len(given.subjects) else ""
    return f"What was made from what; what follows from other arrows has none of its own.{framed}"


def _problems(problems: Sequence[str]) -> Html | None:
    if not problems:
        return None
    shown = problems[:20]
    rest = [f"and {len(problems) - 20:,} more"] if len(problems) > 20 else []
    return element(
        "div",
        element("p", "Not all of it could be reported:"),
        element("ul", [element("li", problem) for problem in [*shown, *rest]]),
        class_="problems",
        role="note",
    )


# Sections


def _sections(context: Context) -> Iterator[PagePart]:
    """Of each kind that has subjects, in the order of the page."""
    reported: set[str] = set()
    for kind, section in SECTIONS.items():
        subjects = [s for s in context.contents.of_kind(kind) if section_of(s) is section]
        if subjects:
            body = section.part(subjects, context)
            yield _of_kind(kind, section.heading, body, context)
            reported |= {subject.id for subject, _ in body.articles}
    rest = [subject for subject in context.contents.subjects if subject.id not in reported]
    if rest:
        yield _of_kind("others", UNKNOWN.heading, UNKNOWN.part(rest, context), context)


def _of_kind(anchor: str, heading: str, body: SectionBody, context: Context) -> PagePart:
    articles = [_article(subject, content, context) for subject, content in body.articles]
    return PagePart(anchor, heading, [body.overview, articles])


def _article(subject: ReportEntry, content: Content, context: Context) -> Html:
    if content is None and not subject.problems:
        what = joined(name_of(subject.label), ": settings and record")
        record = element("details", element("summary", what), origins.record(subject, context))
        return element("div", record, id=subject.anchor)
    return element(
        "article",
        element("h3", name_of(subject.label)),
        [
            element("p", context.redaction(f"Damaged: {problem}"), class_="note")
            for problem in subject.problems[:3]
        ],
        content,
        details("Settings and record", origins.record(subject, context)),
        id=subject.anchor,
    )


# What must not be on the page


def _hosts(subjects: Iterable[ReportEntry]) -> Iterable[str]:
    for subject in subjects:
        artifacts: list[Artifact] = list(subject.checkpoints.values())
        if subject.artifact is not None:
            artifacts.append(subject.artifact)
        for artifact in artifacts:
            yield artifact.manifest.provenance.host


def _roots(subjects: Iterable[ReportEntry], store: Store) -> Iterable[str]:
    """Places whose paths may hold blanks, which no pattern of paths knows."""
    yield str(store.root.absolute())
    for subject in subjects:
        yield str(subject.entry.path.absolute())
        for parent in subject.parents:
            if parent.path is not None and "/" in parent.path:
                yield parent.path
