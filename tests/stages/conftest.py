from __future__ import annotations

import traceback

import pytest

from vitctl.artifacts import drafts, run_draft


@pytest.fixture(autouse=True)
def published_as_documented(monkeypatch):
    """Whatever a stage publishes in any test here must be what docs/schemas says, field by field.
    (Stand-ins that a test publishes itself need not.)"""
    from tests import schemas

    def checked(path, **given):
        artifact = publish(path, **given)
        modules = {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_stack(None)}
        if any(module.startswith("stages.") and module.endswith(".run") for module in modules):
            schemas.check(artifact.as_json(), "artifact")
        return artifact

    publish = drafts.publish
    monkeypatch.setattr(drafts, "publish", checked)
    monkeypatch.setattr(run_draft, "publish", checked)
