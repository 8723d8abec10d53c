"""Several processes that work on one artifact: the one package here that knows of them.

    store      what opens drafts and runs for this process, alone or one of several
    drafts     a draft and a run that several processes write to and process 0 publishes
    agreement  where process 0 works and what it publishes, known and seen by all
    growth     copies that one process makes while others wait

Stores, runs and drafts know a single process. `of(store)` is what makes them for this one: the
store itself where it is alone; of several, one whose drafts and runs process 0 locks, clears,
decides and publishes, while all write their part.

The store is a directory all of them see, or in a bucket.
"""

from vitctl.artifacts.crew.growth import growth_told
from vitctl.artifacts.crew.store import of, require_whole

__all__ = ["growth_told", "of", "require_whole"]
