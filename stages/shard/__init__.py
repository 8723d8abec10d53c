"""`vitctl shard`: images -> a dataset artifact.

spec      version, settings and inputs; imports no array library
command   the command-line flags, and how they become settings
run       listing -> plan -> shards -> description -> artifact
shards    a plan of shards -> shards, by worker processes
source    the source as it was understood, its classes and their titles
formula   formula images: their options, and the set that they name
imagenet  ImageNet: its options, and the files that they name
virtual   a dataset of formula images that holds none
announce  sentences on a source, its plan and the result
"""
