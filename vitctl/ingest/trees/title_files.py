"""Files among images that give their classes readable names, by what they are called."""

from __future__ import annotations

from collections.abc import Mapping

TitleFiles = Mapping[str, bytes]
"""Path of a file in an archive -> its contents."""

KERAS = "imagenet_class_index.json"
WORDNET_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt", KERAS)
"""Of Kaggle, of Caffe, of ImageNet's own site and Tiny ImageNet, and of Keras."""
CAT_TO_NAME = "cat_to_name.json"
"""Of Kaggle's packing of Flowers-102, whose classes are numbers."""
PARALLEL = (("meta/classes.txt", "meta/labels.txt"),)
"""Files whose lines are a class and words for it, of Food-101: apple_pie and Apple pie."""
MOST_BYTES = 2**23
"""Of one; words.txt has 3 MB."""


def names_titles(path: str) -> bool:
    """Whether a file in an archive may give classes readable names."""
    base = path.rpartition("/")[2]
    if base in WORDNET_LISTS or base == CAT_TO_NAME:
        return True
    return any(f"/{path}".endswith(f"/{name}") for pair in PARALLEL for name in pair)
