from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitctl.scaling.laws import Law, jacobian, predict

laws = st.builds(
    Law,
    a=st.floats(0.05, 2),
    b=st.floats(0.05, 1.5),
    c=st.floats(0, 0.4),
    d=st.floats(0, 3),
)


@given(laws)
def test_the_solvers_form_is_the_papers(law: Law) -> None:
    compute = np.array([0.1, 1.0, 30.0, 1e5])
    np.testing.assert_allclose(predict(law.theta(), compute), law.error(compute), rtol=1e-12)


@given(laws)
def test_the_jacobian_is_the_difference_quotient(law: Law) -> None:
    theta, compute = law.theta(), np.array([0.1, 1.0, 30.0, 1e5])
    for i in range(4):
        step = np.zeros(4)
        step[i] = 1e-6
        if (
            theta[i] == 0
        ):  # at the bound only the outward side exists; d = 0 is inside for the maths
            continue
        quotient = (predict(theta + step, compute) - predict(theta - step, compute)) / 2e-6
        np.testing.assert_allclose(jacobian(theta, compute)[:, i], quotient, rtol=1e-4, atol=1e-8)


@given(laws, st.floats(0.01, 1e6))
def test_compute_inverts_error(law: Law, compute: float) -> None:
    error = float(law.error(compute))
    if error - law.c < 1e-6 * error:  # flat to rounding: any compute gives this error
        return
    assert law.compute(error) == pytest.approx(compute, rel=1e-4, abs=1e-6)


def test_errors_no_compute_gives() -> None:
    law = Law(a=0.6, b=0.3, c=0.1, d=1.0)
    assert law.compute(0.1) is None  # the floor itself
    assert law.compute(0.05) is None
    assert law.compute(0.71) is None  # worse than no training at all


def test_rounding_bounds_every_law_that_prints_the_same() -> None:
    """All corners of the rounding box move the error by no more than `rounding` says, and one
    comes close to it."""
    law, compute = Law(a=0.63, b=0.32, c=0.12, d=0.52), 27510.0
    bound = law.rounding(compute, decimals=2)
    moved = [
        abs(float(Law(0.63 + i, 0.32 + j, 0.12 + k, 0.52 + m).error(compute) - law.error(compute)))
        for i in (-0.005, 0.005)
        for j in (-0.005, 0.005)
        for k in (-0.005, 0.005)
        for m in (-0.005, 0.005)
    ]
    assert 0.95 * bound < max(moved) < 1.05 * bound
