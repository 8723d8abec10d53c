"""`vitctl bench`: how fast this machine does a part of the work, and where the time goes.

command  the group of commands, for typer
feed     `vitctl bench feed`
"""
