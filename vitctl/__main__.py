"""`python -m vitctl`: the command, where its folder is not in PATH, or by a chosen interpreter."""

from __future__ import annotations

import sys

import vitctl.launch

if __name__ == "__main__":
    # Spawned workers import the module that this names, as those of the console script do: it
    # makes them find the right `stages`. Of a `__main__` they import nothing.
    __spec__ = vitctl.launch.__spec__
    sys.argv[0] = "vitctl"  # what artifacts record as the command that made them
    vitctl.launch.main()
