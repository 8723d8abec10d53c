"""What is known of images that a model was trained on and measured on, as a sentence."""

from __future__ import annotations

from vitctl.summaries import Overlap


def overlap_in_words(overlap: Overlap | None) -> str:
    """Empty where nobody can know, or the images are of the same dataset."""
    if overlap is None:
        return ""
    match overlap.state:
        case "unchecked":
            return "Its training images were not searched for these images (vitctl dedup does)."
        case "left-out":
            return f"{overlap.images or 0:,} training images that match one of these were left out."
        case "trained-on":
            return f"{overlap.images or 0:,} of its training images match one of these."
