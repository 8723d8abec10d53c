"""One image: what its bytes are, what they say of its pixels, and these, without TensorFlow.

file_kinds        the kind of a file, from its first bytes
header            size, mode and format of an image, from its header alone
orientation       which way up an image is, wherever its container says so
pnm               PGM and PPM whose brightest value is not 255
convert           whether an image is stored as it is or as 8-bit PNG, and why
picture_mark      the text in a picture that vitctl drew, by which it is no source image
png_damage        what is wrong with the bytes of a PNG
jpeg_scans        whether a progressive JPEG is whole
jpeg_sampling     whether a JPEG has its colours at full resolution
training_pixels   the pixels that training sees of a file
"""
