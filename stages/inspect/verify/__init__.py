"""`vitctl verify`: is it still what was published?

spec     what is checked, and what a verdict is
command  the command-line flags
run      entries -> a verdict on each
checks   an artifact, a run or a draft against its manifest
images   records of a dataset against its description, samples of a run against its order
text     a verdict in lines, for people
"""
