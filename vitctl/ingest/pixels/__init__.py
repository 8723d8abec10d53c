"""One image: what is stored of it (`vitctl.pixels` has what its bytes are).

policy            what a user may have done to images: smaller, encoded again, colours, background
storage           how images are stored, as one value, and about how many bytes that takes
treatment         what a policy does to one image
colour_profile    colours of an embedded profile (ICC) -> sRGB
transparency      how opaque each pixel is, and images laid on a colour
decoder_warnings  warnings of the decoders' C libraries, caught and counted by image
prepare           bytes of a file -> bytes to store, checked by the training decoder
"""
