"""`vitctl plan`: settings and hardware -> memory, speed and cost.

spec      version, settings and inputs; imports no array library
command   the command-line flags
settings  what a user gives -> settings and inputs
run       the stage from top to bottom
results   programs and counts -> the answer
text      the answer in words, for people
"""
