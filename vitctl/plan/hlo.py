"""The text of an optimized HLO module: its lines, and how often each runs in a step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_OPENED = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_LOOP = re.compile(r" while\(.*condition=%?([\w.\-]+), body=%?([\w.\-]+)")
_CALLED = re.compile(r"(?:calls|to_apply|true_computation|false_computation)=%?([\w.\-]+)")
_KNOWN = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
_COUNTER = re.compile(r"\b[su]32\[\][^ ]* (?:parameter|get-tuple-element|constant)\(")
_CONSTANT = re.compile(r"= s32\[\]\S* constant\((\d+)\)")
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')


@dataclass
class _Computation:
    lines: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Line:
    """An operation: its text, the computation it is in, and how often a step runs it."""

    text: str
    computation: str
    times: int


def lines(module: str) -> Iterator[Line]:
    """Every operation that a step runs. A loop's body counts as often as XLA or, where it doesn't
    say so, the loop's condition says; scans count from 0 by 1. One that goes on until a number is
    right counts once: drawing mixup's weight is the only one here, a scalar that is rarely refused.

    Raises:
      ValueError: there is no entry, or a loop whose number of rounds is not a constant.
    """
    computations, entry = _computations(module)

    def walk(name: str, times: int) -> Iterator[Line]:
        for text in computations[name].lines:
            yield Line(text, name, times)
            if (loop := _LOOP.search(text)) is not None:
                known = _KNOWN.search(text)
                rounds = int(known[1]) if known else _rounds(computations[loop[1]])
                yield from walk(loop[2], times * rounds)
                continue
            for called in _CALLED.findall(text):
                if called in computations:
                    yield from walk(called, times)

    yield from walk(entry, 1)


def cycles(module: str) -> int:
    """libtpu's `estimated_cycles` of all operations of a step; 0 where the compiler gives none.

    It estimates each fused operation for itself, memory and vector units included, which no sum of
    FLOPs and bytes over a program can. Collectives have none: see `collectives`.
    """
    total = 0
    for line in lines(module):
        if (match := _CYCLES.search(line.text)) is not None:
            total += line.times * int(match[1])
    return total


def _computations(module: str) -> tuple[dict[str, _Computation], str]:
    computations: dict[str, _Computation] = {}
    entry: str | None = None
    current: _Computation | None = None
    for text in module.splitlines():
        if not text.startswith(" ") and (opened := _OPENED.match(text)) is not None:
            current = computations.setdefault(opened[2], _Computation())
            entry = opened[2] if opened[1] else entry
        elif text.startswith("}"):
            current = None
        elif current is not None:
            current.lines.append(text)
    if entry is None:
        raise ValueError("the HLO module has no entry")
    return computations, entry


def _rounds(condition: _Computation) -> int:
    if not any(_COUNTER.search(text) for text in condition.lines):
        return 1
    constants = {int(n) for text in condition.lines for n in _CONSTANT.findall(text)}
    if len(constants) != 1 or "direction=LT" not in "".join(condition.lines):
        raise ValueError("a loop's number of rounds is not a constant")
    return constants.pop()
