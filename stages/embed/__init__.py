"""`vitctl embed`: a checkpoint and images -> their features, kept.

spec      version, settings and inputs; imports no array library
settings  what a user gives -> the settings of the stage; needs no terminal
command   the command-line flags
run       the stage from top to bottom
"""
