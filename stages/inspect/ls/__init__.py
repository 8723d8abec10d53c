"""`vitctl ls`: what a store holds.

spec     which rows are wanted, and what a row is
command  the command-line flags
run      artifacts, runs and drafts, the damaged ones too -> rows
text     a row as cells of a table, for people
"""
