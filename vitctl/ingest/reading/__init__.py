"""Bytes of larger files: streams, windows, and what is read in order made random.

streams     files read from front to back, decompressed, with bounds
seekable    streams made files that can be read at random: where they lie, or a copy
windows     images that lie in larger files as they are, read at random
matlab      variables of MATLAB's files, with bounds on what they claim
mat_format  what these are made of: types, classes and tags
mat_arrays  arrays of numbers in them, read from front to back
spool       a source that is read in order, made one that is read at random
"""
