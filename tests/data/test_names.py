from __future__ import annotations

import os
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from vitctl.data.names import bytes_of, text_of


@given(st.binary(max_size=12))
def test_any_path_becomes_clean_text(path):
    text = text_of(path)
    text.encode()  # valid Unicode
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}


# Bytes chosen to collide if anything can: a raw byte, its escape, its character in UTF-8.
parts = st.lists(
    st.sampled_from([b"\x85", b"\xc2\x85", b"\\x85", b"\\u0085", b"\\", b"\n", b"\\x0a", b"a"]),
    max_size=5,
).map(b"".join)


@given(parts, parts)
def test_different_paths_stay_different(one, other):
    assert (text_of(one) == text_of(other)) == (one == other)


@given(
    st.one_of(
        st.binary(max_size=12),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=6).map(str.encode),
        parts,
    )
)
def test_the_text_gives_the_path_again(path):
    assert bytes_of(text_of(path)) == path


def test_readable_names_stay_as_they_are():
    assert (
        text_of(os.fsencode("Kätzchen im Schnee/日本 01.jpg")) == "Kätzchen im Schnee/日本 01.jpg"
    )
    assert text_of(b"a\nb") == "a\\x0ab"
