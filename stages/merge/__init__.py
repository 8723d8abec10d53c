"""`vitctl merge`: the parts of a dataset, made by several machines -> the dataset.

command    its flags
spec       what it reads and makes
settings   what a user gives -> parts
agreement  whether parts are those of one dataset, each once
run        how it works
"""
