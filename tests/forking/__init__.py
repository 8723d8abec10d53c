"""Real processes that need not import what they run: forks of a server that has imported it.

A new interpreter that trains takes 3 s of processor time before its first line, and 10 s more with
TensorFlow; a fork takes 0.05 s. `Forked` is a `subprocess.Popen` of `python -c CODE`: descriptors,
folder, environment, signals, threads and the end of the interpreter are the process's own. What is
imported, when, and what happens before that is tested with `subprocess` itself.

process.py    Forked, run and shell_command: what tests call
client.py     orders a process of a server; a program for a shell, too
server.py     imports, and forks for each order
tensorflow.py imports TensorFlow as vitctl does, for a server
"""

from tests.forking.process import (
    COMMAND,
    DECODING,
    FORKED_WORKERS,
    LOOKING,
    SCALING,
    TRAINING,
    Forked,
    run,
    shell_command,
)

__all__ = [
    "COMMAND",
    "DECODING",
    "FORKED_WORKERS",
    "LOOKING",
    "SCALING",
    "TRAINING",
    "Forked",
    "run",
    "shell_command",
]
