"""`vitctl doctor`: is this machine fit to train on?

spec     inputs of the checks, and their report
command  the command-line flags
run      checks in processes of their own, reported as each one ends
text     a finding in words, for people
"""
