"""Names that more than one package needs to know about the parameter tree."""

from __future__ import annotations

STACKED = "blocks"
"""The subtree whose every array has a leading layer axis; each layer is a parameter of its own."""
