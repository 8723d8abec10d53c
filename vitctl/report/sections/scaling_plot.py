"""Drawn figures of a scaling study: those of the artifact, as pictures."""

from __future__ import annotations

from collections.abc import Sequence

from vitctl.artifacts.kinds.plots import Plots
from vitctl.errors import VitctlError
from vitctl.report.html import Content, Html, element, joined
from vitctl.report.pictures import sheet_of
from vitctl.report.sections.section import Context, Number, Section, SectionBody, count
from vitctl.report.subjects import ReportEntry


def _numbers(subject: ReportEntry) -> list[Number]:
    one = subject.summary
    if not isinstance(one, Plots):
        return []
    return [Number("figures", count(len({drawn.figure for drawn in one.figures})))]


def _part(subjects: Sequence[ReportEntry], context: Context) -> SectionBody:
    return SectionBody(None, [(subject, _article(subject, context)) for subject in subjects])


def _article(subject: ReportEntry, context: Context) -> Content:
    artifact, one = subject.artifact, subject.summary
    if artifact is None or not isinstance(one, Plots):
        return None
    pictures: list[Html] = []
    for figure in dict.fromkeys(drawn.figure for drawn in one.figures):
        files = {d.theme: d.file for d in one.figures if d.figure == figure and d.format == "png"}
        try:
            themes = {
                theme: uri
                for theme, file in files.items()
                if (uri := sheet_of(artifact, file, context.album, lossless=True)) is not None
            }
        except VitctlError as error:
            pictures.append(context.problem(subject, f"{figure}: {error.message}"))
            continue
        if themes:
            pictures.append(_picture(figure, themes))
    if not pictures:
        return element(
            "p", "Its figures are not PNG files, or the page has no room.", class_="note"
        )
    return element("div", pictures, class_="charts")


def _picture(figure: str, themes: dict[str, str]) -> Html:
    """The figure for light and dark screens, if it was drawn for both."""
    light = themes.get("light") or next(iter(themes.values()))
    dark = themes.get("dark")
    source = (
        Html(f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">') if dark else None
    )
    title = figure.replace("-", " ")
    image = element("img", src=light, alt=f"figure: {title}", class_="sheet", loading="lazy")
    return element(
        "figure", element("figcaption", title), element("picture", joined(source, image))
    )


SECTION = Section("Figures of scaling", _numbers, _part)
