"""Colours of the page against the contrast that WCAG 2.2 asks for at level AA."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vitctl.report import page

CSS = (Path(page.__file__).parent / "page.css").read_text("utf-8")


def _themes() -> dict[str, dict[str, str]]:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})\b", block))
        for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
    )
    return {"light": light, "dark": light | dark}


def _luminance(colour: str) -> float:
    """WCAG 2.2, "relative luminance"."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_the_formula():
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # just short of AA


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_and_lines(theme):
    colours = _themes()[theme]
    for paper in ("paper", "raised"):
        for ink in ("ink", "muted", "link"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    assert contrast(colours["warn-ink"], colours["warn"]) >= 4.5
    for number in range(8):  # names of lines are written in their colours, too
        assert contrast(colours[f"c{number}"], colours["paper"]) >= 4.5, number


def test_each_style_of_a_line_has_its_own_dashes():
    dashes = re.findall(r"\.s(\d) \.line \{ stroke-dasharray: ([^;]+);", CSS)
    assert [int(number) for number, _ in dashes] == list(range(1, 8))  # 0 is solid
    assert len({dash for _, dash in dashes}) == 7
