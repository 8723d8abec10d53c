"""`vitctl predict`: a checkpoint and image files -> classes with probabilities.

spec      settings, inputs and answers; imports no array library
settings  what a user gives -> the settings of the stage; needs no terminal
command   the command-line flags
names     arguments, folders and stdin -> the files that are looked at
text      answers as a person and as a program reads them
run       the stage from top to bottom
"""
