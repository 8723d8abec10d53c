"""How `vitctl doctor` works: checks in processes of their own, reported as each one ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from stages.doctor.spec import DoctorRuntime, Inputs, Report
from vitctl.artifacts.newest import newest_whole
from vitctl.artifacts.store import Store
from vitctl.doctor import supervise
from vitctl.doctor.checks import Check, checks
from vitctl.doctor.finding import CheckRequest, Finding


def names(inputs: Inputs) -> list[str]:
    """The names of the checks that `run` makes, in order."""
    return [check.name for check in checks(inputs.store)]


def run(
    inputs: Inputs, *, runtime: DoctorRuntime, report: Callable[[Finding], None] = lambda _: None
) -> Report:
    """Check the machine. `report` gets each finding when its check ends."""
    request = CheckRequest(inputs.store, inputs.dataset)
    wanted = checks(inputs.store)
    findings: list[Finding] = []

    def look(some: Sequence[Check]) -> None:
        for finding in supervise.findings(some, request, patience_s=runtime.timeout_s):
            findings.append(finding)
            report(finding)

    look([check for check in wanted if check.group != "batches"])
    # The newest dataset is not looked for before it is known whether the store answers.
    reached = not any(f.check == "reach" and f.verdict == "fail" for f in findings)
    if request.dataset is None and reached:
        newest = newest_whole(Store(inputs.store), "dataset")
        request = replace(request, dataset=newest.path if newest is not None else None)
    look([check for check in wanted if check.group == "batches"])
    return Report(request.store, request.dataset, tuple(findings))
