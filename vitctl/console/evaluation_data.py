"""Which images a checkpoint is measured on."""

from __future__ import annotations

from vitctl.artifacts.artifact import Artifact
from vitctl.console.session import Session
from vitctl.events import Note


def images_for(session: Session, checkpoint: Artifact, data: str | None) -> Artifact | None:
    """The dataset `--data` names; left out, the one the checkpoint was trained on, or None where
    that was synthetic. What was not named is announced."""
    if data is None and checkpoint.config["data"].get("mock") is not None:
        session.emit(
            Note(f"--data left out: synthetic images, as {checkpoint.path} was trained on")
        )
        return None
    return session.one("dataset", data, option="--data", stdin=False, of=checkpoint)
