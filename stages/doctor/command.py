"""`vitctl doctor`: is this machine fit to train on?"""

from __future__ import annotations

from typing import Annotated

from typer import Option

from vitctl.console.session import Session
from vitctl.console.verb import verb


@verb(makes=False)
def doctor(
    session: Session,
    data: Annotated[
        str | None, Option(help="Dataset to read a batch of; the newest if left out.")
    ] = None,
    timeout: Annotated[
        float | None,
        Option(min=0.1, help="Seconds each check may take, instead of its own measure."),
    ] = None,
) -> None:
    """Example: vitctl doctor --store /mnt/artifacts

    Check devices, memory, disk, locks, versions, an exchange between the devices, and the time to
    the first batch. Each check says ok, warn or fail, with a hint; it never hangs. The exit code
    is 0 if none failed, else 2 (set-up), 3 (data) or 6 (room), that of the first that did.
    """
    from stages.doctor.run import run

    run(session, data=data, timeout_s=timeout)
