"""Markup as text. What comes from data is escaped where it enters, and it enters only here."""

from __future__ import annotations

import html
from collections.abc import Iterable

from vitctl.printable import visible

_VOID = frozenset({"br", "img", "meta"})
_LONGEST = 160
"""Characters of a name from data that are shown."""


class Html(str):
    """Markup that is shown as it is."""

    __slots__ = ()


Content = str | int | float | None | Iterable["Content"]
"""Markup, text that is escaped, and any nesting of such."""


def text(value: object) -> Html:
    """Text as markup: escaped, control and direction characters written out."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(visible(value), quote=True))


def shortened(plain: str) -> str:
    """Control and direction characters written out, a long text cut in its middle; not escaped."""
    if len(plain) > _LONGEST:
        half = _LONGEST // 2
        plain = f"{plain[:half]} … {plain[-half:]}"
    return visible(plain)


def joined(*content: Content) -> Html:
    """Markup of all of it, one after the other."""
    return Html("".join(_each(content)))


def separated(items: Iterable[Content], between: str = ", ") -> list[Content]:
    """All of them, with `between` between two."""
    return [part for item in items for part in (between, item)][1:]


def element(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Html:
    """`<name attribute="...">content</name>`. Of attributes a trailing underscore is dropped,
    others are hyphens; None and False leave one out, True writes its name alone."""
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(*content)}</{name}>")


def name_of(value: object) -> Html:
    """A name from data, a long one cut in its middle: its direction of writing does not reach
    beyond it."""
    return element("bdi", shortened(str(value)))


def table(
    caption: Content,
    columns: Iterable[Content],
    rows: Iterable[Iterable[Content]],
    *,
    numbers: Iterable[int] = (),
    hidden_caption: bool = False,
) -> Html:
    """A table whose first column heads its rows; `numbers` are columns set flush right. A narrow
    screen scrolls it, and the keyboard too."""
    right = frozenset(numbers)

    def cell(column: int, content: Content) -> Html:
        align = "n" if column in right else None
        if column == 0:
            return element("th", content, scope="row", class_=align)
        return element("td", content, class_=align)

    head = element(
        "tr",
        [
            element("th", title, scope="col", class_="n" if number in right else None)
            for number, title in enumerate(columns)
        ],
    )
    body = [element("tr", [cell(*pair) for pair in enumerate(row)]) for row in rows]
    return element(
        "div",
        element(
            "table",
            element(
                "caption", element("span", caption), class_="hidden" if hidden_caption else None
            ),
            element("thead", head),
            element("tbody", body),
        ),
        class_="wide",
        tabindex="0",
    )


def facts(pairs: Iterable[tuple[Content, Content]]) -> Html:
    """Names and values, side by side; pairs without a value are left out."""
    return element(
        "dl",
        [
            element("div", element("dt", name), element("dd", value))
            for name, value in pairs
            if value not in (None, "")
        ],
    )


def details(summary: Content, *content: Content) -> Html:
    """What is unfolded by who wants it; no script needed."""
    return element("details", element("summary", summary), *content)


def _each(content: Iterable[Content]) -> Iterable[str]:
    for item in content:
        if item is None:
            continue
        if isinstance(item, str | int | float):
            yield text(item)
        else:
            yield from _each(item)


def _attribute(key: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    if name == "viewbox":
        name = "viewBox"
    elif name == "preserveaspectratio":
        name = "preserveAspectRatio"
    return f" {name}" if value is True else f' {name}="{_of_attribute(value)}"'


def _of_attribute(value: str | float) -> str:
    """Whole: data URIs and polylines are long."""
    return html.escape(visible(value) if isinstance(value, str) else f"{value:g}", quote=True)
