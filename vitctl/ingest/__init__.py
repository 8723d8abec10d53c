"""Foreign files -> the records of a dataset: listing, conversion, shards.

sources        sources by format, and the door to all of them
trees          folders, tars and zips, and what their folders mean
labels         labels from tables and annotations
table          sources that say themselves which class each image has
choices        what a user says of a source: labels, layout, exclusions, columns
listing        what every source is: a listing in columns, and readers of its images
columns        names, sizes, times and labels of a source's images, as columns
reading        bytes of larger files: streams, windows, spools
folder_layout  the meaning of a source's folders: classes, or splits that hold classes
parts          larger files that hold images
spelled_paths  files whose names one word spells with braces or `*`
litter         files that lie among images without being any
spelling       one form of Unicode for a name
pixels         one image: what its bytes are, and what is stored of them
write          the plan of shards, their workers and writers
"""
