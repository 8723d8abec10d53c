"""One process works below a path at a time.

exclusive  the lock file of a folder or a bucket: which of the following stands behind it
heartbeat  a file whose holder raises a count, where flock is of one machine only or not there
leases     a row of objects, where there are no files
holder     which process holds something, and whether it is gone
mounts     whether other machines may see a folder, too

A holder that lost its lock writes, replaces and removes nothing more: see places/guards.py.
"""
