"""`vitctl fewshot`: features of labelled images -> accuracies of many draws.

spec        version, settings and inputs; imports no array library
settings    what a user gives -> the settings of the stage; needs no terminal
command     the command-line flags
subjects    what is probed: a model, or stored features
comparison  two results on the same draws
comparing   what `--compare` names -> two results
results     what is recorded and said
run         the stage from top to bottom
"""
