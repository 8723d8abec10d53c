"""A verdict as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator

from stages.inspect.verify.spec import Verdict
from vitctl.console.text import safe
from vitctl.console.tree import dim, warned
from vitctl.text.quantities import counted, show_bytes


def lines(verdict: Verdict, *, deep: bool) -> Iterator[str]:
    counts = f"{verdict.files:,} files, {show_bytes(verdict.bytes)}"
    if verdict.records:
        counts += f", {counted(verdict.records, 'record')}"
    looked = dim(f"({counts}{' read' if deep else ''})")
    if verdict.whole:
        yield f"whole    {safe(verdict.path)}  {looked}"
    for problem in verdict.problems:
        yield f"{warned('damaged')}  {safe(verdict.path)}  {safe(problem)}"
    for remark in verdict.remarks:
        yield f"note     {safe(verdict.path)}  {safe(remark)}"
