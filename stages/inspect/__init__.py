"""Commands that only look: ls, show, lineage, verify.

ls       what a store holds; rows are made in `listing`
show     one artifact or run, whole
lineage  the tree of its inputs
verify   whether it is what was published; the checks are in `checks`, those of images in `images`
tree     nested values as indented lines
words    summaries, sizes and times in a few words
"""
