"""`vitctl scaling fit`: a table -> the fitted law, as an artifact.

spec      version, settings and inputs; imports no array library
command   the command-line flags
run       table -> points -> study -> artifact
announce  the fit in words, for stderr
"""
