"""One process works below a path at a time.

    exclusive  the lock of a folder or a bucket, and which of the following stands behind it
    heartbeat  a file with a rising count, where flock is missing or of one machine only
    leases     a row of objects, where there are no files
    holder     the process that holds a lock, and whether it is gone
    pins       checkpoints of a run that other work begins from
    mounts     whether other machines may see a folder, too
    names      the names of lock files
    timing     the clock that locks go by

A holder that lost its lock writes, replaces and removes nothing more: see places/guards.py.
"""
