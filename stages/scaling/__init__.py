"""`vitctl scaling`: the commands on scaling laws.

command   the group of both commands, for typer
flags     the flags that both commands share
settings  what a user gives -> the settings of both commands
analysis  a table -> its study, for both commands
fit       `vitctl scaling fit`
plot      `vitctl scaling plot`
"""
