"""Images that are the same picture: by bytes, by pixels, and nearly, by a hash of how they look.

    hashes      a grey picture -> 64 bits of how it looks, of its whole and of parts of it
    prints      an encoded image -> what is compared of it
    stored      these of a dataset, kept in parts
    bands       which of many hashes differ in few bits from another
    matching    which images of a dataset match one of others, or an earlier one of its own
    report      what a search says of itself

Nothing here decides what becomes of a match (`stages.dedup` does).
"""
