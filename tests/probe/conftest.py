from __future__ import annotations

from hypothesis import settings

# No deadline: the first example may pay for an import, and CI machines are slow.
settings.register_profile("probe", deadline=None, max_examples=50)
settings.load_profile("probe")
