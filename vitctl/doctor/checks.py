"""The list of checks: which there are, in whose company they run, and how long each may take."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from vitctl.doctor.finding import CheckRequest, Finding
from vitctl.places import Place


@dataclass(frozen=True)
class Check:
    """A function of a module, imported where it runs.

    `group`: checks of one group share a process, in order; one that hangs or crashes costs only
    itself, unless it is `needed` by the rest of the group.
    """

    name: str
    module: str
    function: str
    group: str
    patience_s: float
    needed: bool = False

    def run(self, request: CheckRequest) -> Finding:
        function: Callable[[CheckRequest], Finding] = getattr(
            importlib.import_module(self.module), self.function
        )
        return function(request)


def _of(module: str, name: str, function: str, group: str, s: float, *, needed: bool = False):
    return Check(name, f"vitctl.doctor.{module}", function, group, s, needed)


_MACHINE = (
    _of("machine", "clock", "clock", "machine", 10),
    _of("machine", "memory", "memory", "machine", 10),
    _of("machine", "open files", "files", "machine", 10),
    _of("packages", "versions", "versions", "machine", 30),
)
_FOLDER = (
    _of("store", "rename", "rename", "store", 20),
    _of("store", "lock", "lock", "store", 20),
    _of("store", "disk", "disk", "store", 60),
)
_BUCKET = (
    _of("bucket", "reach", "reach", "bucket", 90, needed=True),
    _of("bucket", "objects", "objects", "bucket", 60),
    _of("bucket", "lease", "lease", "bucket", 60),
    _of("bucket", "speed", "speed", "bucket", 120),
    _of("bucket", "disk", "disk", "bucket disk", 60),
)
_REST = (
    # A TPU slice takes a minute until all its hosts are there.
    _of("devices", "devices", "devices", "devices", 120, needed=True),
    _of("devices", "compute", "compute", "devices", 120),
    _of("devices", "collective", "collective", "devices", 120),
    _of("batches", "mock batch", "mock_batch", "batches", 30),
    _of("batches", "first batch", "first_batch", "batches", 180),
)


def checks(store: Place) -> tuple[Check, ...]:
    """Those for a machine whose store is there."""
    return (*_MACHINE, *(_FOLDER if store.local is not None else _BUCKET), *_REST)
