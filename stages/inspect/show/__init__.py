"""`vitctl show`: one artifact or run, whole.

spec      what is shown
command   the command-line flags
run       all that is recorded of it
text      its sections in lines, for people
mistakes  what an evaluation got wrong
laws      a fitted law
sweeps    the runs of a sweep
"""
