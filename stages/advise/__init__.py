"""`vitctl advise`: a budget, or an error to reach, and hardware -> what to train, and how.

spec      the request, and what advice is on; imports no array library
command   the command-line flags
settings  what a user gives -> the request
run       the stage from top to bottom
budgets   hours of the devices and images of each model that a budget buys
results   choices and what is known of them -> the answer
refusals  why there is no advice, or a model is no candidate
text      the advice in words, for people
"""
