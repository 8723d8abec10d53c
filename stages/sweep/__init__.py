"""`vitctl sweep`: a grid of models, dataset sizes and durations -> a table of trained models.

spec      version, the settings of a grid, and inputs; imports no array library
settings  what a user gives -> the settings and inputs
command   the command-line flags
axes      the keys of training that vary in a grid, and those that all runs share
trunks    trunks and their branches as values
searches  the short runs that choose a learning rate
grid      settings and facts on the images -> trunks and their branches, nothing trained
parts     the trunks that one of several machines trains
cost      FLOPs, bytes and seconds that a plan will take, and what does not fit
in_store  what of the grid is in the store already
plan      what will be trained, in which order, at which cost: the answer of --dry-run
rates     the learning rate of a trunk, chosen on a short run
cells     one branch: trained, cooled down and probed
on_a_cluster  the same by the nodes of a Ray cluster, a trunk a worker
pace      how long the rest takes
sentences  those of pretrain with settings in place of flags
row       a branch -> its row of the table
text      the plan in words
answer    the plan as text for people, on stdout
run       the stage from top to bottom
"""
