"""Pictures: the same bytes for the same numbers, readable on both papers and by every eye."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib")

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from vitctl.figures import forecasts, scaling
from vitctl.figures.decay import decay_heat_map
from vitctl.figures.schedules import PAPER, schedules
from vitctl.figures.style import (
    LINES,
    MARKERS,
    THEMES,
    Theme,
    figure,
    log_values,
    ordered_colours,
    render,
)
from vitctl.optim.schedules import ScheduleConfig, value
from vitctl.pixels.picture_mark import HEAD_BYTES, is_marked
from vitctl.scaling import report
from vitctl.scaling.laws import Law
from vitctl.scaling.points import Points
from vitctl.scaling.study import StudySettings, study
from vitctl.scaling.summary import Bottlenecks, FitReport

THEME = THEMES["light"]


@pytest.fixture(scope="module")
def summary():
    images, models = np.geomspace(1e6, 1e9, 6), ("small", "base", "large")
    rows = [
        (name, size, values, 10.0**i * values * 1e-8)
        for i, name in enumerate(models)
        for size in (1e6, 1e7)
        for values in images
    ]
    compute = np.array([row[3] for row in rows])
    late = np.array([models.index(row[0]) for row in rows])
    gap = 0.05 * np.abs(np.log10(compute) - late)
    points = Points(
        compute=compute,
        error=np.clip(Law(a=0.6, b=0.25, c=0.1, d=0.3).error(compute) + gap, 0, 1),
        row=np.arange(1, len(rows) + 1),
        model=np.array([row[0] for row in rows]),
        data_size=np.array([row[1] for row in rows]),
        images=np.array([row[2] for row in rows]),
    )
    outcome = study(points, StudySettings(draws=100))
    summary = report.summary(outcome, unit="hours", against=None)
    return FitReport(**dict(summary), band=report.band(outcome))


def texts(drawn: Figure) -> str:
    return " | ".join(text.get_text() for text in drawn.findobj(lambda x: hasattr(x, "get_text")))


def all_figures(summary, theme: Theme) -> dict[str, Figure]:
    decays = np.array([0.0, 0.1, 1.0])
    head, body = (x.ravel() for x in np.meshgrid(decays, decays))
    accuracy = np.linspace(0.2, 0.6, 9)
    return {
        "compute": scaling.error_over_compute(summary, theme),
        "models": scaling.error_by_model_size(summary, theme),
        "data": scaling.error_by_data_size(summary, theme),
        "images": scaling.error_over_images(summary, theme),
        "held-out": forecasts.forecasts(summary, theme),
        "schedules": schedules(PAPER, theme),
        "decay": decay_heat_map(head, body, accuracy, theme, metric="inet5"),
    }


def test_the_bytes_depend_on_the_numbers_only(summary) -> None:
    one, two = (
        render(
            scaling.error_by_data_size(summary, THEME), form="svg", title="data", description="x"
        )
        for _ in range(2)
    )
    assert one == two


def test_every_figure_renders_on_its_paper(summary) -> None:
    """One theme each; what the themes differ in is colours, tested below."""
    figures = {theme: all_figures(summary, THEMES[theme]) for theme in THEMES}
    for i, name in enumerate(figures["light"]):
        theme = THEMES["light" if i % 2 else "dark"]
        drawn = figures[theme.name][name]
        picture_bytes = render(drawn, form="png", title=name, description="x")
        picture = Image.open(BytesIO(picture_bytes))
        assert min(picture.size) > 500
        assert is_marked(picture_bytes[:HEAD_BYTES])  # it is never an image of a dataset
        paper = tuple(round(255 * part) for part in to_rgb(theme.paper))
        assert picture.convert("RGB").getpixel((0, 0)) == paper


def test_losses_are_drawn_without_percent(summary) -> None:
    """The same runs as losses: other words and numbers on the axes, the same picture."""
    drawn = all_figures(summary.model_copy(update={"measure": "loss"}), THEME)
    for name in ("compute", "models", "data", "images", "held-out"):
        shown = texts(drawn[name])
        assert "loss" in shown
        assert "error" not in shown
        assert "%" not in shown.replace("95 % interval", "")
        assert "points" not in shown


def test_a_fit_without_held_out_runs_draws_none(summary) -> None:
    assert forecasts.forecasts(summary.model_copy(update={"extrapolation": ()}), THEME) is None
    shown = texts(forecasts.forecasts(summary, THEME))
    assert "frontier, held out" in shown
    assert f"{summary.form}, fitted to the cheap runs (the form of the fit)" in shown


def test_means_of_seeds_have_error_bars(summary) -> None:
    """One standard error to both sides, of cells that are means only."""
    rows = [
        row.model_copy(update={"seeds": 3, "deviation": 0.01} if i % 2 else {})
        for i, row in enumerate(summary.residuals)
    ]
    drawn = scaling.error_over_compute(summary.model_copy(update={"residuals": tuple(rows)}), THEME)
    (top, _) = drawn.axes
    lengths = [
        segment[1][1] - segment[0][1]
        for bars in top.containers
        for lines in bars.lines[2]
        for segment in lines.get_segments()
    ]
    assert lengths == pytest.approx([0.02] * (len(rows) // 2))
    assert not scaling.error_over_compute(summary, THEME).axes[0].containers


@pytest.mark.parametrize("measure", ["error", "loss"])
@pytest.mark.parametrize(
    ("low", "high"), [(0.15, 0.9), (0.1501, 0.1502), (0.2, 0.2000001), (0.0, 0.4), (1e-5, 3e-5)]
)
def test_an_axis_prints_no_label_twice(measure, low: float, high: float) -> None:
    scale = 1.0 if measure == "error" else 37.0
    drawn = figure(THEME)
    ax = drawn.subplots()
    ax.plot([1, 2], [scale * low, scale * high])
    log_values(ax, scale * low, scale * high, measure=measure)
    render(drawn, form="svg", title="x", description="x")
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert len(labels) > 1
    assert len(set(labels)) == len(labels), labels


def test_near_sizes_are_told_apart() -> None:
    assert scaling.counts([1e6, 3e7, 1e9]) == ["1M", "30M", "1B"]
    assert scaling.counts([30_000_000, 30_000_001]) == ["30M", "30.000001M"]


def test_a_drawing_names_itself_to_readers_aloud() -> None:
    drawn = schedules(PAPER, THEME)
    root = ET.fromstring(render(drawn, form="svg", title="rates", description="what is drawn"))
    assert root.tag.endswith("svg")
    text = ET.tostring(root, encoding="unicode")
    assert "rates" in text
    assert "what is drawn" in text


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_ink_stands_out_from_paper(theme: Theme) -> None:
    """WCAG 2.1: 4.5 for text, 3 for graphics; the faintest of a series is outlined by its line
    style and marker and may fall to 1.9."""
    assert contrast(theme.ink, theme.paper) > 7
    assert contrast(theme.muted, theme.paper) > 4.5
    assert contrast(theme.law, theme.paper) > 3
    assert contrast(theme.printed, theme.paper) > 3
    assert min(contrast(colour, theme.paper) for colour in ordered_colours(11, theme)) > 1.9


@pytest.mark.parametrize("theme", THEMES.values(), ids=THEMES)
def test_series_differ_without_colour(theme: Theme) -> None:
    """In grey print and to every kind of colour sight: lightness rises from series to series, and
    neighbours have other markers or line styles."""
    steps = np.diff([luminance(colour) for colour in ordered_colours(5, theme)])
    assert (steps > 0.02).all()
    assert len(set(MARKERS)) == len(MARKERS) >= 11
    assert len({str(style) for style in LINES}) == len(LINES) >= 4


def test_the_main_figure_names_its_parts(summary) -> None:
    drawn = scaling.error_over_compute(summary, THEME)
    shown = texts(drawn)
    on = len(summary.frontier)
    assert f"frontier, {on} of 36 runs" in shown
    assert f"{summary.a:.3g}" in shown
    assert "compute (hours)" in shown
    assert "its 95 % interval" in shown
    marks = [line for line in drawn.axes[0].lines if str(line.get_label()).startswith("frontier")]
    np.testing.assert_array_equal(marks[0].get_xdata(), [row.compute for row in summary.frontier])


def test_everything_measured_is_inside_the_axes(summary) -> None:
    ax = scaling.error_over_compute(summary, THEME).axes[0]
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for row in summary.residuals:
        assert left <= row.compute <= right
        assert low <= row.error <= high


def test_figures_that_lack_a_column_are_left_out(summary) -> None:
    nothing = Bottlenecks(by_model=(), by_data=(), by_model_and_data=())
    bare = summary.model_copy(update={"bottlenecks": nothing})
    assert scaling.error_by_model_size(bare, THEME) is None
    assert scaling.error_by_data_size(bare, THEME) is None
    assert scaling.error_over_images(bare, THEME) is None


def test_the_heat_map_prints_every_number_and_frames_the_best() -> None:
    head, body = np.array([0.0, 0.0, 3.0, 3.0]), np.array([0.0, 10.0, 0.0, 10.0])
    drawn = decay_heat_map(head, body, np.array([0.53, 0.17, 0.61, 0.2]), THEME, metric="inet5")
    shown = {text.get_text(): text.get_position() for text in drawn.axes[0].texts}
    assert shown == {"53": (0, 0), "17": (1, 0), "61": (0, 1), "20": (1, 1)}
    (frame,) = drawn.axes[0].patches
    assert frame.get_xy() == (-0.5, 0.5)


def test_a_pair_without_a_run_stays_empty() -> None:
    head, body = np.array([0.0, 1.0]), np.array([0.0, 1.0])
    drawn = decay_heat_map(head, body, np.array([0.5, 0.6]), THEME, metric="inet5")
    assert len(drawn.axes[0].texts) == 2


def test_branches_leave_their_trunk_where_the_cooldown_begins() -> None:
    """Every curve is that of `optim.schedules`; a branch starts on its trunk and ends at 0."""
    drawn = schedules(PAPER, THEME)
    trunk, *rest = drawn.axes[0].lines
    branches = rest[::2]  # each followed by the mark at its end
    whole = ScheduleConfig(kind="rsqrt", peak_lr=1.0, warmup_steps=10_000, timescale_steps=10_000)
    for step, rate in zip(*trunk.get_data(), strict=True):
        assert rate == value(whole, step=int(step))
    for branch, end in zip(branches, PAPER.lengths, strict=True):
        steps, rates = branch.get_data()
        assert steps[0] == end - 25_000
        assert rates[0] == value(whole, step=int(steps[0]))
        assert (steps[-1], rates[-1]) == (end, 0.0)
