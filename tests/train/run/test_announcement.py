"""What a training run says of itself before it begins."""

from __future__ import annotations

import pytest

from vitctl.train.run.announcement import _passes


@pytest.mark.parametrize(
    ("epochs", "text"),
    [(0.66667, "0.6667"), (3.0, "3"), (12.345678, "12.35"), (999.9, "999.9"), (11851.9, "11,852")],
)
def test_a_number_of_epochs_has_no_power_of_ten(epochs, text):
    assert _passes(epochs) == text
