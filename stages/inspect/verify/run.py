"""How `vitctl verify` works: entries -> a verdict on each, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

from stages.inspect.verify.checks import of_directory, of_entry
from stages.inspect.verify.spec import Depth, Inputs, Verdict
from vitctl.artifacts import Store
from vitctl.errors import VitctlError
from vitctl.events import Emit, silent


def run(inputs: Inputs, *, store: Store, emit: Emit = silent) -> Iterator[Verdict]:
    """Check what is named, as the verdicts are read."""
    if inputs.named is None:
        yield from _every(store, depth=inputs.depth, emit=emit)
        return
    for entry, step in inputs.named:
        yield of_entry(entry, store=store, depth=inputs.depth, emit=emit, step=step)


def _every(store: Store, *, depth: Depth, emit: Emit) -> Iterator[Verdict]:
    for directory in store.directories():
        try:
            entry = store.load(directory, check=False)
        except VitctlError as error:
            verdict = of_directory(directory, error)
            if verdict is not None:
                yield verdict
            continue
        yield of_entry(entry, store=store, depth=depth, emit=emit)
