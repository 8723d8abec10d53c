"""One image: what its bytes are, what they say of its pixels, and what is stored of them.

file_kinds        the kind of a file, from its first bytes
header            size, mode and format of an image, from its header alone
orientation       which way up an image is, wherever its container says so
pnm               PGM and PPM whose brightest value is not 255
convert           whether an image is stored as it is or as 8-bit PNG, and why
policy            what a user may have done to images: smaller, encoded again, colours, background
treatment         what a policy does to one image
colour_profile    colours of an embedded profile (ICC) -> sRGB
transparency      how opaque each pixel is, and images laid on a colour
decoder_warnings  warnings of the decoders' C libraries, caught and counted by image
png_damage        what is wrong with the bytes of a PNG
training_pixels   the pixels that training sees of a file, without TensorFlow
prepare           bytes of a file -> bytes to store, checked by the training decoder
"""
