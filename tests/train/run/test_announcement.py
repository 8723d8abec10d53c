"""What a run says of its settings before it begins."""

from __future__ import annotations

import pytest

from tests.train.conftest import config
from vitctl.sharding import layout as layouts
from vitctl.train.program import footprint
from vitctl.train.run.announcement import announced


def data_of(**augment):
    cfg = config(8, data={"augment": augment})
    memory = footprint.choose(cfg, devices=1, available=None, remats=("none",))
    return announced(cfg, layouts.make(devices=1), memory, examples=960, classes=6)["data"]


@pytest.mark.parametrize(("times", "least"), [(1, "the size"), (1.5, "1.5 times the size")])
def test_jpegs_that_are_decoded_smaller_are_announced(times, least):
    plain = data_of()
    assert "JPEG" not in plain
    assert data_of(jpeg_oversampling=times) == (
        f"{plain}; JPEGs are decoded at 1/2, 1/4 or 1/8 where crops still have {least} that they "
        "are resized to"
    )
