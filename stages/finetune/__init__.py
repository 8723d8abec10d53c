"""`vitctl finetune`: a pretrained checkpoint -> a model for a dataset's classes.

spec      version, settings and inputs; imports no array library
settings  what a user gives -> the settings of the stage; needs no terminal
command   the command-line flags
sweep     the learning rate that is best on images held out of those to train on
run       the stage from top to bottom
"""
