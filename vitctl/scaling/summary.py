"""A study as typed values: what `--json` prints, and what fit.json holds.

Errors are fractions, or losses as they are; residuals are measured minus law.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from vitctl.scaling.fit_line import FitLine
from vitctl.scaling.names import Form, FormEvidence, Measure, Parameter, Resampling
from vitctl.summaries import Count, Many, Part, Share

Ends = Annotated[tuple[float | None, float | None], Field(strict=False)]
"""Lower and upper end of an interval; None where there is none."""


class LawSummary(Part):
    """The parameters of error = a (compute + d)^-b + c."""

    a: float
    b: float
    c: float
    d: float


class Run(Part):
    """One row of the table."""

    row: Count = Field(description="Its row in the table, from 1 after the header.")
    model: str | None = Field(description="Its model, where the table says.")
    data_size: float | None = Field(description="Size of its training set, where the table says.")
    images: float | None = Field(description="Images it saw, where the table says.")
    compute: float = Field(description="What it cost, in compute_unit.")
    error: float = Field(ge=0, description="Its error, a fraction of at most 1, or its loss.")


class RunToLaw(Run):
    """One run and how it stands to the law."""

    predicted: float = Field(description="The law's error at its compute.")
    residual: float = Field(description="Measured minus predicted error.")
    off: float = Field(description="The residual in standard deviations of the frontier's scatter.")
    on_frontier: bool = Field(description="Whether the law was fitted to it.")
    off_law: bool = Field(description="Whether the residual passes two standard deviations.")
    residual_against: float | None = Field(
        default=None,
        description="Measured error minus that of the published law it is compared with.",
    )
    seeds: Count | None = Field(
        default=None, description="How many runs it is the mean of, where seeds are repeated."
    )
    deviation: float | None = Field(
        default=None,
        description="Standard error of that mean, by the noise of a run over all cells.",
    )


class PublishedLaw(Part):
    """How the largest run stands to a law that a paper prints."""

    name: str
    title: str
    a: float
    b: float
    c: float
    d: float
    decimals: Count = Field(description="To which its coefficients are rounded.")
    predicted: float
    residual: float
    rounding: float = Field(description="How far rounding alone can move its error there.")


class LargestRun(Run):
    """The run of most compute: against this law, the law without it, and a published one."""

    predicted: float
    predicted_without: float | None = Field(
        default=None, description="By the law that is fitted without it."
    )
    residual: float
    against: PublishedLaw | None


class BestRun(Run):
    """The best run of one model, one training set or one pair."""

    runs: Count = Field(description="So many it is the best of.")
    short: bool = Field(
        description="Whether its longest run saw less than half the images of the model's longest."
    )


class Methods(Part):
    """The intervals by profile likelihood and by bootstrap."""

    profile: dict[Parameter, Ends | None]
    bootstrap: dict[Parameter, Ends | None]


class SelectionSummary(Part):
    """The law behind runs that are best by luck."""

    law: LawSummary
    noise: float
    crowd: Count


class Bootstrap(Part):
    """How runs were resampled, and how many fits succeeded."""

    resampling: Resampling
    fitted: Count
    failed: Count


class Starts(Part):
    """How many starting points were tried and came to the same minimum."""

    tried: Count
    at_minimum: Count


class VariantSummary(Part):
    """A rival form with its criteria and weight; null where it could not be fitted."""

    form: Form
    a: float | None
    b: float | None
    c: float | None
    d: float | None
    scatter: float | None
    aic: float | None
    aicc: float | None
    delta_aicc: float | None
    weight: float | None


class ForecastSummary(Part):
    """A form that was fitted below a budget, scored above it."""

    form: Form
    rmse: float | None
    bias: float | None
    law: LawSummary | None = Field(
        default=None, description="As fitted; absent in fits made before it was recorded."
    )


class ExtrapolationSummary(Part):
    """How well laws of the smaller runs foretold the larger ones."""

    below: float
    fitted: Count
    predicted: Count
    forecasts: Many[ForecastSummary]


class HeldOut(Part):
    """A form's error in all extrapolations together."""

    form: Form
    rmse: float | None
    predicted: Count
    wins: Share | None = Field(
        default=None,
        description="Share of drawn tables in which it predicts best; null where too few could be "
        "fitted, absent in fits made before it was recorded.",
    )


class FormChosen(Part):
    """Why a form was chosen that was not given."""

    form: Form
    by: FormEvidence


class WithoutTerm(Part):
    """The law without a term for repeated data, on the same runs."""

    law: LawSummary
    scatter: float | None


class Repeated(Part):
    """The runs above a budget, foretold by those up to it, with the term and without."""

    below: float
    fitted: Count
    predicted: Count
    rmse: float | None
    rmse_without: float | None


class RepeatsSummary(Part):
    """The law with a term for repeated data, where epochs are known."""

    law: LawSummary
    worth: float | None = Field(
        description="Epochs of new images that repeating is worth at most; null if repeating costs "
        "nothing that shows."
    )
    interval: Ends | None
    profile: Ends | None
    shares: dict[str, float] = Field(description="The part of compute that counts, by epochs.")
    points: Count
    most_epochs: float
    scatter: float | None
    gain: float | None
    without: WithoutTerm
    extrapolation: Many[Repeated]


