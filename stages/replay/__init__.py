"""`vitctl replay`: a run and a step -> the batch it trained on.

spec      version, settings and inputs; imports no array library
command   the command-line flags
settings  what a user gives -> settings
run       the stage from top to bottom
text      a replayed batch for people and for programs
"""
