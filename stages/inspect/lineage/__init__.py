"""`vitctl lineage`: the tree of an artifact's inputs.

spec     what is named, and its tree
command  the command-line flags
run      what is named -> the tree of its inputs
text     the tree as it is drawn, for people
"""
