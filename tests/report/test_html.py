"""Markup: what comes from data is text."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from vitctl.report.html import Html, element, joined, name_of, text

ANY = st.text(st.characters(codec=None), max_size=60)


class Read(HTMLParser):
    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.tags, self.data, self.attributes = [], "", {}
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data):
        self.data += data


@given(ANY)
def test_any_text_is_only_text(value):
    read = Read(element("p", value, title=value))
    assert read.tags == ["p"]
    assert set(read.attributes) == {"title"}
    if value.isascii() and value.isprintable():
        assert read.data == value
        assert read.attributes["title"] == value
    written = element("p", value, title=value)
    written.encode()
    assert not any(ord(c) < 32 or ord(c) in range(0x202A, 0x202F) for c in written)


def test_markup_stays_markup():
    assert element("p", element("b", "a"), " & ", None, [1, [Html("<i></i>")]]) == (
        "<p><b>a</b> &amp; 1<i></i></p>"
    )


def test_attributes():
    assert element("a", aria_label="x", class_="c", hidden=True, href=None, open=False) == (
        '<a aria-label="x" class="c" hidden></a>'
    )


def test_a_long_name_is_cut_in_its_middle_and_a_sentence_is_whole():
    assert name_of("a" * 200 + "z") == f"<bdi>{'a' * 80} … {'a' * 79}z</bdi>"
    assert text("a" * 200) == "a" * 200


def test_names_are_isolated():
    assert joined(name_of("שלום"), "x") == "<bdi>שלום</bdi>x"
