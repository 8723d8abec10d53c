"""`vitctl bench feed`: how fast the images of a dataset reach training, and where the time goes.

spec      settings, inputs and the report; imports no array library
settings  what a user gives -> the settings
command   the command-line flags
run       rounds of the whole input and of decoding alone, then each part by itself
parts     the parts of the input that are measured
text      the report in words
"""
