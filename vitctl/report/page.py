"""The page: summary, a section for each kind, lineage, commands, versions."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vitctl import quantities
from vitctl.artifacts import Artifact, Run, Store
from vitctl.artifacts.kinds.fewshot import Fewshot
from vitctl.artifacts.references import Entry
from vitctl.errors import DoesNotFitError
from vitctl.report import commands, graph
from vitctl.report.html import (
    Content,
    Html,
    details,
    element,
    facts,
    joined,
    name_of,
    separated,
    table,
    text,
)
from vitctl.report.pictures import Album
from vitctl.report.privacy import Redaction
from vitctl.report.sections import SECTIONS, UNKNOWN, section_of
from vitctl.report.sections.section import Context, Number, SectionBody, link
from vitctl.report.subjects import Contents, ReportEntry, contents
from vitctl.version import __version__

MOST_BYTES = 24 * 2**20
"""Of a page: what mail servers and browsers on phones still take."""
GENERATOR = "vitctl report"
"""By which a page is known to be one of ours."""
_MOST_SETTINGS = 400
_MOST_KEYS = 8
_MOST_NAMES = 3
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Page:
    """What was written, and what could not be: sentences, which stand on the page as well."""

    content: bytes
    subjects: tuple[ReportEntry, ...]
    problems: tuple[str, ...]


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
    sections = _sections(context)
    lineage = element(
        "section",
        element("h2", "Lineage", id="lineage"),
        element("p", _about_lineage(given), class_="note"),
        graph.lineage(given),
    )
    reproduce = _reproduce(context)
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
    heading = title or _title(given)
    anchors = [(anchor, name) for anchor, name, _ in sections]
    body = element(
        "body",
        element("a", "Skip to the results", href="#results", class_="skip"),
        element(
            "header",
            element("h1", heading),
            element("p", _lead(given), class_="lead"),
            _problems(problems),
            _keys(given),
        ),
        element(
            "nav",
            element(
                "ul",
                [
                    element("li", element("a", name, href=f"#{anchor}"))
                    for anchor, name in [
                        ("results", "All results"),
                        *anchors,
                        ("lineage", "Lineage"),
                        ("reproduce", "Commands"),
                        ("versions", "Versions"),
                    ]
                ],
            ),
            aria_label="Sections",
        ),
        element(
            "main",
            element("section", element("h2", "All results", id="results"), _overview(given)),
            [section for *_, section in sections],
            lineage,
            reproduce,
            _versions(given),
        ),
        element(
            "footer",
            f"Written by vitctl {__version__}. It loads nothing from a network. Charts: drag "
            "across one to zoom, double-click for all of it; keyboard: arrows, + and -, Escape.",
        ),
        element("script", Html(_file("page.js"))),
    )
    content = _document(heading, body)
    if len(content) > MOST_BYTES:
        raise DoesNotFitError(
            f"the page would have {quantities.show_bytes(len(content))}, more than "
            f"{quantities.show_bytes(MOST_BYTES)}",
            hint="name fewer artifacts, or leave their ancestors out with --no-parents",
        )
    return Page(content, given.subjects, tuple(problems))


def _document(title: str, body: Html) -> bytes:
    style, script = _file("page.css"), _file("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{policy}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="generator", content=f"{GENERATOR} {__version__}"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(style)),
    )
    page = element("html", head, body, lang="en")
    return f"<!doctype html>\n{page}\n".encode()


def _file(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


# The head of the page


def _title(given: Contents) -> str:
    """Names of results that nothing else in the report was made from: what it is about. Of many
    their number."""
    inputs = {one.id for subject in given.subjects for _, one in given.reported_inputs(subject)}
    named = [subject.label for subject in given.subjects if subject.id not in inputs]
    if 0 < len(named) <= _MOST_NAMES:
        return ", ".join(named)
    return f"Report of {len(given.subjects):,} results"


def _lead(given: Contents) -> str:
    """How much of what, and when the last of it was finished."""
    counts: dict[str, int] = {}
    for subject in given.subjects:
        noun = "run" if isinstance(subject.entry, Run) else subject.noun
        counts[noun] = counts.get(noun, 0) + 1
    what = ", ".join(f"{number} {_plural(noun, number)}" for noun, number in counts.items())
    finished = max((_finished(subject) or "" for subject in given.subjects), default="")
    day = f"; the last was finished on {_day(finished)}" if finished else ""
    ancestors = sum(not subject.named for subject in given.subjects)
    verb = "is an input" if ancestors == 1 else "are inputs"
    inputs_note = f" {ancestors} of them {verb} of what was asked for." if ancestors else ""
    return f"{what}{day}.{inputs_note}"


def _about_lineage(given: Contents) -> str:
    named = sum(subject.named for subject in given.subjects)
    framed = " Frames in colour were asked for." if named < len(given.subjects) else ""
    return f"What was made from what; what follows from other arrows has none of its own.{framed}"


def _plural(noun: str, number: int) -> str:
    if number == 1:
        return noun
    first, _, rest = noun.partition(" of ")
    return f"{first}s of {rest}" if rest else f"{noun}{'es' if noun.endswith('ch') else 's'}"


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


def _keys(given: Contents) -> Html | None:
    """The first number of each measurement, large: of those asked for before the others."""
    kinds = ("evaluation", "fewshot", "vtab", "scaling-fit", "checkpoint")
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


def _overview(given: Contents) -> Html:
    rows = []
    for subject in given.subjects:
        numbers = list(section_of(subject).numbers(subject))[:4]
        results = separated((number.as_html() for number in numbers), " · ")
        rows.append(
            (
                link(subject),
                graph.kind_in_words(subject),
                results or subject.in_words,
                element("span", _day(_finished(subject) or ""), class_="date"),
                element("span", subject.id[:8], class_="mono"),
            )
        )
    return table(
        "Everything in this report, inputs before what was made from them; in brackets 95 % "
        "intervals",
        ("name", "what", "results", "finished", "id"),
        rows,
    )


# Sections


def _sections(context: Context) -> list[tuple[str, str, Html]]:
    """(anchor, heading, section) of each kind that has subjects, in the order of the page."""
    sections = []
    reported: set[str] = set()
    for kind, section in SECTIONS.items():
        subjects = [s for s in context.contents.of_kind(kind) if section_of(s) is section]
        if subjects:
            part = section.part(subjects, context)
            sections.append(_section(kind, section.heading, part, context))
            reported |= {subject.id for subject, _ in part.articles}
    rest = [subject for subject in context.contents.subjects if subject.id not in reported]
    if rest:
        part = UNKNOWN.part(rest, context)
        sections.append(_section("others", UNKNOWN.heading, part, context))
    return sections


def _section(
    anchor: str, heading: str, part: SectionBody, context: Context
) -> tuple[str, str, Html]:
    return (
        anchor,
        heading,
        element(
            "section",
            element("h2", heading, id=anchor),
            part.overview,
            [_article(subject, content, context) for subject, content in part.articles],
        ),
    )


def _article(subject: ReportEntry, content: Content, context: Context) -> Html:
    if content is None and not subject.problems:
        what = joined(name_of(subject.label), ": settings and record")
        record = element("details", element("summary", what), _record(subject, context))
        return element("div", record, id=subject.anchor)
    return element(
        "article",
        element("h3", name_of(subject.label)),
        [
            element("p", context.redaction(f"Damaged: {problem}"), class_="note")
            for problem in subject.problems[:3]
        ],
        content,
        details("Settings and record", _record(subject, context)),
        id=subject.anchor,
    )


def _record(subject: ReportEntry, context: Context) -> Content:
    """What identifies it, and every setting that decided it."""
    artifact = subject.artifact
    made = None if artifact is None else artifact.manifest.provenance
    files = () if artifact is None else artifact.manifest.files
    rows = [
        (element("code", context.redaction(key)), element("code", context.redaction(value)))
        for key, value in _flat(subject.config)
    ]
    more = f", {_MOST_SETTINGS} of {len(rows):,}" if len(rows) > _MOST_SETTINGS else ""
    return [
        facts(
            [
                ("id", element("span", subject.id, class_="mono")),
                ("digest", None if artifact is None
                 else element("span", artifact.digest, class_="mono")),
                ("made by", f"{subject.stage}, version {subject.record.version}"),
                ("finished", made and made.finished),
                ("it took", made and _took(made.started, made.finished)),
                ("starts", str(len(subject.entry.info.segments)) if isinstance(subject.entry, Run)
                 else None),
                ("files", f"{len(files):,}, {quantities.show_bytes(sum(f.size for f in files))}"
                 if files else None),
            ]
        ),
        table(f"Settings{more}", ("setting", "value"), rows[:_MOST_SETTINGS]) if rows else None,
    ]  # fmt: skip


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Settings by their dotted keys; long lists cut."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            shown = "none" if value is None else str(value)
            yield f"{prefix}{key}", f"{shown[:150]} …" if len(shown) > 160 else shown


# The end of the page


def _reproduce(context: Context) -> Html:
    given = commands.script(context.contents, redaction=context.redaction)
    shown = "\n".join(given.lines)
    meanings = [(element("code", name), what) for name, what in given.placeholders.items()]
    unknown, on_the_way = (
        separated(link(subject) for subject in some) for some in (given.unknown, given.on_the_way)
    )
    return element(
        "section",
        element("h2", "Commands", id="reproduce"),
        element(
            "p",
            "In this order, in one store, they make everything again; what is finished already is "
            "returned. Inputs go by the names that earlier lines gave.",
        ),
        element("pre", element("code", lines_of(shown)), tabindex="0") if shown else None,
        [
            element("p", "Words in capitals stand for what only their owner has:"),
            facts(meanings),
        ]
        if meanings
        else None,
        element("p", "Not made by a command line that is recorded: ", unknown, class_="note")
        if unknown
        else None,
        element("p", "Made on the way: ", on_the_way, class_="note") if on_the_way else None,
        element(
            "p",
            "The settings that each command came to, those of files too, are under “Settings and "
            "record” of its result.",
            class_="note",
        ),
    )


def lines_of(lines: str) -> Html:
    """Lines as they are, each escaped."""
    return Html("\n".join(text(line) for line in lines.split("\n")))


def _versions(given: Contents) -> Html:
    """Of the packages that can change numbers, with the results that each version made."""
    made: dict[str, dict[str, list[ReportEntry]]] = {}
    for subject in given.subjects:
        if subject.artifact is None:
            continue
        provenance = subject.artifact.manifest.provenance
        versions = {**provenance.versions, "commit of vitctl": provenance.git_commit or "a package"}
        for package, version in versions.items():
            made.setdefault(package, {}).setdefault(version, []).append(subject)
    rows = []
    for package, by_version in made.items():
        for version, subjects in by_version.items():
            of = "all" if len(by_version) == 1 else _some(subjects)
            rows.append((package, element("span", version, class_="mono"), of))
    return element(
        "section",
        element("h2", "Versions", id="versions"),
        table("What the results were made with", ("package", "version", "results"), rows),
    )


def _some(subjects: Sequence[ReportEntry]) -> Content:
    shown = separated(link(subject) for subject in subjects[:6])
    return [shown, f" and {len(subjects) - 6} more" if len(subjects) > 6 else None]


# Times, and what must not be on the page


def _finished(subject: ReportEntry) -> str | None:
    return None if subject.artifact is None else subject.artifact.manifest.provenance.finished


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None


def _day(written: str) -> str:
    time = _time(written)
    if time is None:
        return ""
    return (time.astimezone(UTC) if time.tzinfo else time).date().isoformat()


def _took(started: str, finished: str) -> str | None:
    begin, end = _time(started), _time(finished)
    if begin is None or end is None or (begin.tzinfo is None) != (end.tzinfo is None):
        return None
    return quantities.duration((end - begin).total_seconds())


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
