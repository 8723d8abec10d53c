"""vitctl: the vocabulary. The commands built from it live in `stages`."""

__version__ = "0.1.0"
