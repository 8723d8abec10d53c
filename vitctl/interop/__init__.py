"""Parameter trees of other codebases, mapped to and from ours. Nothing is imported here."""
