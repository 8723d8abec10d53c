"""docs/guide/python.md: its blocks run, one after the other, as a reader would paste them."""

from __future__ import annotations

import re
from pathlib import Path

from tests import made
from vitctl.artifacts import Store

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "python.md"


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VITCTL_STORE", raising=False)
    made.checkpoint(Store("artifacts"))
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), namespace)
    printed = capsys.readouterr().out
    assert "<tiny at step 8, raw weights, 7 classes, images of 8 x 8>" in printed
    assert "2 " in printed
    assert "%" in printed
    assert "(1, 8, 8, 3)" in printed
    assert "neither a path nor an artifact" in printed
