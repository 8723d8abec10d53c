"""`vitctl shard`: images -> a dataset artifact.

spec      version, settings and inputs; imports no array library
command   the command-line flags
settings  what a user gives -> settings and inputs
planning  a source before an image is read: splits, classes, the recipe
preview   --dry-run: a source, a sample of it, and what all of it takes
answer    what --dry-run answers, as one value
preview_text  its words, for people
run       listing -> plan -> shards -> description -> artifact
nodes     whether the nodes of a Ray cluster can do it
shards    a plan of shards -> shards, by worker processes
source    the source as it was understood, its classes and their titles
formula   formula images: the set that its options name
imagenet  ImageNet: the files that its options name
virtual   a dataset of formula images that holds none
announce  sentences on a source, its plan and the result
"""
