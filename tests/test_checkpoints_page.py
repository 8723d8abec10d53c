"""docs/guide/checkpoints.md: its blocks run on a checkpoint and an evaluation, without vitctl."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import numpy as np

from tests import made
from vitctl.artifacts import Store
from vitctl.checkpoints import arrays

PAGE = Path(__file__).resolve().parents[1] / "docs" / "guide" / "checkpoints.md"
RESULTS = {
    "classes": [{"class": "ant", "examples": 3, "top1": 2 / 3}],
    "confusions": [{"label": "ant", "predicted": "bee", "count": 1}],
}


def test_the_blocks_of_the_page_read_what_was_saved(tmp_path, capsys):
    checkpoint = made.checkpoint(Store(tmp_path / "artifacts"))
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 6
    names: dict = {"PATH": str(checkpoint.path), "EVALUATION": str(tmp_path)}
    for block in blocks:
        assert "vitctl" not in block
        if "import zarr" in block and importlib.util.find_spec("zarr") is None:
            continue  # one of the extra packages of `just test-all`
        exec(compile(block, str(PAGE), "exec"), names)
    saved = arrays.named(made.weights(made.config().model))
    assert names["names"] == sorted(name.replace("/", ".") for name in saved)
    read = arrays.named(names["weights"])
    assert read.keys() == saved.keys()
    assert all(np.array_equal(read[name], saved[name]) for name in saved)
    assert np.array_equal(names["kernel"][:].read().result(), saved["head/kernel"])
    assert tuple(names["classes"]) == made.CLASSES
    assert (names["matrix"], names["right"]) == ({("ant", "bee"): 1}, {"ant": 2})
    if "head" in names:
        assert np.array_equal(names["head"][:], saved["head/kernel"])
    capsys.readouterr()