class Bottlenecks(Part):
    """The best runs by model, by data size and by both."""

    by_model: Many[BestRun]
    by_data: Many[BestRun]
    by_model_and_data: Many[BestRun]


class EfficiencySummary(Part):
    """Images one model needs for another's error."""

    model: str
    reference: str
    factor: float | None
    interval: Ends | None
    errors: Ends | None
    factor_at_lowest_error: float | None
    factor_at_highest_error: float | None
    reason: str | None


class CandidateSummary(Part):
    """A model's own error at a budget, and how often its redrawn curve was the lowest."""

    model: str
    error: float
    share: Share


class AllocationSummary(Part):
    """What to train for one --budget."""

    budget: float
    error: float
    error_interval: Ends
    how: str | None
    model: str | None
    size_factor: float | None
    images: float | None
    images_interval: Ends
    cost_per_image: float | None
    candidates: Many[CandidateSummary]
    images_exponent: float | None
    images_exponent_interval: Ends | None
    reason: str | None


class SeedsSummary(Part):
    """What repeated runs of a cell tell of the noise."""

    runs: Count
    cells: Count
    noise: float
    noise_of_cell: float
    freedom: Count


class FitSummary(FitLine):
    """A scaling law, made by `vitctl scaling fit`. Errors are fractions."""

    form: Form = Field(description="Which parameters were fitted.")
    measure: Measure = Field(
        default="error",
        description="What the law is of; absent in fits made before losses were known, which are "
        "of errors.",
    )
    compute_unit: str = Field(description="Unit of compute.")
    intervals: dict[Parameter, Ends | None] = Field(
        description="Interval of each parameter; null where it was not fitted."
    )
    interval_level: Share = Field(description="Level of the intervals.")
    interval_methods: Methods = Field(
        description="The intervals by profile likelihood and by bootstrap."
    )
    selection: SelectionSummary | None = Field(
        description="The law behind runs that are best by luck, where it could be told."
    )
    bootstrap: Bootstrap = Field(
        description="How runs were resampled, and how many fits succeeded."
    )
    correlation: dict[Parameter, dict[Parameter, float | None]] = Field(
        description="Correlation of the parameters' estimates."
    )
    scatter: float = Field(description="Standard deviation of the frontier's residuals.")
    points: Count = Field(description="Runs in the table.")
    starts: Starts = Field(
        description="How many starting points were tried and came to the same minimum."
    )
    at_bound: Many[Parameter] = Field(
        description="Parameters that ended at a bound: their intervals mean little."
    )
    frontier: Many[RunToLaw] = Field(description="The runs the law was fitted to.")
    residuals: Many[RunToLaw] = Field(description="Every run, in the order of the table.")
    off_law: Many[RunToLaw] = Field(
        description="Runs of the frontier further than two standard deviations from the law."
    )
    largest_run: LargestRun = Field(
        description="The run of most compute: against this law, the law without it, and a "
        "published one."
    )
    variants: Many[VariantSummary] = Field(
        description="Rival forms with their criteria and weights."
    )
    extrapolation: Many[ExtrapolationSummary] = Field(
        description="How well laws of the smaller runs foretold the larger ones."
    )
    held_out: Many[HeldOut] = Field(
        default=(),
        description="Every form's error in all extrapolations together, the best first.",
    )
    form_chosen: FormChosen | None = Field(
        default=None,
        description="Why this form was chosen (`--form auto`); null where it was given.",
    )
    repeats: RepeatsSummary | None = Field(
        default=None,
        description="The law with a term for repeated data, where epochs are known.",
    )
    bottlenecks: Bottlenecks = Field(
        description="The best runs by model, by data size and by both."
    )
    sample_efficiency: Many[EfficiencySummary] = Field(
        description="Images one model needs for another's error."
    )
    allocation: Many[AllocationSummary] = Field(description="What to train for each --budget.")
    cautions: Many[str] = Field(description="Sentences that qualify the answer.")
    seeds: SeedsSummary | None = Field(
        default=None,
        description="What repeated runs of a cell tell of the noise, where the table has a column "
        "of seeds.",
    )

    @property
    def drawable_forecasts(self) -> list[ExtrapolationSummary]:
        """Budgets with runs above them and laws of those below; none of a fit that was made before
        such laws were recorded."""
        return [
            test
            for test in self.extrapolation
            if test.predicted and any(one.law is not None for one in test.forecasts)
        ]

    def difference(self, value: float) -> str:
        """A difference of errors in points, of losses as it is."""
        return f"{100 * value:.2g} points" if self.measure == "error" else f"{value:.3g}"


class Band(Part):
    """The law and its interval, for drawing."""

    compute: Many[float]
    error: Many[float]
    low: Many[float]
    high: Many[float]


class FitReport(FitSummary):
    """The content of fit.json."""

    band: Band
