"""The Ray cluster that a user names, looked at before hours are spent. Imports no Ray."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

from pydantic import AfterValidator

from vitctl import extras
from vitctl.errors import NotFoundError, UsageError
from vitctl.text.quoting import quoted

AUTO, LOCAL = "auto", "local"
_HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
_REACH_S = 5.0
"""A host that refuses answers in milliseconds; one that drops packets never does."""
_FORMS = "--ray auto takes the cluster of this machine, --ray local begins one, else HOST:PORT"


@dataclass(frozen=True)
class RayAddress:
    """`text` is auto, local or HOST:PORT; of the latter `host` and `port`."""

    text: str
    host: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        return self.text


def parsed(text: str) -> RayAddress:
    """Raises UsageError for what is no address of a cluster."""
    if text in (AUTO, LOCAL):
        return RayAddress(text)
    if text.startswith("ray://"):
        raise UsageError(
            f"--ray {quoted(text)} is of Ray Client, and the command has to run on a node of the "
            "cluster",
            hint="start it on a node (ray job submit does) with --ray auto",
        )
    match = _HOST_AND_PORT.fullmatch(text)
    port = int(match["port"]) if match is not None else 0
    if match is None or not 0 < port < 2**16:
        raise UsageError(f"--ray {quoted(text)} is no address of a Ray cluster", hint=_FORMS)
    return RayAddress(text, match["host"].strip("[]"), port)


def _checked(text: str) -> str:
    parsed(text)
    return text


AddressText = Annotated[str, AfterValidator(_checked)]
"""As a user writes it, known to be one."""


def check_reachable(text: str | None) -> None:
    """Raise UsageError where Ray is not installed, NotFoundError where nothing listens at the
    address. None is no cluster."""
    if text is None:
        return
    address = parsed(text)
    if find_spec("ray") is None:
        raise UsageError(
            f"--ray {address} needs Ray, which is not installed",
            hint=f"{extras.install('ray')}, or leave out --ray to work on this machine",
        )
    if address.host is None or address.port is None:
        return
    try:
        socket.create_connection((address.host, address.port), timeout=_REACH_S).close()
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise NotFoundError(
            f"there is no Ray cluster at {address} ({reason})",
            hint="ray status --address HOST:PORT says whether one runs; leave out --ray to work on "
            "this machine",
        ) from None
