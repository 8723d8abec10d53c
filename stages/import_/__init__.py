"""`vitctl import`: weights of another codebase -> a run that every stage accepts.

spec            version, settings and inputs; imports no array library
settings        what a user gives -> the settings of the stage; needs no terminal
command         the command-line flags
model_settings  a model as it was read -> the settings of the run it becomes
run             the stage from top to bottom
"""
