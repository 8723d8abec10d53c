"""`vitctl scaling plot`: a table or a fit -> figures, as an artifact.

spec     version, settings and inputs; imports no array library
command  the command-line flags
run      table or fit -> study -> figures -> artifact
"""
