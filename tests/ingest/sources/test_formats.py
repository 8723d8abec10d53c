"""The table of the guide has every format of sources."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from vitctl.ingest.sources.format_names import FormatName

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "datasets.md"


def test_the_guide_has_every_format():
    rows = re.findall(r"^\|.*\| `(\w+)` \|", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert sorted(set(rows) & set(get_args(FormatName))) == sorted(get_args(FormatName))
