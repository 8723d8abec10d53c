"""`vitctl dedup`: a dataset without images that others have, too, or that it has twice.

command   its flags
spec      what it reads, decides and makes
settings  what a user gives -> its settings and inputs
run       how it works
hashed    the hashes of a dataset's images, made once
parts     the hashes of some of them, the work of one worker
compared  which images match which
written   the report: pairs, counts at each distance, pictures
"""
