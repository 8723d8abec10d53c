"""The commands that show or check a store and change nothing.

text     summaries, steps and times in a few words, for tables
ls       `vitctl ls`: what a store holds
show     `vitctl show`: one artifact or run, whole
lineage  `vitctl lineage`: the tree of an artifact's inputs
verify   `vitctl verify`: is it still as published?
"""
