"""`vitctl vtab`: a checkpoint fine-tuned on few images of many datasets, by one setting.

spec      version, settings and inputs; imports no array library
settings  what a user gives -> the settings, and which task each dataset is
command   the command-line flags
cost      what the fine-tunings will take, before any begins: the answer of --dry-run
answer    that as text
text      the table, for people and as CSV
run       the stage from top to bottom
"""
