"""A run at an MLflow server, or in its database on this disk.

MLflow's own environment variables choose where (MLFLOW_TRACKING_URI; without one MLflow takes
`mlflow.db` in the working folder) and the experiment (MLFLOW_EXPERIMENT_NAME, `vitctl` if none is
named).
  https://mlflow.org/docs/latest/ml/tracking
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vitctl import extras
from vitctl.errors import UsageError
from vitctl.text.quoting import one_line
from vitctl.train.config import TrackerName
from vitctl.train.telemetry.scalars import scalars
from vitctl.train.telemetry.tracker import Ending, NoAnswerError, Row, Tracked, Tracker

_STATES: dict[Ending, str] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
# What a server takes in one request.
#   https://mlflow.org/docs/latest/api_reference/rest-api.html#request-limits
_METRICS_AT_ONCE = 1000
_PARAMETERS_AT_ONCE = 100
_LONGEST_PARAMETER = 6000
_LONGEST_KEY = 250
_ACCOUNT = (
    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, to an "
    "account that may write there"
)
_HINTS = {"UNAUTHENTICATED": _ACCOUNT, "PERMISSION_DENIED": _ACCOUNT}
_OTHER_HINT = (
    "set MLFLOW_TRACKING_URI to a server (https://...) or to a database "
    "(sqlite:////FOLDER/mlflow.db)"
)


class MlflowRun(Tracker):
    name: ClassVar[TrackerName] = "mlflow"
    confirms: ClassVar[bool] = True

    def __init__(self) -> None:
        # Its Git library complains on stderr where no git is installed; nothing here needs one.
        os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
        # By itself it tries for many minutes, with a warning each time, before it fails.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        try:
            import mlflow
            from mlflow.exceptions import MlflowException
        except ImportError as error:
            raise UsageError(
                f"--track mlflow needs a package that is not installed ({one_line(error)})",
                hint=f"install it: {extras.install('mlflow')}",
            ) from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._mlflow, self._exception = mlflow, MlflowException
        self._client: Any = None
        self._run_id = ""

    def begin(self, run: Tracked, *, known: str | None) -> str:
        try:
            self._client = self._mlflow.MlflowClient()
            self._run_id = self._going_on(known) or self._new(run)
        except self._exception as error:
            if error.error_code == "INTERNAL_ERROR":  # also of a server that is not there
                raise NoAnswerError(f"mlflow can't be used now ({one_line(error)})") from None
            raise UsageError(
                f"mlflow refuses to begin a run ({one_line(error)})",
                hint=_HINTS.get(error.error_code, _OTHER_HINT),
            ) from None
        return self._run_id

    def _going_on(self, known: str | None) -> str | None:
        """The run `known`, opened again; None if it is gone."""
        if known is None:
            return None
        try:
            if self._client.get_run(known).info.lifecycle_stage == "deleted":
                return None
            self._client.update_run(known, status="RUNNING")
        except self._exception as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return known

    def _new(self, run: Tracked) -> str:
        client, entities = self._client, self._mlflow.entities
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "vitctl")
        experiment = client.get_experiment_by_name(name)
        if experiment is not None and experiment.lifecycle_stage == "deleted":
            raise UsageError(
                f"mlflow's experiment {name} was deleted",
                hint="restore it, or name another: MLFLOW_EXPERIMENT_NAME",
            )
        number = client.create_experiment(name) if experiment is None else experiment.experiment_id
        tags = {"vitctl.id": run.id, "vitctl.stage": run.stage}
        made = client.create_run(number, run_name=run.name, tags=tags)
        parameters = [
            entities.Param(key[:_LONGEST_KEY], str(value)[:_LONGEST_PARAMETER])
            for key, value in _flat(run.config)
        ]
        for first in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            client.log_batch(
                made.info.run_id, params=parameters[first : first + _PARAMETERS_AT_ONCE]
            )
        return str(made.info.run_id)

    @property
    def where(self) -> str:
        return f"run {self._run_id} at {self._mlflow.get_tracking_uri()}"

    def send(self, rows: Sequence[Row]) -> None:
        now_ms = int(time.time() * 1000)
        metrics = [
            self._mlflow.entities.Metric(name, value, now_ms, row["step"])
            for row in rows
            for name, value in scalars(row).items()
        ]
        for first in range(0, len(metrics), _METRICS_AT_ONCE):
            self._client.log_batch(self._run_id, metrics=metrics[first : first + _METRICS_AT_ONCE])

    def finish(self, ending: Ending) -> None:
        self._client.set_terminated(self._run_id, status=_STATES[ending])


def _flat(config: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Every setting with its dotted key: parameters have no levels there."""
    pairs: list[tuple[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        else:
            pairs.append((prefix + key, value))
    return pairs
