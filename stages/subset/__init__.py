"""`vitctl subset`: some images of a dataset, as a dataset that copies none of them.

command   its flags
spec      what it reads, decides and makes
settings  what a user gives -> settings and inputs
run       how it works
choice    which images the settings choose
ids       a file of ids
"""
