"""First SIGINT or SIGTERM: finish the step, save, exit 10. A second: stop now (130, 143).

stop        whether a stop was requested, and whether a second signal insists
ownership   the signals of a command that the same command continues
loops       the blocks in which a first signal is only a request
deaf        Ctrl-C in commands of another kind, while their main thread hears nothing
abandoned   work in a thread of its own, which a signal may leave behind
unraisable  interrupts in finalizers and callbacks, where Python can raise nothing
"""

from vitctl.signals.abandoned import Abandoned, BackgroundWork, under_way, unless_abandoned
from vitctl.signals.deaf import ending_if_deaf
from vitctl.signals.loops import graceful, nothing_to_save, unless_owned
from vitctl.signals.ownership import (
    Interrupted,
    Owner,
    go_on,
    own_signals,
    owner,
    raise_if_asked,
    settle,
)
from vitctl.signals.stop import Stop
from vitctl.signals.unraisable import keep_interrupts

__all__ = [
    "Abandoned",
    "BackgroundWork",
    "Interrupted",
    "Owner",
    "Stop",
    "ending_if_deaf",
    "go_on",
    "graceful",
    "keep_interrupts",
    "nothing_to_save",
    "own_signals",
    "owner",
    "raise_if_asked",
    "settle",
    "under_way",
    "unless_abandoned",
    "unless_owned",
]
