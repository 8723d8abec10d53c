"""The flags that commands share: where results go, output, settings, processes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vitctl.console import completion
from vitctl.console.help import show_all
from vitctl.places import place
from vitctl.processes import cluster
from vitctl.settings.config import Config

if TYPE_CHECKING:
    pass

_PLACE = "Where it goes"
_CONFIG = "Configuration"
_OUTPUT = "Output"
_SEVERAL = "Processes"
ALWAYS: dict[str, tuple[Any, Any]] = {
    "store": (
        Annotated[
            Any,
            typer.Option(
                parser=place,
                metavar="DIR|URL",
                help="Store of artifacts: a folder, gs:// or s3:// (default: artifacts).",
                envvar="VITCTL_STORE",
                show_default=False,
                rich_help_panel=_PLACE,
            ),
        ],
        "artifacts",
    ),
    "json": (
        Annotated[
            bool,
            typer.Option(
                "--json",
                help="Print the answer as JSON.",
                rich_help_panel=_OUTPUT,
            ),
        ],
        False,
    ),
    "quiet": (
        Annotated[
            bool,
            typer.Option(
                "--quiet", "-q", help="On stderr, print errors only.", rich_help_panel=_OUTPUT
            ),
        ],
        False,
    ),
}
PLACES: dict[str, tuple[Any, Any]] = {
    "name": (
        Annotated[
            str | None,
            typer.Option(
                help="Name of the result; its folder is NAME-ID (default: after the model or the "
                "input).",
                rich_help_panel=_PLACE,
            ),
        ],
        None,
    ),
    "out": (
        Annotated[
            Any,
            typer.Option(
                parser=place,
                metavar="DIR|URL",
                help="Exact folder of the result, instead of NAME-ID in the store.",
                rich_help_panel=_PLACE,
            ),
        ],
        None,
    ),
    "force": (
        Annotated[
            bool,
            typer.Option(
                "--force",
                help="Make the result again; the existing one is deleted, a training run with all "
                "its checkpoints.",
                rich_help_panel=_PLACE,
            ),
        ],
        False,
    ),
}
PROCESSES: dict[str, tuple[Any, Any]] = {
    "processes": (
        Annotated[
            int | None,
            typer.Option(
                metavar="N",
                help="Number of processes that work together; 1 ignores a cluster "
                "(default: as SLURM, MPI, Kubernetes or Cloud TPU say, else 1).",
                envvar=cluster.PROCESSES,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "process_id": (
        Annotated[
            int | None,
            typer.Option(
                metavar="I",
                help="Index of this process, from 0 (default: the cluster's).",
                envvar=cluster.PROCESS_ID,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "coordinator": (
        Annotated[
            str | None,
            typer.Option(
                metavar="HOST:PORT",
                help="Address of process 0 (default: the cluster's).",
                envvar=cluster.COORDINATOR,
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "start_timeout": (
        Annotated[
            int | None,
            typer.Option(
                metavar="SECONDS",
                min=1,
                help="Seconds to wait until all processes have connected (default: 300).",
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
    "hang_timeout": (
        Annotated[
            float | None,
            typer.Option(
                metavar="SECONDS",
                min=0.1,
                help="Seconds after which a step counts as hanging (default: from the times of "
                "earlier steps).",
                rich_help_panel=_SEVERAL,
            ),
        ],
        None,
    ),
}
RARE = {"out", "force", *PROCESSES}
"""Shared flags that `--help` leaves out where it leaves out others, too."""


def of_settings(model: type[Config]) -> dict[str, tuple[Any, Any]]:
    """The flags that take any setting of `model`."""
    return {
        "settings": (
            Annotated[
                list[str] | None,
                typer.Option(
                    "--set",
                    metavar="KEY=VALUE",
                    help="Set any setting that --print-config shows; repeatable.",
                    autocompletion=completion.settings_of(model),
                    rich_help_panel=_CONFIG,
                ),
            ],
            None,
        ),
        "config": (
            Annotated[
                Path | None,
                typer.Option(
                    metavar="FILE.toml",
                    help="Read settings from a file; flags and --set win over it.",
                    rich_help_panel=_CONFIG,
                ),
            ],
            None,
        ),
        "print_config": (
            Annotated[
                bool,
                typer.Option(
                    "--print-config",
                    help="Print all resolved settings as TOML and stop.",
                    rich_help_panel=_CONFIG,
                ),
            ],
            False,
        ),
    }


HELP_ALL = Annotated[
    bool,
    typer.Option(
        "--help-all",
        callback=show_all,
        is_eager=True,
        expose_value=False,
        help="Show all options and stop.",
    ),
]
