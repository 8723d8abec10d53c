"""What `vitctl scaling plot` is asked."""

from __future__ import annotations

from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb()
def plot(session: Session) -> None:
    """x"""
