from __future__ import annotations

import sys
from pathlib import Path

# The encoded images that the tests of the data package use.
sys.path.append(str(Path(__file__).parents[2] / "data"))
