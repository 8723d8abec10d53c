"""Commands killed at random moments, and the same commands again: `just kills`.

commands.py   commands that are killed, as forks of a server (tests.forking)
changes.py    in such a process: what it does to files, and its end at one of them
trials.py     one kill: when, what it hit, and whether the same command then ends bitwise equal
moments.py    every moment of making a draft and a run, without any command
__main__.py   fifty of each, as a table
"""
