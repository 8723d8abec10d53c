"""A budget means what its unit says."""

from __future__ import annotations

import pytest

from vitctl.advice.budget import parse_budget, parse_error
from vitctl.errors import UsageError


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("200h", 200, "hours"),
        ("90min", 1.5, "hours"),
        ("3 d", 72, "hours"),
        ("2 weeks", 336, "hours"),
        ("3200 device-hours", 3200, "device-hours"),
        ("12gpu-hours", 12, "device-hours"),
        ("2 gpu days", 48, "device-hours"),
        ("16 chip-hours", 16, "chip-hours"),
        ("30 core-days", 30, "core-days"),
        ("48 TPUv3-core-days", 48, "core-days"),
        ("48 core-hours", 2, "core-days"),
        ("1e21 FLOPs", 1e21, "flops"),
        ("10 EFLOPs", 1e19, "flops"),
        ("2B images", 2e9, "images"),
        ("1_000_000 images", 1e6, "images"),
        ("$500", 500, "money"),
        ("€1.5k", 1500, "money"),
        ("500 usd", 500, "money"),
    ],
)
def test_units(text, amount, unit):
    budget = parse_budget(text)
    assert (budget.amount, budget.unit) == (pytest.approx(amount), unit)
    assert budget.text == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("200 hurs", "hours"),
        ("3 devce-hours", "device-hours"),
        ("5 flosp", "flops"),
        ("200", "200h"),
        ("h", "200h"),
        ("0h", "200h"),
        ("-3h", "200h"),
        ("1e999 FLOPs", "200h"),
        ("1e-320 FLOPs", "200h"),
        ("", "200h"),
    ],
)
def test_anything_else_is_refused_with_what_is_near(text, hint):
    with pytest.raises(UsageError) as error:
        parse_budget(text)
    assert hint in (error.value.hint or "")


def test_an_error_to_reach():
    assert parse_error("15%") == pytest.approx(0.15)
    assert parse_error("0.15") == parse_error(0.15) == 0.15
    with pytest.raises(UsageError) as error:
        parse_error("15")
    assert error.value.hint == "15 % is 15%, or 0.15"
    with pytest.raises(UsageError) as error:
        parse_error("200%")
    assert error.value.hint == "write 0.15 or 15%"
    for text in ("0", "1", "100%", "nan", "x", "-0.1"):
        with pytest.raises(UsageError):
            parse_error(text)
