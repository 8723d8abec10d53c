"""Datasets: counts, some of their images, what a search for duplicates left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vitctl.artifacts.documents import read_part
from vitctl.artifacts.kinds.dataset import Dataset as ImagesSummary
from vitctl.duplicates.report import NAME, DedupReport
from vitctl.errors import VitctlError
from vitctl.report.charts import Chart, Trace, draw
from vitctl.report.html import (
    Content,
    Html,
    details,
    element,
    facts,
    name_of,
    separated,
    shortened,
    table,
)
from vitctl.report.pictures import Counted, Tile, sheet_of, tiles
from vitctl.report.sections.section import (
    Context,
    Number,
    Section,
    SectionBody,
    count,
    link,
    sheet,
)
from vitctl.report.subjects import ReportEntry
from vitctl.text.quantities import show_bytes

_MOST_CLASSES = 200
_PAIRS = "pairs.png"


def _numbers(subject: ReportEntry) -> Iterator[Number]:
    summary = subject.summary
    if isinstance(summary, ImagesSummary):
        yield Number("images", count(sum(summary.examples.values())))
        yield Number("classes", count(summary.classes) if summary.classes else "no labels")
        if summary.left_out:
            yield Number("duplicates left out", count(sum(summary.left_out.values())))


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    summaries = [(s, s.summary) for s in subjects if isinstance(s.summary, ImagesSummary)]
    splits = list(dict.fromkeys(split for _, summary in summaries for split in summary.examples))
    rows = [
        (
            link(subject),
            subject.stage,
            count(summary.classes),
            *(count(summary.examples[s]) if s in summary.examples else "" for s in splits),
            show_bytes(summary.bytes) if summary.bytes else "elsewhere",
            count(summary.rejected),
        )
        for subject, summary in summaries
    ]
    overview = table(
        "Images of each split",
        ("dataset", "made by", "classes", *splits, "stored", "bad images left out"),
        rows,
        numbers=range(2, 5 + len(splits)),
    )
    return SectionBody(overview, [(subject, _article(subject, context)) for subject in subjects])


def _article(subject: ReportEntry, context: Context) -> Content:
    artifact = subject.artifact
    if artifact is None:
        return None
    pictures: Content
    try:
        shown, counted = tiles(artifact, context.album)
        pictures = [_facts_of(counted), _gallery(subject, shown, counted)]
    except VitctlError as error:
        pictures = context.problem(subject, f"its images cannot be shown: {error.message}")
    summary = subject.summary
    notes: Content = None
    if isinstance(summary, ImagesSummary):
        notes = facts(
            [
                (
                    "stored as PNG, as other readers would see other pixels",
                    _tally(summary.converted),
                ),
                ("changed on request", _tally(summary.treatments)),
                ("kept, though other readers see other pixels", _tally(summary.differ)),
                ("skipped files", _tally(summary.skipped)),
                ("selected of", _tally(summary.selected_from)),
                ("left out as duplicates", _tally(summary.left_out)),
            ]
        )
    return [pictures, notes, _classes(subject), _duplicates(subject, context)]


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())


def _facts_of(counted: Counted) -> Html | None:
    """How evenly the classes are filled."""
    if counted.of_class is None or not len(counted.of_class):
        return None
    sizes = counted.of_class
    return facts(
        [
            (
                f"images a class ({counted.split})",
                f"{sizes.min():,} to {sizes.max():,}, median {np.median(sizes):,.0f}",
            ),
            (
                "classes without an image there",
                count(int((sizes == 0).sum())) if 0 in sizes else None,
            ),
        ]
    )


def _gallery(subject: ReportEntry, shown: Sequence[Tile], counted: Counted) -> Content:
    if not shown:
        return None

    def tile(number: int, one: Tile) -> Html:
        names = ", ".join(one.classes) or "no label"
        picture = (
            element(
                "img",
                src=one.uri,
                alt=f"an image of class {shortened(names)}",
                width="80",
                height="80",
                class_="small" if one.is_small else None,
                loading="lazy",
            )
            if one.uri is not None
            else element("span", "not shown")
        )
        return element("li", picture, name_of(names))

    missing = sum(one.uri is None for one in shown)
    note = f"{len(shown)} of {counted.images:,} images of split {counted.split}"
    if missing:
        note += f"; {missing} cannot be decoded here, or the page has no room for them"
    return [
        element("ul", [tile(*pair) for pair in enumerate(shown)], class_="gallery"),
        element("p", note, class_="note"),
    ]


def _classes(subject: ReportEntry) -> Content:
    """Their names, as far as a page can list them."""
    from vitctl.data.dataset import Dataset

    if subject.artifact is None:
        return None
    try:
        info = Dataset.load(subject.artifact.path).info
    except VitctlError:  # told above, where its images are read
        return None
    names = info.class_titles or info.classes
    if not names:
        return None
    listed = separated(name_of(name) for name in names[:_MOST_CLASSES])
    rest = len(names) - _MOST_CLASSES
    more = f" and {rest:,} more" if rest > 0 else ""
    return details(f"Names of its {len(names):,} classes", element("p", listed, more))


def _duplicates(subject: ReportEntry, context: Context) -> Content:
    """What `vitctl dedup` wrote beside the dataset that is left."""
    artifact = subject.artifact
    if artifact is None or not any(entry.path == NAME for entry in artifact.manifest.files):
        return None
    try:
        report = read_part(artifact.path / NAME, DedupReport)
        picture = sheet_of(artifact, _PAIRS, context.album)
    except VitctlError as error:
        return context.problem(subject, f"the search for duplicates: {error.message}")
    against = report.against or ()
    rows = [
        (name_of(split.name), split.split, count(split.images), count(split.matches or 0))
        for split in against
    ]
    curve = draw(
        Chart(
            "Images that match, by how different two may be",
            "bits of the hash that may differ",
            "images",
            (
                Trace(
                    subject.label,
                    np.array([float(one.distance) for one in report.images_within]),
                    np.array([float(one.images) for one in report.images_within]),
                    marks=True,
                ),
            ),
        )
    )
    looked = "the same bytes or pixels" if report.distance is None else (
        f"the same bytes or pixels, or hashes that differ in {report.distance} bits or fewer"
    )  # fmt: skip
    compared = "each other" if report.against is None else "the datasets below"
    return [
        element("h4", "Search for duplicates"),
        element(
            "p",
            f"Split {report.dataset.split} of ",
            name_of(report.dataset.name),
            f" ({report.dataset.images:,} images) was compared with {compared}; images with "
            f"{looked} were left out: {_tally(report.left_out) or 'none'}.",
        ),
        table("Compared with", ("dataset", "split", "images", "matches"), rows, numbers=(2, 3))
        if rows
        else None,
        element("div", curve, class_="charts") if len(report.images_within) > 1 else None,
        details(
            "Pairs side by side, the least alike first",
            sheet(picture, "pairs of images that match, side by side, with their file names"),
        )
        if picture
        else None,
    ]


SECTION = Section("Data", _numbers, _part)
