"""`vitctl report`: artifacts -> one page of HTML that needs no network.

spec      what is requested, and what was written
command   the command-line flags
settings  what a user gives -> the request
run       what is named -> the page -> its file
text      what was written, for people and for programs
"""
