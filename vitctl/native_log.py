"""Lines that C and C++ libraries write to stderr: what kind a line is of, and how grave it is."""

from __future__ import annotations

import re

# How absl begins a line: severity and date, seconds or time of day, thread, file and line; and how
# XLA's and TensorFlow's older logger does: date and time, severity, file and line.
_ABSL = re.compile(r"^([IWEF])\d{4} \S+\s+\d+ \S+:\d+\] ?")
_TSL = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+: ([IWEF]) \S+:\d+\] ?")
_PREAMBLE = "WARNING: All log messages before absl"
# From the first such line on a process is about to die, and every line matters.
_CRASH = re.compile(
    r"^(Fatal Python error|terminate called|\*\*\* |Aborted|Segmentation fault|"
    r"(double free|free\(\)|malloc|realloc\(\)|munmap_chunk|corrupted )|"
    r"Traceback \(most recent call last\)|\S+: .*Assertion .* failed)"
)
# XLA, two minutes into a compilation; the display says all along that it compiles, and how long.
_SLOW_COMPILE = re.compile(r"^(\[Compiling module |The operation took )")
_MOST_CHARACTERS = 120


def text(line: str) -> str | None:
    """What a line says, without the time and place it begins with; None if it says nothing that a
    person needs: information, rules of asterisks, blank lines."""
    line = line.strip()
    severity = _severity(line)
    if severity == "I" or line.startswith(_PREAMBLE):
        return None
    content = _TSL.sub("", _ABSL.sub("", line))
    if not content.strip("*-= ") or _SLOW_COMPILE.match(content):
        return None
    return "".join(c if c.isprintable() else "?" for c in content)


def kind(line: str) -> str | None:
    """`text` with numbers as N, so that lines that differ in them are of one kind."""
    content = text(line)
    if content is None:
        return None
    return re.sub(r"\b(0x[0-9a-f]+|\d+)\b", "N", content)[:_MOST_CHARACTERS]


def is_error(line: str) -> bool:
    """Whether its writer calls it an error."""
    return _severity(line.strip()) in ("E", "F") or is_crash(line)


def is_crash(line: str) -> bool:
    """Whether it is the beginning of a process's last words."""
    return _severity(line) == "F" or bool(_CRASH.match(line))


def _severity(line: str) -> str | None:
    """I, W, E or F, as absl or TensorFlow's logger marks it; None without a mark."""
    match = _ABSL.match(line) or _TSL.match(line)
    return match[1] if match else None
