from __future__ import annotations

import sys
from pathlib import Path

from hypothesis import settings

# No deadline: the first example may pay for an import, and CI machines are slow.
settings.register_profile("vitctl", deadline=None, max_examples=50)
settings.load_profile("vitctl")

# Helpers shared by tests; pytest's importlib mode puts no test folder on the path.
sys.path.append(str(Path(__file__).parent))
