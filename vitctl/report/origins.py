"""How results came about: settings, the commands that make them again, versions of packages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vitctl.artifacts import Run
from vitctl.report import commands
from vitctl.report.html import Content, Html, element, facts, separated, table, text
from vitctl.report.sections.section import Context, link
from vitctl.report.subjects import Contents, ReportEntry
from vitctl.report.times import took
from vitctl.text import quantities

_MOST_SETTINGS = 400


def record(subject: ReportEntry, context: Context) -> Content:
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
                ("it took", made and took(made.started, made.finished)),
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


def script(context: Context) -> Content:
    """The commands that make all of it again, and what they leave open."""
    given = commands.script(context.contents, redaction=context.redaction)
    shown = "\n".join(given.lines)
    meanings = [(element("code", name), what) for name, what in given.placeholders.items()]
    unknown, on_the_way = (
        separated(link(subject) for subject in some) for some in (given.unknown, given.on_the_way)
    )
    return [
        element(
            "p",
            "In this order, in one store, they make everything again; what is finished already is "
            "returned. Inputs go by the names that earlier lines gave.",
        ),
        element("pre", element("code", _lines_of(shown)), tabindex="0") if shown else None,
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
    ]


def _lines_of(lines: str) -> Html:
    """Lines as they are, each escaped."""
    return Html("\n".join(text(line) for line in lines.split("\n")))


def versions(given: Contents) -> Html:
    """Of the packages that can change numbers, with the results that each version made."""
    made: dict[str, dict[str, list[ReportEntry]]] = {}
    for subject in given.subjects:
        if subject.artifact is None:
            continue
        provenance = subject.artifact.manifest.provenance
        every = {**provenance.versions, "commit of vitctl": provenance.git_commit or "a package"}
        for package, version in every.items():
            made.setdefault(package, {}).setdefault(version, []).append(subject)
    rows = []
    for package, by_version in made.items():
        for version, subjects in by_version.items():
            of = "all" if len(by_version) == 1 else _some(subjects)
            rows.append((package, element("span", version, class_="mono"), of))
    return table("What the results were made with", ("package", "version", "results"), rows)


def _some(subjects: Sequence[ReportEntry]) -> Content:
    shown = separated(link(subject) for subject in subjects[:6])
    return [shown, f" and {len(subjects) - 6} more" if len(subjects) > 6 else None]
