"""What a page that goes to others must not have: paths, hosts, users.

Fields that hold such (a manifest's `path`, `host`, the store) are not written at all. This is for
free text, which may quote them: command lines, sentences of errors.
"""

from __future__ import annotations

import getpass
import os
import platform
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PATH = "PATH"
HOST = "HOST"
USER = "USER"

_URL = r"(?:gs|s3|file|https?|ssh|hdfs|abfs|az)://[^\s'\"<>]+"
_HOME = r"~[\w.-]*/[^\s'\"<>:;,)]*"
_POSIX = r"(?<![\w.)\]}/])/(?:[^\s'\"<>:;,/]+/)*[^\s'\"<>:;,/]+/?"
_WINDOWS = r"\b[A-Za-z]:\\[^\s'\"<>]+|\\\\[\w.-]+\\[^\s'\"<>]+"
_PATHS = re.compile(f"{_URL}|(?<![\\w/]){_HOME}|{_POSIX}|{_WINDOWS}")
_SHORTEST = 2


class Redaction:
    """Takes paths, and the names of hosts and users, out of sentences."""

    def __init__(self, *, hosts: Iterable[str] = (), roots: Iterable[str] = ()) -> None:
        """`hosts` that results were made on; `roots`: folders whose paths may hold blanks."""
        self._roots = sorted({root for root in roots if len(root) > 1}, key=len, reverse=True)
        names = {HOST: {*hosts, platform.node()}, USER: set(_users())}
        self._hidden = [
            (re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])"), name)
            for name, some in names.items()
            for word in sorted(some, key=len, reverse=True)
            if len(word) > _SHORTEST
        ]

    def __call__(self, text: str) -> str:
        """The sentence with words in capitals in their places."""
        for root in self._roots:
            text = re.sub(re.escape(root) + r"(?:/[^\s'\"<>:;,]*)?", PATH, text)
        text = _PATHS.sub(PATH, text)
        for pattern, name in self._hidden:
            text = pattern.sub(name, text)
        return text


def is_path(word: str) -> bool:
    """Whether an argument names a place on somebody's machine or network: it has a separator."""
    return "/" in word or "\\" in word or word.startswith("~")


def _users() -> Iterable[str]:
    """Names of this user: one that is an everyday word of the subject is no secret."""
    home = Path(os.path.expanduser("~")).name
    names = {home}
    with suppress(OSError, KeyError):  # a user id without a name, as in containers
        names.add(getpass.getuser())
    return names - {"root", "user", "home", ""}
