"""`vitctl mix`: several datasets as one, by weight, or one with its classes drawn evenly.

command   its flags
spec      what it reads, decides and makes
settings  what a user gives -> settings and inputs
run       how it works
overlap   images that a mixture has twice
weights   numbers and sizes -> how often each dataset is drawn
"""
