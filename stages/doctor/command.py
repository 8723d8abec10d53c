"""`vitctl doctor`: is this machine fit to train on?"""

from __future__ import annotations

from typing import Annotated

from typer import Option

from stages.doctor.spec import DoctorRuntime, Inputs
from vitctl.console import completion
from vitctl.console.session import Session
from vitctl.console.verb import verb
from vitctl.doctor.finding import Finding, exit_code
from vitctl.errors import (
    DoesNotFitError,
    InputError,
    InterruptedRun,
    NotFoundError,
    UsageError,
    VitctlError,
)
from vitctl.settings.overrides import build

_ERRORS: dict[int, type[VitctlError]] = {
    2: UsageError,
    3: InputError,
    4: NotFoundError,
    6: DoesNotFitError,
    10: InterruptedRun,
}


@verb(makes=False)
def doctor(
    session: Session,
    data: Annotated[
        str | None,
        Option(
            metavar="REF",
            help="Dataset to read a batch from (default: the newest in the store).",
            autocompletion=completion.datasets,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        Option(
            metavar="SECONDS",
            min=0.1,
            help="Time limit of each check in seconds (default: each check has its own).",
        ),
    ] = None,
) -> None:
    """Example: vitctl doctor --store /mnt/artifacts

    Check devices, memory, disk, locks, versions, an exchange between the devices, and the time to
    the first batch. Each check reports ok, warn or fail, with a hint; the command never hangs. The
    exit code is 0 if no check failed, else that of the first failed check: 2 (set-up), 3 (data),
    4 (no such bucket), 6 (memory or disk) or 10 (no response).
    """
    check_machine(session, data=data, timeout_s=timeout)


def check_machine(session: Session, *, data: str | None, timeout_s: float | None) -> None:
    """Answer with a line a check, or one JSON object. Raises the error of the first failed one."""
    from stages.doctor.run import names, run
    from stages.doctor.text import lines

    dataset = None if data is None else session.one("dataset", data, option="--data", stdin=False)
    inputs = Inputs(session.store.root.absolute(), dataset.path if dataset else None)
    width = max(map(len, names(inputs)))

    def show(finding: Finding) -> None:
        if not session.options.json:
            session.answer_text(lines(finding, width=width))

    report = run(inputs, runtime=build(DoctorRuntime, {"timeout_s": timeout_s}), report=show)
    if session.options.json:
        session.answer_json(report.as_json())
    if code := exit_code(report.findings):
        failed = [finding for finding in report.findings if finding.verdict == "fail"]
        raise _ERRORS.get(code, UsageError)(
            f"{len(failed)} of {len(report.findings)} checks failed: "
            + ", ".join(finding.check for finding in failed),
            hint=failed[0].hint,
        )
