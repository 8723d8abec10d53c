"""What was removed, as a person reads it."""

from __future__ import annotations

from stages.rm.spec import Removed
from vitctl.console.text import safe
from vitctl.text.quantities import show_bytes


def as_text(one: Removed) -> str:
    """One line."""
    done = "removed" if one.removed else "would go"
    why = f"  ({one.reason})" if one.reason else ""
    return f"{done}  {show_bytes(one.bytes):>9}  {one.kind}  {safe(one.path)}{why}"
