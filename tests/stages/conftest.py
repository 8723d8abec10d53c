from __future__ import annotations

import traceback
from collections.abc import Generator
from contextlib import AbstractContextManager

import pytest

from tests.stages import writes
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


_RECORDED = pytest.StashKey[tuple[AbstractContextManager[list[writes.Write]], list[writes.Write]]]()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before the fixtures, which may run stages, too."""
    factory: pytest.TempPathFactory = item.config._tmp_path_factory  # type: ignore[attr-defined]
    recorder = writes.recording(factory.getbasetemp())
    item.stash[_RECORDED] = (recorder, recorder.__enter__())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Whatever stages write in this process they write by the one module that follows no link."""
    try:
        return (yield)
    finally:
        recorder, recorded = item.stash[_RECORDED]
        recorder.__exit__(None, None, None)
        strangers = sorted({write for write in recorded if not write.allowed})
        assert not strangers, "\n".join(map(str, strangers))
