"""`vitctl export`: a checkpoint -> files that another program loads.

spec      version, settings and inputs; imports no array library
settings  what a user gives -> the settings of the stage; needs no terminal
command   the command-line flags
card      the model card
run       the stage from top to bottom
"""
