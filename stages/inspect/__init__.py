"""The commands that only look: ls, show, lineage, verify.

ls        `vitctl ls`: the contents of a store
listing   the rows of ls: artifacts, runs and drafts, damaged ones too
show      `vitctl show`: one artifact or run, whole
lineage   `vitctl lineage`: the tree of an artifact's inputs
verify    `vitctl verify`: is it still as published?
mistakes  what an evaluation got wrong, for show
checks    an artifact, a run or a draft against its manifest
images    records of a dataset against its description, samples of a run against its order
text      summaries, sizes and times in a few words, for tables
"""
