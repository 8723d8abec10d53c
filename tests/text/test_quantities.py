"""Quantities as people write and read them."""

from __future__ import annotations

import pytest

from vitctl.text.quantities import counted, plural, show_bytes, shown_digits


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (3 * 2**29, "1.5 GiB"), (2**62, "4.1e+03 PiB")],
)
def test_bytes(bytes_, shown):
    assert show_bytes(bytes_) == shown


def test_one_has_no_plural():
    assert [plural(count, "run") for count in (0, 1, 2, 1000)] == [
        "0 runs", "1 run", "2 runs", "1000 runs",
    ]  # fmt: skip
    assert [plural(count, "class", grouped=True) for count in (1, 1000)] == [
        "1 class", "1,000 classes",
    ]  # fmt: skip
    assert [counted(count, "image") for count in (1, 2000)] == ["1 image", "2,000 images"]
    assert [counted(count, "file was", "files were") for count in (0, 1, 2000)] == [
        "0 files were", "1 file was", "2,000 files were",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.66667, "0.6667"), (3.0, "3"), (12.345678, "12.35"), (999.9, "999.9"), (11851.9, "11,852")],
)
def test_a_large_number_of_digits_has_no_power_of_ten(value, text):
    assert shown_digits(value, least=4) == text
