"""`vitctl average`: the weights of several checkpoints as one model.

command   its flags
spec      what it reads, decides and makes
settings  what a user gives -> its settings and inputs
run       how it works
soup      which checkpoints a greedy soup takes
"""
