"""Order a process of a server. As a program (SOCKET PAYER CODE WORDS...) it is that process for a
shell: its descriptors, folder and environment are passed on, and it ends with the same exit code.
PAYER is the id of the test process whose processor time it is."""

from __future__ import annotations

import array
import json
import os
import socket
import sys
from typing import Any


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    return connection


def order(connection: socket.socket, process: dict[str, Any], *, descriptors: list[int]) -> int:
    """The id of a new process. `descriptors`: its stdin, stdout and stderr; -1 for a closed one."""
    open_ones = [number for number in descriptors if number != -1]
    content = json.dumps({**process, "open": [number != -1 for number in descriptors]}).encode()
    header = len(content).to_bytes(4, "big")
    rights = array.array("i", open_ones)
    connection.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    connection.sendall(content)
    return int.from_bytes(receive(connection, 4), "big")


def status(connection: socket.socket) -> tuple[int, float]:
    """Wait for its end: what `os.waitpid` said, and the processor time of it and its children in
    seconds."""
    content = receive(connection, 12)
    return int.from_bytes(content[:4], "big"), int.from_bytes(content[4:], "big") / 1e6


def receive(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        part = connection.recv(length - len(content))
        if not part:
            raise ConnectionError("the server of forks is gone")
        content += part
    return content


def _main(path: str, payer: str, code: str, *arguments: str) -> None:
    descriptors = []
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            descriptors.append(-1)
        else:
            descriptors.append(number)
    process = {"code": code, "words": arguments, "folder": os.getcwd(), "session": False}
    process["payer"] = payer
    connection = connect(path)
    order(connection, process | {"environment": dict(os.environ)}, descriptors=descriptors)
    code_of_it = os.waitstatus_to_exitcode(status(connection)[0])
    os._exit(code_of_it if code_of_it >= 0 else 128 - code_of_it)


if __name__ == "__main__":
    _main(*sys.argv[1:])
