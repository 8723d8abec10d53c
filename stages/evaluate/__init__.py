"""`vitctl evaluate`: a checkpoint and a dataset -> scores, metrics, every answer.

spec       version and settings; imports no array library
settings   what a user gives -> the settings of the stage; needs no terminal
command    the command-line flags
targets    what is right for each image
compare    two evaluations of the same images
comparing  what `--compare` names -> two evaluations
written    the files of an evaluation
run        the stage from top to bottom
"""
