"""`vitctl cluster`: images without labels -> a dataset that labels each with its cluster.

command   its flags
spec      what it reads, decides and makes
settings  what a user gives -> settings and inputs
run       how it works
features  the features that are clustered: made, found again or given
rows      blocks of them, as the iterations read them
fitted    the iterations and their state, which an interrupted run goes on from
labelled  clusters of all images, and what is written of them
"""
