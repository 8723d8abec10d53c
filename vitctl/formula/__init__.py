"""Images made by formulas: any number of them, free of licences, each a function of integers.

integers        hashes, fixed-point numbers and sines in 32-bit integers, for NumPy and jax alike
family          what a set of pictures is
systems         the classes of fractals: iterated function systems that contract
fractal         fractals as pictures
rings           closed lines around a centre as pictures
colours         palettes, and clouds of noise
maker           pictures from (class, instance), on hosts and on devices
cropped_images  images as training sees them, windows of pictures resized, on devices
png             a picture as a file
"""
