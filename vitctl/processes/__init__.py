"""Several processes that work on one model together, through `jax.distributed`.

    cluster   the number of processes and this one's index: flags, the environment
    connection  connecting, and leaving: in good order, or because of an error
    exchange  values between processes: share, gather, collect, agree
    arrays    arrays between processes, through the devices
    pulse     the state of each process, and the step at which all stop
    compile_barrier  programs that all processes have compiled before one runs them
    watchdog  a process that hangs or is gone, its stack, and the end of one that waits in vain

One process is the default and needs none of it: then `first()` is True, `share` calls its function,
nothing waits, and nothing here but `compile_barrier` imports jax before it is used.
"""

from vitctl.processes.connection import shared_stop, stacks_in
from vitctl.processes.exchange import agree, collect, count, first, gather, index, share
from vitctl.processes.pulse import mark, starved, starved_others

__all__ = [
    "agree",
    "collect",
    "count",
    "first",
    "gather",
    "index",
    "mark",
    "share",
    "shared_stop",
    "stacks_in",
    "starved",
    "starved_others",
]
