"""Commands killed at random moments, and the same commands again: `just kills`.

forks.py      commands in forks of one process that has imported all there is to import
trials.py     one kill: when, what it hit, and whether the same command then ends bitwise equal
moments.py    every moment of making a draft and a run, without any command
__main__.py   fifty of each, as a table
"""
