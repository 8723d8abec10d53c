"""A run at Weights & Biases, or with WANDB_MODE=offline in a folder that `wandb sync` sends later.

The package's own environment variables choose the account, the mode, the entity, the project
(`vitctl` if none is named) and the folder. Of this machine nothing is sent: no host, command,
code, output or packages.
  https://docs.wandb.ai/guides/track/environment-variables
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from typing import Any, ClassVar

from vitctl import extras
from vitctl.errors import UsageError
from vitctl.text.quoting import one_line
from vitctl.train.config import TrackerName
from vitctl.train.telemetry.scalars import scalars
from vitctl.train.telemetry.tracker import Ending, NoAnswerError, Row, Tracked, Tracker

_LOGIN_S = 30
_EXIT_CODES: dict[Ending, int] = {"finished": 0, "stopped": 1, "failed": 1}


class WandbRun(Tracker):
    name: ClassVar[TrackerName] = "wandb"
    confirms: ClassVar[bool] = False

    def __init__(self) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UsageError(
                f"--track wandb needs a package that is not installed ({one_line(error)})",
                hint=f"install it: {extras.install('wandb')}",
            ) from None
        self._wandb = wandb
        self._run: Any = None

    def begin(self, run: Tracked, *, known: str | None) -> str:
        wandb = self._wandb
        project = os.environ.get("WANDB_PROJECT", "vitctl")
        new = f"{run.id[:12]}-{secrets.token_hex(4)}"
        # A run of another project stays what it was.
        known_project, _, name = (known or "").rpartition("/")
        if known_project != project:
            name = new
        settings = wandb.Settings(
            silent=True,
            # Its folders are named by the second: two starts within one would share it.
            x_sync_dir_suffix=secrets.token_hex(2),
            host=os.environ.get("WANDB_HOST", "hidden"),
            username=os.environ.get("WANDB_USERNAME", ""),
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            x_disable_meta=True,
            x_disable_stats=True,
            x_disable_machine_info=True,
            x_save_requirements=False,
            init_timeout=_LOGIN_S,
        )
        try:
            # `init` would ask at a terminal, and a training run must not wait for an answer.
            mode = wandb.setup().settings.mode
            if mode == "disabled":
                raise NoAnswerError("wandb is switched off (its mode is disabled)")
            if mode not in ("offline", "dryrun") and not wandb.login(prompt=False):
                raise wandb.errors.UsageError("no account is logged in")
            arguments = {
                "project": project,
                "resume": "allow",
                "name": run.name,
                "job_type": run.stage,
                "config": {**run.config, "vitctl_id": run.id},
                "settings": settings,
            }
            try:
                self._run = wandb.init(id=name, **arguments)
            except wandb.errors.CommError as error:
                if name == new or "delete" not in str(error).lower():
                    raise
                name = new  # the name of a run that was deleted there is never free again
                self._run = wandb.init(id=name, **arguments)
        except wandb.errors.UsageError as error:
            raise UsageError(
                f"wandb refuses to begin a run ({one_line(error)})",
                hint="run `wandb login`, or set WANDB_MODE=offline and run `wandb sync` later",
            ) from None
        except wandb.errors.Error as error:
            raise NoAnswerError(f"wandb can't be used now ({one_line(error)})") from None
        # Steps are the x-axis of every curve: the package's own count only grows, a run that
        # goes back to a checkpoint does not.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        return f"{project}/{name}"

    @property
    def where(self) -> str:
        run = self._run
        return str(run.settings.sync_dir if run.offline else run.url)

    def send(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log({"step": row["step"], **scalars(row)})

    def finish(self, ending: Ending) -> None:
        self._run.finish(exit_code=_EXIT_CODES[ending])

    def abandon(self) -> None:
        # Its hook at the end of the process waits for uploads as long as they take. What it took is
        # in its folder, from where `wandb sync` sends it.
        connection = getattr(self._wandb.setup(), "_connection", None)
        process = getattr(getattr(connection, "_proc", None), "_process", None)
        if process is not None:
            if (unregister := getattr(connection, "_cleanup", None)) is not None:
                unregister()
            process.kill()
