"""Quantities as people write and read them."""

from __future__ import annotations

import pytest

from vitctl.text.quantities import (
    counted,
    duration,
    flops,
    plural,
    rate,
    show_bytes,
    show_count,
    shown_digits,
)


@pytest.mark.parametrize(
    ("bytes_", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1000 * 1024, "1,000 KiB"),
        (2**20 - 1, "1,024 KiB"),
        (-(2**20), "-1 MiB"),
        (3 * 2**29, "1.5 GiB"),
        (2**62, "4 EiB"),
    ],
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


def test_exploding_losses_keep_their_power_of_ten():
    shown = [shown_digits(value, least=4) for value in (-11851.9, 1e30, float("inf"), float("nan"))]
    assert shown == ["-11,852", "1e+30", "inf", "nan"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 s"),
        (59.6, "1 min 00 s"),
        (86_400 * 99.5, "99 d 12 h"),
        (1e18, "11,574,074,074,074 d"),
        (float("inf"), "unknown"),
        (float("nan"), "unknown"),
    ],
)
def test_durations_of_any_size(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize("show", [show_bytes, flops, rate, show_count])
def test_no_number_of_any_size_has_a_power_of_ten(show):
    """Each power of ten up to a trillion, of two and their neighbours."""
    around = {base**n + more for base in (2, 10) for n in range(40) for more in (-1, 0, 1)}
    for value in sorted(one for one in around if 0 < one < 10**12):
        assert "e+" not in show(value), value
