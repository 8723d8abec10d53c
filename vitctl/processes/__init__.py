"""Several processes that work on one model together, through `jax.distributed`.

    cluster.py    how many there are and which one this is: flags, the environment
    start.py      connect; leave in good order, or because of an error
    exchange.py   values between them: share, gather, collect, agree
    pulse.py      what each is doing, who ended, at which step all stop
    watchdog.py   who hangs or is gone, its stack, and the end of a process that waits in vain

One process is the default and needs none of it: then `first()` is True, `share` calls its function,
nothing waits, and nothing here imports jax.
"""

from vitctl.processes.exchange import agree, collect, count, first, gather, index, share
from vitctl.processes.pulse import mark, starved, starved_others
from vitctl.processes.start import stacks_in, together

__all__ = [
    "agree",
    "collect",
    "count",
    "first",
    "gather",
    "index",
    "mark",
    "share",
    "stacks_in",
    "starved",
    "starved_others",
    "together",
]
