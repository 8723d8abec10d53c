"""`vitctl rm`: removing artifacts, runs and checkpoints from a store.

spec        what is to go, and what is said of each thing that went; no array library
command     the command-line flags
references  what is named, as members of a store
run         what goes with it, and its removal, one after the other
text        what went in words, for people
"""
