from __future__ import annotations

import pytest

from vitctl.errors import UsageError
from vitctl.model.feature_point import Point, parse


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("pre_logits", Point(None, pooled=True)),
        ("tokens", Point(None, pooled=False)),
        ("block:1", Point(1, pooled=False)),
        ("block:12", Point(12, pooled=False)),
    ],
)
def test_points(text, point):
    assert parse(text, depth=12) == point


@pytest.mark.parametrize(
    "text", ["block:0", "block:13", "block", "block:-1", "cls", "", "block:01"]
)
def test_other_points_are_refused_with_those_there_are(text):
    with pytest.raises(UsageError) as error:
        parse(text, depth=12)
    assert "block:12" in (error.value.hint or "")
