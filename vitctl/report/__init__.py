"""Artifacts as one page of HTML that needs no network: what `vitctl report` writes.

subjects   what is reported: artifacts and runs, their ancestors, names, problems
privacy    paths, hosts and users taken out of what is free text
commands   the recorded command lines, made fit for another machine
training   the rows of runs as series over images seen, long ones thinned
times      as manifests record them
thinning   long series as an envelope: a spike stays visible
html       markup, in which everything from data is escaped
scales     axes: ticks and their labels
charts     lines, points and bands as SVG that fits any width
graph      who was made from whom, as SVG
pictures   small copies of images, as data in the page
sections   for each kind of artifact its key numbers and its section
overview   title, key numbers, a table of all results
origins    settings, commands, versions
document   the file around a page: head, style, script, policy
page       what is on the page, and its limit of size
"""
