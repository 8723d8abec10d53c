"""Small values between processes, through the key-value store of jax's coordination service.

It needs no device and no collective, so it works before the first step, from any thread, and while
the devices hang. Values are JSON. All processes call the same functions with the same names; a name
may be used again, its uses are counted.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vitctl.errors import InterruptedRun, VitctlError
from vitctl.processes import pulse
from vitctl.text import strict_json
from vitctl.text.quoting import quoted

T = TypeVar("T")

ROOT = "vitctl"
_SLICE_MS = 500
# Waiting is bounded by the other side's life (pulse.py); this is for what only looks alive.
_LONG_S = 3600.0

_uses: Counter[str] = Counter()
_lock = threading.Lock()


def count() -> int:
    """How many processes work together."""
    state = _state()
    return 1 if state is None else state.num_processes


def index() -> int:
    """Which one this is, from 0."""
    state = _state()
    return 0 if state is None else state.process_id


def first() -> bool:
    """Whether this is process 0, the one that prints, locks and publishes."""
    return index() == 0


def client() -> Any:
    """jax's connection to its coordination service. (Not public in jax; orbax uses it, too.)"""
    return _state().client


def share(name: str, make: Callable[[], T], *, patient: bool = False) -> T:
    """What `make` gives in process 0, in all processes.

    `patient`: process 0 may take as long as it likes, as when it waits for another command.

    Raises the error of `make` in all processes; InterruptedRun if process 0 died.
    """
    if count() == 1:
        return make()
    key = _key(name)
    if first():
        value = make()
        client().key_value_set(f"{key}/0", json.dumps(value))
        # As the others get it: tuples are lists there.
        return strict_json.own_text(json.dumps(value))
    return _wait(f"{key}/0", owner=0, what=name, limit_s=None if patient else _LONG_S)


def gather(name: str, value: T, *, limit_s: float = _LONG_S) -> list[T]:
    """The values of all processes, by index. Nobody goes on before all have come.

    Raises InterruptedRun, which names a process that did not reach this call.
    """
    if count() == 1:
        return [value]
    key = _key(name)
    client().key_value_set(f"{key}/{index()}", json.dumps(value))
    return [
        _wait(f"{key}/{other}", owner=other, what=name, limit_s=limit_s) for other in range(count())
    ]


def collect(name: str, value: T) -> list[T] | None:
    """The values of all processes, by index, in process 0; None in the others, which do not wait.
    For values that are large: `gather` brings each to everyone.

    Raises InterruptedRun in process 0, which names a process that did not reach this call.
    """
    if count() == 1:
        return [value]
    key = _key(name)
    if not first():
        client().key_value_set(f"{key}/{index()}", json.dumps(value))
        return None
    others = [
        _wait(f"{key}/{other}", owner=other, what=name, limit_s=_LONG_S)
        for other in range(1, count())
    ]
    client().key_value_delete(key)  # of a long run they would fill the service's memory
    return [value, *others]


def agree(
    name: str, value: Mapping[str, Any], *, error: type[VitctlError], hint: str | None = None
) -> None:
    """Raise `error` in all processes unless they all have the same `value`, naming what differs."""
    if count() == 1:
        return
    right = share(name, lambda: dict(value))
    wrong = _difference(strict_json.own_text(json.dumps(value)), right)
    sentences = [text for text in gather(f"{name}: the same", wrong) if text]
    if sentences:
        more = f" (and {len(sentences) - 1} more processes differ)" if len(sentences) > 1 else ""
        raise error(f"{name}: {sentences[0]}{more}", hint=hint)


def _difference(value: Any, right: Any) -> str | None:
    """A sentence naming the first setting that differs from process 0's."""
    own, theirs = _flat(value), _flat(right)
    names = sorted(key for key in own.keys() | theirs.keys() if own.get(key) != theirs.get(key))
    if not names:
        return None
    key = names[0]
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"process {index()} has {key} = {_shown(own, key)}, process 0 has "
        f"{_shown(theirs, key)}{more}"
    )


def _shown(flat: dict[str, Any], key: str) -> str:
    return json.dumps(flat[key], ensure_ascii=False) if key in flat else "nothing"


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested objects as dotted names."""
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _key(name: str) -> str:
    with _lock:
        _uses[name] += 1
        return f"{ROOT}/value/{name}/{_uses[name]}"


def _wait(key: str, *, owner: int, what: str, limit_s: float | None) -> Any:
    waited_ms, marks = 0, pulse.marks(owner)
    while True:
        pulse.check()
        try:
            return strict_json.own_text(client().blocking_key_value_get(key, _SLICE_MS))
        except RuntimeError as error:
            if "DEADLINE_EXCEEDED" not in str(error):
                raise pulse.unreachable() from None
        # Slices are counted, not a clock: one that jumps must not end a run. Nor must one that is
        # busy, as with copying what this process has.
        waited_ms = waited_ms + _SLICE_MS if pulse.marks(owner) == marks else 0
        marks = pulse.marks(owner)
        if limit_s is not None and waited_ms >= 1000 * limit_s:
            raise InterruptedRun(
                f"process {owner} did not reach {quoted(what)} within {limit_s:g} s",
                hint="run the same command again in all processes to continue",
            )


def _state() -> Any:
    """jax's own record of this process; None in a single process. Imports nothing."""
    module = sys.modules.get("jax._src.distributed")
    state = getattr(module, "global_state", None)
    return state if state is not None and state.client is not None else None
