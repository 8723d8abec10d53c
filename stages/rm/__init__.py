"""Taking artifacts, runs and checkpoints out of a store.

command  the flags, what is named, and the lines that tell what went
"""
